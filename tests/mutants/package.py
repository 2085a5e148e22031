"""Break the package in each known way, and see that its tests notice.

    python tests/mutants/package.py                     each break, its tests
    python tests/mutants/package.py links_are_followed  these breaks only
    python tests/mutants/package.py --output FILE       write the results as JSON

Works on a copy of the tree below build/, which is built anew for each break.
First the tests of all have to pass there with nothing broken. Prints a table
of breaks and of the tests that failed, and exits with 1 when a break survives.
Needs what the tests need, and a C compiler.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from edits import ROOT, broken, require_all
from package_breaks import BREAKS, Break
from sources import copy_sources

TREE = ROOT / "build" / "package"
SECONDS_MAX = 600
FAILED = re.compile(r"^(?:FAILED|ERROR) \S*?([^/\s]+\.py\S*)(?: - (.*))?$", re.M)


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the copy, which then is the package that is imported."""
    more = {"PYTHONPATH": str(TREE), "COLUMNS": "400", "FASTMMAP_LONG": "2"}
    environment = {**os.environ, **more}
    return subprocess.run(
        [sys.executable, *command],
        cwd=TREE,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )


def copy_tree() -> None:
    """Make the copy."""
    shutil.rmtree(TREE, ignore_errors=True)
    TREE.mkdir(parents=True)
    copy_sources(TREE, "tests")


def build() -> None:
    """Build the extension in the copy; exits if that fails."""
    done = run("setup.py", "-q", "build_ext", "--inplace")
    if done.returncode != 0:
        sys.exit(f"the copy does not build:\n{done.stdout}{done.stderr}")
    place = run("-c", "import fastmmap; print(fastmmap.__file__)").stdout
    if not place.startswith(str(TREE)):
        sys.exit(f"the tests would import {place or 'nothing'}")


def is_compiled(one: Break) -> bool:
    """Tell whether the extension has the defect in it."""
    return any(name.startswith("csrc/") for name, _, _ in one.edits)


def failures(tests: tuple[str, ...]) -> dict[str, str]:
    """Run tests; return those that failed, and the message of each."""
    options = ("-q", "--tb=no", "-rfE", "-p", "no:cacheprovider", "--timeout=300")
    try:
        done = run("-m", "pytest", *options, *tests)
    except subprocess.TimeoutExpired:
        return {"all": f"do not end within {SECONDS_MAX} s"}
    if done.returncode == 0:
        return {}
    found = {name: message for name, message in FAILED.findall(done.stdout)}
    return found or {"pytest": f"exit status {done.returncode}"}


def try_break(one: Break, sound: bool) -> dict[str, str]:
    """Return who caught it; ``sound``: what is built has no defect."""
    with broken(TREE, one.name, one.edits):
        if is_compiled(one) or not sound:
            build()
        return failures(one.tests)


def require_sound(breaks: list[Break]) -> None:
    """Exit unless the tests pass with nothing broken."""
    tests = dict.fromkeys(test for one in breaks for test in one.tests)
    failed = failures(tuple(tests))
    for name, message in failed.items():
        print(f"with nothing broken: {name}: {message}")
    if failed:
        sys.exit(1)


def report(name: str, caught: dict[str, str]) -> None:
    """Print the lines of one break."""
    if not caught:
        print(f"{name:42} SURVIVED", flush=True)
    for test, message in caught.items():
        print(f"{name:42} {test}: {message[:100]}", flush=True)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("breaks", nargs="*", help="only these")
    parser.add_argument("--output", type=Path, help="write the results as JSON")
    return parser.parse_args()


def main() -> int:
    """Try the breaks; return the exit status."""
    options = arguments()
    began = time.time()
    by_name = {one.name: one for one in BREAKS}
    chosen = [by_name[name] for name in options.breaks or by_name]
    for one in chosen:
        require_all(one.name, one.edits)
    copy_tree()
    build()
    require_sound(chosen)
    # What is built last stays: those without C code come first.
    results: dict[str, dict[str, str]] = {}
    sound = True
    for one in sorted(chosen, key=is_compiled):
        results[one.name] = try_break(one, sound)
        sound = sound and not is_compiled(one)
        report(one.name, results[one.name])
    survivors = [name for name, caught in results.items() if not caught]
    seconds = round(time.time() - began, 1)
    print(f"{len(results)} breaks, {len(survivors)} survivors, {seconds} s")
    if options.output:
        date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
        record = {"date": date, "seconds": seconds, "breaks": results}
        text = json.dumps(record, indent=2, sort_keys=True)
        options.output.write_text(text + "\n", encoding="utf-8")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
