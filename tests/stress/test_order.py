"""The order of write-back, for a moment; and that a wrong one is noticed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import LONG

import fastmmap

ORDER = Path(__file__).parent / "order"


def run(tmp_path: Path, *options: str) -> dict[str, Any]:
    """Run it in a process of its own; return what it counted."""
    output = tmp_path / "order.json"
    package = Path(fastmmap.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, str(ORDER), "--output", str(output), *options],
        check=False,
        env={**os.environ, "PYTHONPATH": str(package)},
        timeout=200,
        capture_output=True,
        text=True,
    )
    print(done.stdout, done.stderr)
    found: dict[str, Any] = json.loads(output.read_text())
    assert done.returncode == (1 if found["violations"] else 0)
    return found


@pytest.mark.long
def test_the_store_keeps_the_order_while_writers_are_killed(tmp_path: Path) -> None:
    found = run(tmp_path, "--seconds", str(3 * LONG))
    assert found["violations"] == 0
    assert found["changes"] > 100
    assert min(found["kills"], found["writes"], found["deletions"]) > 0


@pytest.mark.once
@pytest.mark.parametrize("fault", ["silent", "forget"])
def test_a_store_that_misses_something_is_noticed(tmp_path: Path, fault: str) -> None:
    assert run(tmp_path, "--seconds", "3", "--sabotage", fault)["violations"] > 0
