"""The known ways to break the project: each can still be made, and has a catcher.

The runs of tests/mutants take long, so what they need is looked at here. A text
that was edited away would else stop a run, or the defect would not be tried.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MUTANTS = ROOT / "tests" / "mutants"
CORE = ROOT / "csrc" / "core"

sys.path.insert(0, str(MUTANTS))
try:
    import catchers
    import known
    import package_breaks
    import run as engine
finally:
    sys.path.remove(str(MUTANTS))

pytestmark = pytest.mark.quick

by_name = pytest.mark.parametrize(
    "broken", package_breaks.BREAKS, ids=lambda broken: broken.name
)


@by_name
def test_each_text_to_break_is_found_exactly_once(
    broken: package_breaks.Break,
) -> None:
    for name, old, new in broken.edits:
        assert (ROOT / name).read_text(encoding="utf-8").count(old) == 1, old
        assert old != new


@by_name
def test_each_break_has_tests_that_exist(broken: package_breaks.Break) -> None:
    assert broken.tests
    for test in broken.tests:
        path, _, function = test.partition("::")
        text = (ROOT / path).read_text(encoding="utf-8")
        assert not function or re.search(rf"^(async )?def {function}\b", text, re.M)


def test_no_two_breaks_have_one_name() -> None:
    names = [broken.name for broken in package_breaks.BREAKS]
    assert sorted(set(names)) == sorted(names)


def compiled() -> Iterator[str]:
    """Return the mutants of the engine that -DFMM_MUTANT can name."""
    for name in re.findall(r"FMM_MUTANT_(\w+),", (CORE / "fmm_mutant.h").read_text()):
        if name != "none":
            yield name


def test_each_mutant_of_the_engine_is_listed_and_has_a_switch() -> None:
    """A name that is not listed is 0 in #if-less code: the mutant is sound."""
    assert sorted(compiled()) == list(engine.mutants())


def test_each_mutant_of_the_engine_has_a_catcher() -> None:
    assert engine.mutants().keys() == known.KNOWN.keys()
    assert set(known.QUICK) <= known.KNOWN.keys()


def test_each_known_catcher_is_there() -> None:
    used = {name for names in known.KNOWN.values() for name in names}
    assert used <= catchers.BY_NAME.keys()
