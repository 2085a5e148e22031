"""The examples of the pages on frameworks: each prints what its page says."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs" / "integrations").glob("[!i]*.rst"))


def blocks(page: str, start: str) -> list[str]:
    """Return the blocks of a page after lines that match `start`."""
    found = re.findall(rf"{start}\n\n((?:    .*\n|\n)+)", page)
    return [re.sub("^    ", "", block, flags=re.M).strip() for block in found]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_an_example_prints_what_its_page_says(page: Path) -> None:
    text = page.read_text("utf-8")
    (name,) = re.findall(r"literalinclude:: (.+)", text)
    (shown,) = blocks(text, r"It prints:\n\n\.\. code-block:: text")
    command = [sys.executable, "-W", "error", str(page.parent / name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    checker = doctest.OutputChecker()
    assert checker.check_output(shown, done.stdout.strip(), doctest.ELLIPSIS), done


def test_every_example_with_a_framework_is_on_a_page() -> None:
    programs = {path.name for path in (ROOT / "examples").glob("with_*")}
    shown = {
        Path(name).name
        for page in PAGES
        for name in re.findall(r"literalinclude:: (.+)", page.read_text("utf-8"))
    }
    assert shown == programs


def test_every_page_is_in_the_table_of_contents() -> None:
    index = (ROOT / "docs" / "integrations" / "index.rst").read_text("utf-8")
    (names,) = re.findall(r":maxdepth: 1\n\n((?:    \S+\n)+)", index)
    assert names.split() == [page.stem for page in PAGES]
