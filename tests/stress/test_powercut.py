"""Some images of a file after a power cut; and that torn values are noticed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from support import LONG

import fastmmap

POWERCUT = Path(__file__).parent / "powercut.py"
MEMORY = Path("/dev/shm")


def run(tmp_path: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """Run it in a process of its own; return its exit code, and what it found."""
    output = tmp_path / "powercut.json"
    package = Path(fastmmap.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, str(POWERCUT), "--output", str(output), *options],
        check=False,
        env={**os.environ, "PYTHONPATH": str(package)},
        timeout=400,
        capture_output=True,
        text=True,
    )
    print(done.stdout, done.stderr)
    return done.returncode, json.loads(output.read_text()) if output.exists() else {}


@pytest.mark.long
def test_no_value_is_torn_after_a_power_cut(tmp_path: Path) -> None:
    images = 40 * LONG
    code, found = run(tmp_path, "--images", str(images), "--directory", str(tmp_path))
    if code == 2:
        pytest.skip("the files of tests are on tmpfs")
    assert (code, found["complaints"]) == (0, [])
    assert found["images"] == images
    assert found["whole"] > 10 * images


@pytest.mark.once
@pytest.mark.skipif(not MEMORY.is_dir(), reason="there is no /dev/shm")
def test_torn_values_are_noticed_where_there_are_no_seals(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        code, found = run(
            tmp_path, "--anywhere", "--images", "3000", "--directory", directory
        )
    assert code == 1
    assert found["complaints"]
