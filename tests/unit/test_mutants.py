"""The known ways to break the project: each can still be made, and has a catcher.

The runs of tests/mutants take long, so what they need is looked at here. A text
that was edited away would else stop a run, or the defect would not be tried.
"""

from __future__ import annotations

import filecmp
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MUTANTS = ROOT / "tests" / "mutants"

sys.path.insert(0, str(MUTANTS))
try:
    import catchers
    import edits
    import engine_breaks
    import known
    import package_breaks
finally:
    sys.path.remove(str(MUTANTS))

pytestmark = pytest.mark.quick

by_name = pytest.mark.parametrize(
    "broken", package_breaks.BREAKS, ids=lambda broken: broken.name
)


each_table = pytest.mark.parametrize(
    "breaks",
    [(*engine_breaks.BREAKS, *engine_breaks.HARMLESS), package_breaks.BREAKS],
    ids=["engine", "package"],
)


@each_table
def test_each_text_to_break_is_found_exactly_once(
    breaks: tuple[engine_breaks.Break | package_breaks.Break, ...],
) -> None:
    for broken in breaks:
        edits.require_all(broken.name, broken.edits)
        assert all(old != new for _, old, new in broken.edits), broken.name


def test_a_text_that_is_not_there_once_is_named_with_its_break() -> None:
    with pytest.raises(SystemExit, match="early: pages holds this 2 times"):
        edits.require_once("early", "pages", "move(); move();", "move();")
    with pytest.raises(SystemExit, match="early: pages holds this 0 times"):
        edits.require_once("early", "pages", "", "move();")


def test_a_defect_is_in_a_copy_for_the_length_of_a_block(tmp_path: Path) -> None:
    mutant = engine_breaks.BREAKS[0]
    path, old, new = mutant.edits[0]
    (tmp_path / path).parent.mkdir(parents=True)
    shutil.copyfile(ROOT / path, tmp_path / path)
    with edits.broken(tmp_path, mutant.name, mutant.edits):
        text = (ROOT / path).read_text(encoding="utf-8")
        assert (tmp_path / path).read_text(encoding="utf-8") == text.replace(old, new)
    assert filecmp.cmp(ROOT / path, tmp_path / path, shallow=False)


def test_of_the_copied_sources_only_what_changed_has_a_new_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object that was made of the copy must not pass for one of the change."""
    monkeypatch.setattr(catchers, "SOURCES", tmp_path)
    catchers.copy_sources()
    same, other, gone = (
        tmp_path / "csrc" / "core" / name
        for name in ("fmm_ring.c", "fmm_page.c", "fmm_gone.c")
    )
    other.write_text("what stood here before", encoding="utf-8")
    gone.touch()
    for path in (same, other):
        os.utime(path, (1, 1))
    catchers.copy_sources()
    assert same.stat().st_mtime == 1
    assert other.stat().st_mtime > (ROOT / "csrc/core/fmm_page.c").stat().st_mtime
    assert filecmp.cmp(other, ROOT / "csrc/core/fmm_page.c", shallow=False)
    assert not gone.exists()


@by_name
def test_each_break_has_tests_that_exist(broken: package_breaks.Break) -> None:
    assert broken.tests
    for test in broken.tests:
        path, _, function = test.partition("::")
        text = (ROOT / path).read_text(encoding="utf-8")
        assert not function or re.search(rf"^(async )?def {function}\b", text, re.M)


@each_table
def test_no_two_breaks_have_one_name(
    breaks: tuple[engine_breaks.Break | package_breaks.Break, ...],
) -> None:
    names = [broken.name for broken in breaks]
    assert sorted(set(names)) == sorted(names)


def test_each_mutant_of_the_engine_breaks_a_file_of_the_core() -> None:
    broken = {path for one in engine_breaks.BREAKS for path, _, _ in one.edits}
    assert all(Path(path).match("csrc/core/*.[ch]") for path in broken)


def test_an_object_is_made_of_all_files_that_its_rule_names(tmp_path: Path) -> None:
    rule = tmp_path / "fmm_get.d"
    rule.write_text("fmm_get.o: fmm_get.c fmm.h \\\n ../core/fmm_client.h\n\nfmm.h:\n")
    assert {"fmm_get.c", "fmm.h", "fmm_client.h"} <= catchers.made_of(rule)


def test_each_mutant_of_the_engine_has_a_catcher() -> None:
    names = {broken.name for broken in engine_breaks.BREAKS}
    assert names == known.KNOWN.keys()
    assert set(known.QUICK) <= names
    assert {one.name for one in engine_breaks.HARMLESS} == known.UNMISSED.keys()


def test_each_known_catcher_is_there() -> None:
    lists = [*known.KNOWN.values(), *known.UNMISSED.values()]
    used = {name for names in lists for name in names}
    assert used <= catchers.BY_NAME.keys()
