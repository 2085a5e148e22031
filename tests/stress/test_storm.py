"""The storm, for a moment in each mode; and that it notices what is wrong."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import fastmmap

STORM = Path(__file__).parent / "storm"
MODES = (
    "set",
    "evict",
    "pickled",
    "compressed",
    "many",
    "remove",
    "tombstones",
    "incr",
    "get_and_set",
    "lock",
    "get_or_set",
    "tags",
    "namespaces",
    "write_back",
    "forks",
)
FAULTS = ("lost", "torn", "stale", "hung", "emptied", "errors")

# What is broken on purpose, in which mode, and what it must be noticed as.
SABOTAGES = {
    "drop": ("set", {"lost", "stale"}),
    "lose": ("set", {"lost"}),
    "tear": ("set", {"torn"}),
    "stale": ("set", {"stale"}),
    "hold": ("set", {"hung"}),
    "empty": ("set", {"emptied"}),
    "twice": ("incr", {"stale"}),
    "race": ("get_and_set", {"lost"}),
    "late": ("get_or_set", {"stale"}),
    "deaf": ("tags", {"stale"}),
    "silent": ("write_back", {"lost"}),
}


def storm(tmp_path: Path, mode: str, *options: str) -> tuple[int, dict[str, Any]]:
    """Run a storm in a process of its own; return its exit code and figures."""
    output = tmp_path / "storm.json"
    seed = str(random.randrange(1 << 32))
    words = ["--mode", mode, "--seed", seed, "--output", str(output), *options]
    package = Path(fastmmap.__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": str(package)}
    process = subprocess.Popen(
        [sys.executable, str(STORM), *words], env=environment, start_new_session=True
    )
    try:
        code = process.wait(timeout=90)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    figures: dict[str, Any] = json.loads(output.read_text())["modes"][0]
    return code, figures


@pytest.mark.parametrize("mode", MODES)
def test_writers_killed_at_random_break_no_promise(tmp_path: Path, mode: str) -> None:
    code, figures = storm(tmp_path, mode, "--kills", "25")
    assert {fault: figures[fault] for fault in FAULTS} == dict.fromkeys(FAULTS, 0)
    assert code == 0
    assert figures["kills"] >= 25
    assert figures["operations"] > 100
    assert figures["reads"] > 0


@pytest.mark.once
@pytest.mark.parametrize("sabotage", SABOTAGES)
def test_the_storm_notices_a_cache_that_is_broken(
    tmp_path: Path, sabotage: str
) -> None:
    mode, expected = SABOTAGES[sabotage]
    options = ["--sabotage", sabotage, "--seconds", "60"]  # it ends when it notices
    if sabotage == "hold":
        options += ["--patience", "1"]  # impatience finds fault with a busy machine
    code, figures = storm(tmp_path, mode, *options)
    assert code == 1
    assert expected & {fault for fault in FAULTS if figures[fault]}
