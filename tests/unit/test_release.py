"""What a release needs is there, and `make release-check` sees when it is not."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import fastmmap

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
release_check = pytest.importorskip("release_check")

pytestmark = pytest.mark.once

Check = Callable[[], Iterator[str]]
#: What would be wrong: the check, the file, what stands there and what would.
BREAKS = [
    (
        "lacking_in_version",
        "CHANGELOG.rst",
        r"^0\.1\.0 ",
        "0.0.9 ",
        "begins with 0.0.9",
    ),
    (
        "lacking_in_version",
        "CHANGELOG.rst",
        r"\(.*\)$",
        "(soon)",
        "'soon' where the day",
    ),
    (
        "lacking_in_version",
        "CHANGELOG.rst",
        r"format \d+\.",
        "format 1.",
        "file format",
    ),
    ("lacking_in_version", "fastmmap/__init__.py", '"0.1.0"', '"0.1-0"', "PEP 440"),
    ("lacking_in_metadata", "pyproject.toml", '"MIT"', '{ text = "MIT" }', "license"),
    ("lacking_in_workflows", ".github/workflows/test.yml", '"3.14", ', "", "test.yml"),
    ("lacking_in_workflows", "pyproject.toml", '"cp314-[*]", ', "", "other Pythons"),
]


@pytest.mark.parametrize("name", ["lacking_in_metadata", "lacking_in_workflows"])
def test_nothing_is_missing_but_the_day(name: str) -> None:
    assert list(getattr(release_check, name)()) == []


def test_the_changelog_begins_with_this_version() -> None:
    missing = list(release_check.lacking_in_version())
    assert all("the day of the release" in line for line in missing)
    assert release_check.version() == fastmmap.__version__


@pytest.mark.parametrize(("name", "file", "old", "new", "said"), BREAKS)
def test_what_is_wrong_is_said(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    file: str,
    old: str,
    new: str,
    said: str,
) -> None:
    text = release_check.text

    def broken(path: str) -> str:
        if path != file:
            return str(text(path))
        changed, count = re.subn(old, new, text(path), count=1, flags=re.MULTILINE)
        assert count == 1
        return changed

    monkeypatch.setattr(release_check, "text", broken)
    assert any(said in line for line in getattr(release_check, name)())


def test_each_wheel_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(release_check, "DIST", tmp_path)
    version = fastmmap.__version__
    (tmp_path / f"fastmmap-{version}.tar.gz").touch()
    for python, kind in release_check.wanted_wheels():
        (tmp_path / f"fastmmap-{version}-{python}-{python}-{kind}.whl").touch()
    assert list(release_check.lacking_in_dist()) == []
    kind = "musllinux_1_2_x86_64"
    (tmp_path / f"fastmmap-{version}-cp312-cp312-{kind}.whl").unlink()
    assert list(release_check.lacking_in_dist()) == [
        f"dist/ has no wheel for cp312 {kind}"
    ]


def test_the_version_stands_in_one_place() -> None:
    files = ["pyproject.toml", "setup.py", "docs/conf.py", "csrc/python/py_module.c"]
    assert [
        name for name in files if fastmmap.__version__ in release_check.text(name)
    ] == []
