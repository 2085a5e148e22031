"""Run all tests, go on after failures, and write what happened to one file.

Run as ``python tools/report.py``. For systems that nobody of us has: see
docs/platforms.rst. It asks for a C compiler, make and zlib's header, and knows
nothing of what a system calls them.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "report"
REPORT = ROOT / "build" / "report.txt"
PROGRAMS = BUILD / "core" / "tests"
CORE = ROOT / "csrc" / "core"
PYTHON = BUILD / "env" / "bin" / "python"
#: Seconds that one command may take, and the lines of its output that are kept.
LIMIT, LINES = 1200, 60


def facts() -> str:
    """Return what system this is."""
    system = [platform.platform(), platform.machine(), f"{os.cpu_count()} CPUs"]
    return "; ".join([*system, platform.python_version(), *os.uname()])


def before() -> Iterator[list[str]]:
    """Yield the commands that build: the core with its tests, and the package."""
    folder = f"BUILD={BUILD / 'core'}"
    yield ["cc", "--version"]
    yield ["make", "-sk", "-j2", "-C", str(CORE), folder, "programs"]
    yield [sys.executable, "-m", "venv", str(PYTHON.parent.parent)]
    yield [str(PYTHON), "-m", "pip", "install", "-q", "-e", f"{ROOT}[all]"]
    tests = ["pytest", "pytest-timeout", "pytest-xdist", "hypothesis"]
    yield [str(PYTHON), "-m", "pip", "install", "-q", *tests]


def after() -> Iterator[list[str]]:
    """Yield the commands that test what was built."""
    programs = (path for path in PROGRAMS.glob("test_*") if not path.suffix)
    yield from ([str(path)] for path in sorted(programs))
    yield [str(PYTHON), str(ROOT / ".ci" / "use_installed.py")]
    chosen = ["tests/unit", "tests/property", "tests/hazards", "tests/stress"]
    options = ["-q", "-n", "2", "--timeout", "120", "--continue-on-collection-errors"]
    yield [str(PYTHON), "-m", "pytest", *options, *chosen]


def last_lines(printed: str | bytes | None) -> str:
    """Return the end of what a command printed; cut off it is bytes."""
    if isinstance(printed, bytes):
        printed = printed.decode(errors="replace")
    return "\n".join((printed or "").splitlines()[-LINES:])


def run(command: list[str]) -> tuple[str, str]:
    """Run one command; return how it ended, and the end of what it printed."""
    began = time.monotonic()
    try:
        done = subprocess.run(
            command,
            check=False,
            cwd=CORE if Path(command[0]).parent == PROGRAMS else ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=LIMIT,
        )
    except subprocess.TimeoutExpired as error:
        return "DID NOT END", f"{error}\n{last_lines(error.stdout)}"
    except OSError as error:
        return "DID NOT BEGIN", str(error)
    how = "passed" if done.returncode == 0 else f"FAILED ({done.returncode})"
    return f"{how}, {time.monotonic() - began:.0f} s", last_lines(done.stdout)


def write(out: TextIO, command: list[str]) -> bool:
    """Run one command and add it to the report; return whether it passed."""
    ended, shown = run(command)
    line = f"{ended}: {' '.join(command)}"
    print(line, flush=True)
    passed = ended.startswith("passed")
    # Of a test program that passed its last line tells enough.
    kept = shown.splitlines()[-1:] if passed else shown.splitlines()
    out.write("\n".join([line, *(f"    {each}" for each in kept)]) + "\n")
    return passed


def main() -> None:
    """Run everything; say how much of it passed, and where the report is."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with REPORT.open("w", encoding="utf-8") as out:
        out.write(f"{facts()}\n\n")
        passed = [write(out, command) for command in before()]
        passed += [write(out, command) for command in after()]
        total = f"{sum(passed)} of {len(passed)} commands passed"
        out.write(f"\n{total}\n")
    print(f"{total}; the report to send is {REPORT}")


if __name__ == "__main__":
    main()
