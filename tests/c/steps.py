"""Run the stepping tests for long, and record what they saw.

    python tests/c/steps.py BUILD [--changes N] [--output FILE]

BUILD is a build directory of the core (``make -C csrc/core programs``).
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import subprocess
import sys
import time
from pathlib import Path

LINE = re.compile(r"^((?:steps|kills) \w[\w ]*): (.*)$", re.MULTILINE)
FIGURE = re.compile(r"(\d+) ([a-z ]+)")
SEED = re.compile(r"seed (\d+)")


def run(program: Path, argument: list[str]) -> tuple[dict[str, object], bool]:
    """Run one program; returns what it counted, and whether it passed."""
    began = time.time()
    done = subprocess.run(
        [program, *argument], stdout=subprocess.PIPE, text=True, check=False
    )
    sys.stdout.write(done.stdout)
    seed = SEED.search(done.stdout)
    record: dict[str, object] = {
        name.removeprefix("steps "): {
            what.strip(): int(n) for n, what in FIGURE.findall(figures)
        }
        for name, figures in LINE.findall(done.stdout)
    }
    record["seed"] = int(seed[1]) if seed else 0
    record["seconds"] = round(time.time() - began, 1)
    return record, done.returncode == 0


def main() -> int:
    """Run all four programs; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("build", type=Path)
    parser.add_argument("--changes", type=int, default=100, help="of each kind")
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    changes = [str(options.changes)]
    plan = {"order": changes, "takeover": changes, "open": []}
    programs = {f"test_crash_{name}": argument for name, argument in plan.items()}
    programs["test_read_order"] = ["all"]
    tests = options.build / "tests"
    results = {name: run(tests / name, arg) for name, arg in programs.items()}
    passed = all(ok for _, ok in results.values())
    if options.output:
        date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
        record = {"date": date, "changes": options.changes, "passed": passed}
        record["programs"] = {name: counted for name, (counted, _) in results.items()}
        text = json.dumps(record, indent=2, sort_keys=True)
        options.output.write_text(text + "\n", encoding="utf-8")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
