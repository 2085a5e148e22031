"""Adapters without their framework, or with too old a one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fastmmap.contrib.requirement import require

ROOT = Path(__file__).resolve().parents[2]
ADAPTERS = {
    path.stem: re.findall(r'^require\("(.+)", "(.+)", extra="(.+)"\)$', text, re.M)
    for path in (ROOT / "fastmmap" / "contrib").glob("*.py")
    if "\nrequire(" in (text := path.read_text("utf-8"))
}

# Lets a framework look as if it were not installed, or of another version.
PRETEND = """
import importlib.metadata, sys
def version(name, answer=sys.argv[2]):
    if answer: return answer
    raise importlib.metadata.PackageNotFoundError(name)
importlib.metadata.version = version
try: __import__("fastmmap.contrib." + sys.argv[1])
except ImportError as error: print(error)
"""


def import_error(adapter: str, version: str) -> str:
    """Import an adapter where its framework has this version; return the error."""
    command = [sys.executable, "-c", PRETEND, adapter, version]
    return subprocess.check_output(command, text=True, timeout=60, cwd=ROOT).strip()


@pytest.mark.parametrize("adapter", sorted(ADAPTERS))
def test_an_adapter_without_its_framework_names_the_extra(adapter: str) -> None:
    ((package, oldest, extra),) = ADAPTERS[adapter]
    message = import_error(adapter, "")
    assert f'needs the package "{package}" {oldest} or newer' in message
    assert f"pip install fastmmap[{extra}]" in message


@pytest.mark.parametrize("adapter", sorted(ADAPTERS))
def test_an_adapter_with_too_old_a_framework_says_what_it_found(adapter: str) -> None:
    ((_, oldest, extra),) = ADAPTERS[adapter]
    message = import_error(adapter, "0.0.9")
    assert f"{oldest} or newer, found 0.0.9: " in message
    assert f"fastmmap[{extra}]" in message


@pytest.mark.parametrize("adapter", sorted(ADAPTERS))
def test_the_extra_of_an_adapter_asks_for_the_same_version(adapter: str) -> None:
    ((package, oldest, extra),) = ADAPTERS[adapter]
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    (wanted,) = re.findall(rf"^{extra} = \[(.+)\]$", text, re.M)
    assert f'"{package}>={oldest}' in wanted


@pytest.mark.parametrize("found", ["4.2", "4.10", "5.0rc1", "4.2.1.post1"])
def test_newer_versions_are_compared_by_number(
    found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: found)
    require("Django", "4.2", extra="django")  # else it raises
