"""The demo and the examples: each runs, and says what it should."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

pytestmark = pytest.mark.quick


def run(program: str, *arguments: str) -> str:
    """Run an example in a process of its own; return what it printed."""
    command = [sys.executable, str(EXAMPLES / program), *arguments]
    environment = {**os.environ, "COLUMNS": "100"}
    done = subprocess.run(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=300,
    )
    return done.stdout


def test_demo_outlines_some_files(tmp_path: Path) -> None:
    shown = run("demo", "--files", "8", "--plot", str(tmp_path / "plot.png"))
    assert "8 modules" in shown
    assert "64" in shown  # outlines needed: 4 workers, 2 rounds, 8 files
    # Each is computed once, or once by each of 4 workers.
    assert "(8 instead of 32 with lru_cache)" in " ".join(shown.split())
    assert "hit ratio" in shown
    assert "plot" in shown


def test_counter_loses_nothing() -> None:
    assert run("counter.py") == "visits: 4000\n"


def test_read_through_reads_once_and_writes_late() -> None:
    assert run("read_through.py").splitlines() == [
        "reading apples",
        "3 3",
        "in the source: 3",
        "writing apples 4",
        "in the source: 4",
    ]


def test_update_keeps_the_old_value_when_the_block_raises() -> None:
    assert run("update.py").splitlines() == [
        "['a'] True",
        "['a', 'b']",
        "nothing was written: ['a', 'b']",
    ]


def test_computing_once_asks_the_database_once() -> None:
    assert run("computing_once.py") == "requests: 300\nqueries: 1\n"


def test_the_rate_limiter_lets_five_through_in_all() -> None:
    assert run("rate_limiter.py").splitlines() == [
        "5 x 401 Unauthorized",
        "145 x 429 Too Many Requests",
        "another user: 200 OK",
    ]


def test_every_example_is_tested() -> None:
    programs = {path.name for path in EXAMPLES.iterdir()} - {"__pycache__"}
    # Those with a framework: tests/contrib/test_examples.py.
    programs = {name for name in programs if not name.startswith("with_")}
    source = Path(__file__).read_text(encoding="utf-8")
    assert all(f'run("{name}"' in source for name in programs)
