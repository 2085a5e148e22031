"""The documentation: its examples run, and it leaves nothing out."""

from __future__ import annotations

import doctest
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fastmmap
import fastmmap.sync
import fastmmap.testing
from fastmmap import (
    CheckReport,
    Client,
    Entry,
    FastMmap,
    GetAndSetResult,
    LockedItem,
    NamespaceStats,
    RemoveResult,
    ResizeReport,
    Stats,
    Store,
    words,
)

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.rst"), *DOCS.glob("moving/*.rst")])
RST = sorted([*DOCS.glob("**/*.rst"), *ROOT.glob("*.rst")])
SIMPLE_TABLE = re.compile(r"^=+ +(?:=+ +)*=+\n((?:.+\n)+?)(?==+ [= ]*=\n\n)", re.M)
WITH_EXAMPLES = [page for page in PAGES if ">>> " in page.read_text("utf-8")]
ARCHITECTURE = (DOCS / "architecture.rst").read_text("utf-8")
API = (DOCS / "api.rst").read_text("utf-8")

#: As the pages tell the reader to run them.
DOCTEST = ("-m", "doctest", "-o", "ELLIPSIS")

pytestmark = pytest.mark.quick


def run(*arguments: str, cwd: Path, status: int = 0) -> str:
    """Run Python with the package that is under test; return what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        text=True,
        timeout=300,
    )
    assert done.returncode == status, done.stdout
    return done.stdout


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: page.stem)
def test_every_example_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    run(*DOCTEST, str(page), cwd=tmp_path)


def shell_examples(page: Path) -> Iterator[tuple[list[str], str]]:
    """Yield the commands of a page's console blocks, and what they print."""
    for block in page.read_text("utf-8").split(".. code-block:: console\n\n")[1:]:
        lines = re.match(r"(?:    .*\n)+", block)
        assert lines is not None
        for part in lines[0].replace("    $ ", "\0").split("\0")[1:]:
            command, _, shown = part.partition("\n")
            yield command.split()[1:], re.sub("^    ", "", shown, flags=re.MULTILINE)


def test_the_shell_examples_print_what_the_guide_says(tmp_path: Path) -> None:
    path = tmp_path / "app.cache"
    with fastmmap.FastMmap(path, cache_size="1m", unlink_on_exit=False) as cache:
        cache["answer"] = 42
    examples = list(shell_examples(DOCS / "guide.rst"))
    assert [arguments[2] for arguments, _ in examples] == ["info", "check"]
    for arguments, shown in examples:
        printed = run(*arguments, cwd=tmp_path)
        checker = doctest.OutputChecker()
        assert checker.check_output(shown, printed, doctest.ELLIPSIS), printed


def test_the_import_prints_what_its_page_says(tmp_path: Path) -> None:
    page = DOCS / "moving" / "diskcache.rst"
    run(*DOCTEST, str(page), cwd=tmp_path)
    ((arguments, shown),) = shell_examples(page)
    assert run(*arguments, cwd=tmp_path, status=1) == shown.rstrip("\n") + "\n"


def described(name: str) -> bool:
    """Tell whether the reference has a directive for this, or a row."""
    wanted = rf"(:: |``cache\.){re.escape(name)}(?!\w)"
    return re.search(wanted, API) is not None


@pytest.mark.parametrize("name", fastmmap.__all__)
def test_every_public_name_is_in_the_reference(name: str) -> None:
    assert described(name)


@pytest.mark.parametrize("name", fastmmap.sync.__all__)
def test_every_lock_and_its_methods_are_in_the_reference(name: str) -> None:
    kind = getattr(fastmmap.sync, name)
    names = [name]
    if inspect.isclass(kind) and not issubclass(kind, (Exception, tuple)):
        names += [f"{name}.{each}" for each in dir(kind) if not each.startswith("_")]
    assert [each for each in names if not described(each)] == []


@pytest.mark.parametrize("kind", [FastMmap, LockedItem])
def test_every_method_and_attribute_is_in_the_reference(kind: type) -> None:
    public = {name for name in dir(kind) if not name.startswith("_")}
    public -= words.METHODS.keys()
    missing = {name for name in public if not described(f"{kind.__name__}.{name}")}
    assert {name for name in missing if not described(name)} == set()


@pytest.mark.parametrize(
    "kind",
    [
        Entry,
        Store,
        GetAndSetResult,
        RemoveResult,
        Stats,
        Client,
        CheckReport,
        ResizeReport,
        NamespaceStats,
    ],
)
def test_every_field_is_in_the_reference(kind: Any) -> None:
    after = API.partition(f".. autoclass:: {kind.__name__}\n")[2]
    table = after.partition("\n\n.. ")[0]
    assert re.findall(r"^``(\w+)``", table, re.MULTILINE) == list(kind._fields)


def test_what_is_for_tests_is_in_the_reference() -> None:
    assert described("fastmmap.testing.time_travel")


def broken_cells(text: str) -> Iterator[str]:
    """Yield the first cells of simple tables that go on in the next line.

    That line is another row: only later cells may have several lines.
    """
    for table in SIMPLE_TABLE.finditer(text):
        width = table[0].index(" ")
        for line in table[1].splitlines():
            first, others = line[:width].strip(), line[width:].strip()
            if first and (not others or first.endswith(",")):
                yield first


def test_every_first_cell_of_a_simple_table_is_one_line() -> None:
    table = "===== =====\n%s\n===== =====\n\n"
    assert [*broken_cells(table % "a     b\n      b\nc     d")] == []
    assert [*broken_cells(table % "a,    b\na     b\nc")] == ["a,", "c"]
    assert [c for page in RST for c in broken_cells(page.read_text("utf-8"))] == []


def test_the_pictures_are_those_of_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    import draw

    shown = {path.stem: path.read_text("utf-8") for path in draw.HERE.glob("*.svg")}
    assert shown == {name: draw.draw(rows) for name, rows in draw.PICTURES.items()}


def test_the_tables_are_what_the_long_runs_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    import tables

    shown = {path.stem: path.read_text("utf-8") for path in tables.TABLES.glob("*.csv")}
    assert shown == {name: tables.table(name) for name in tables.SOURCES}


def test_every_table_is_shown() -> None:
    pages = ("reliability", "performance")
    text = "".join((DOCS / f"{page}.rst").read_text("utf-8") for page in pages)
    assert all(f"tables/{path.name}" in text for path in (DOCS / "tables").iterdir())


def test_the_architecture_shows_every_table_of_the_layers() -> None:
    shown = re.findall(r":file: layers/(.+)", ARCHITECTURE)
    assert sorted(shown) == sorted(path.name for path in (DOCS / "layers").iterdir())


def test_every_function_that_the_architecture_names_is_there() -> None:
    sources = [*ROOT.glob("csrc/*/*.[ch]"), *ROOT.glob("fastmmap/*.py")]
    text = "\n".join(path.read_text("utf-8") for path in sources)
    named = set(re.findall(r"``(\w+)\(\)``", ARCHITECTURE))
    defined = {name for name in named if re.search(rf"\b{name}\(", text)}
    assert len(named) > 30
    assert named == defined


def test_every_plot_is_there_and_shown() -> None:
    text = (DOCS / "performance.rst").read_text("utf-8")
    shown = set(re.findall(r"plots/([\w-]+)\.svg", text))
    assert shown == {path.stem for path in (DOCS / "plots").glob("*.svg")}


def test_every_target_is_judged_by_what_was_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    import targets

    (target,) = (t for t in targets.TARGETS if t.what == "get hit / dict.get")

    def judged(multiple: float) -> list[str]:
        multiples = {"dict": {"get hit": {"median": multiple}}}
        return targets.target_row(target, {"multiples": multiples})[2:]

    assert judged(0.400) == ["2.50", "met"]
    assert judged(0.396) == ["2.53", "missed"]
    assert targets.target_row(target, {})[2:] == ["-", "not measured"]


def test_every_picture_is_shown() -> None:
    pages = ("format", "index")
    text = "".join((DOCS / f"{page}.rst").read_text("utf-8") for page in pages)
    pictures = (DOCS / "figures").glob("*.svg")
    assert all(f"figures/{path.name}" in text for path in pictures)


def test_the_newest_changes_are_those_of_this_version() -> None:
    text = (DOCS.parent / "CHANGELOG.rst").read_text("utf-8")
    titles = re.findall(r"^(.+)\n-+$", text, re.M)
    assert titles[0].split()[0] == fastmmap.__version__
