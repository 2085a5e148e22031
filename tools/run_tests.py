"""Run pytest on the CPython in use, or on those of this machine, one by one.

The one in use runs the whole suite; the others leave out what is marked
``once``. With ``--quick`` each runs only what is marked ``quick``. Each run writes
its counts, as JUnit XML, into ``build/reports``. Exits with 1 unless every run
passed some tests and failed none, and says how to run again what failed. Further
arguments go to pytest.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from environment import ROOT
from pythons import Interpreter, discover, running

REPORTS = ROOT / "build" / "reports"
EXTRAS = ("all", "test")
CPUS = min(os.cpu_count() or 1, 4)


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
    # Half of the time a test waits, but each worker has to import all of them.
    number = CPUS if "quick" in options else 2 * CPUS
    workers = ["-n", str(number), "--dist", "worksteal"]
    command = [python, "-m", "pytest", *workers, report, *options]
    # Workers and the processes of tests would all compile the same files again.
    variables = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(command, check=False, cwd=ROOT, env=variables)
    if done.returncode != 0:
        print(f"\nTests failed; again, alone: {python} -m pytest --last-failed")
    return done.returncode == 0


def run(interpreter: Interpreter, *options: str) -> bool:
    """Test on one Python; return whether all went well."""
    version = ".".join(map(str, interpreter.version))
    print(f"\nCPython {version}: pytest", *options, flush=True)
    python = environment(interpreter)
    return python is not None and pytest(python, interpreter.minor, *options)


def part(interpreter: Interpreter, quick: bool) -> tuple[str, ...]:
    """Return what chooses the tests that it is to run."""
    if quick:
        return ("-m", "quick")
    return () if interpreter == running() else ("-m", "not once")


def main() -> int:
    """Run the suites; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pythons", choices=("used", "others", "all"), default="used")
    parser.add_argument("--quick", action="store_true", help="the tests marked so")
    given, options = parser.parse_known_args()
    used, *others = discover() if given.pythons != "used" else [running()]
    chosen = others if given.pythons == "others" else [used, *others]
    failed = [
        one.minor for one in chosen if not run(one, *part(one, given.quick), *options)
    ]
    if failed:
        print("tests failed on CPython", *failed, file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
