"""Run pytest on every CPython of this machine, one after the other.

The one in use runs the whole suite; the others leave out what is marked
``once``, or with ``--quick`` run only what is marked ``quick``. Each run writes its
counts, as JUnit XML, into ``build/reports``. Exits with 1 unless every run passed
some tests and failed none. Further arguments go to pytest.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys

from environment import ROOT
from pythons import Interpreter, discover

REPORTS = ROOT / "build" / "reports"
EXTRAS = ("all", "test")
WORKERS = min(os.cpu_count() or 1, 4)


def environment(interpreter: Interpreter) -> str | None:
    """Return the Python of an up-to-date environment; None if that failed."""
    command = [str(interpreter.path), str(ROOT / "tools" / "environment.py"), *EXTRAS]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def pytest(python: str, name: str, *options: str) -> bool:
    """Run pytest there; return whether all went well.

    Pytest's exit status for "no tests were run" counts as a failure.
    """
    report = f"--junitxml={REPORTS / name}.xml"
    command = [python, "-m", "pytest", "-n", str(WORKERS), report, *options]
    return subprocess.run(command, check=False, cwd=ROOT).returncode == 0


def run(interpreter: Interpreter, *options: str) -> bool:
    """Test on one Python; return whether all went well."""
    version = ".".join(map(str, interpreter.version))
    print(f"\nCPython {version}: pytest", *options, flush=True)
    python = environment(interpreter)
    return python is not None and pytest(python, interpreter.minor, *options)


def main() -> int:
    """Run the suites; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    arguments, options = parser.parse_known_args()
    shutil.rmtree(REPORTS, ignore_errors=True)
    first, *others = discover()
    part = ("-m", "quick" if arguments.quick else "not once")
    failed = [] if run(first, *options) else [first.minor]
    failed += [other.minor for other in others if not run(other, *part, *options)]
    if failed:
        print("tests failed on CPython", *failed, file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
