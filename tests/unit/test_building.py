"""Building: what somebody reads who has no compiler, and which Pythons we name."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = (ROOT / "pyproject.toml").read_text("utf-8")

#: A compiler that finds all headers except one.
HEADERLESS = """#!/bin/sh
case "$*" in
    *--version*) exit 0;;
    *" -E "*) ! grep -q zlib.h;;
    *) exit 1;;
esac
"""

pytestmark = pytest.mark.once


def build(tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run setup.py into a folder of its own."""
    places = ["--build-lib", str(tmp_path / "lib"), "--build-temp", str(tmp_path / "o")]
    return subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", *places],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_without_a_compiler_a_sentence_says_so(tmp_path: Path) -> None:
    done = build(tmp_path, CC=str(tmp_path / "no-cc"))
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert "does not find the compiler '" in last and "no-cc': install" in last
    assert "apt-get install build-essential" in last


def test_without_a_header_a_sentence_names_it(tmp_path: Path) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text(HEADERLESS)
    compiler.chmod(0o755)
    done = build(tmp_path, CC=str(compiler))
    assert done.returncode != 0
    last = done.stderr.splitlines()[-1]
    assert "does not find zlib.h: install" in last
    assert "apt-get install build-essential zlib1g-dev" in last


def test_the_classifiers_name_each_python_from_the_oldest_on() -> None:
    oldest = re.search(r'requires-python = ">=3\.(\d+)"', PROJECT)
    assert oldest is not None
    named = re.findall(r"Python :: 3\.(\d+)", PROJECT)
    assert named == [str(minor) for minor in range(int(oldest[1]), 16)]
