"""Threads and callbacks do everything to every shared object, for a moment.

The continuous integration runs this under AddressSanitizer, too; CONTRIBUTING
says how to run it for longer.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import LONG

import fastmmap

PROGRAM = Path(__file__).parent.parent / "stress" / "reentry.py"
PACKAGE = Path(fastmmap.__file__).parent.parent


@pytest.mark.long
@pytest.mark.parametrize("threads", [1, 4])
def test_no_reentry_breaks_memory_values_or_pages(threads: int) -> None:
    options = ["--seconds", str(2 * LONG), "--threads", str(threads)]
    done = subprocess.run(
        [sys.executable, str(PROGRAM), *options],
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 wrong" in done.stdout
