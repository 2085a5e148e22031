"""Count the machine instructions of each operation, and compare with the record.

A clock depends on the machine's mood; a count does not. Valgrind's callgrind runs
counted_work.py: what a call takes is the difference between a long and a short run
by the difference of their calls, all that Python does for it included. Counts
depend on the build of Python, the compiler and the processor, so the record,
``benchmarks/results/instructions.json``, keeps those of each configuration apart.

Run ``make instructions-check`` to compare: exit status 1 says that an operation
takes over a tenth more than was recorded. When a change is meant to, run ``make
instructions``, commit the record with it, and say why in the message.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import NamedTuple

WORK = Path(__file__).with_name("counted_work.py")
RECORD = Path(__file__).with_name("results") / "instructions.json"
LIMIT = 0.10  # more than that is a regression
MARKS_EACH = 6  # of an operation: around its three runs
SPARES = (0, 7)
BUILD_OPTIONS = ("enable-optimizations", "with-lto", "enable-shared", "with-pydebug")

Counts = dict[str, int]
Record = dict[str, Counts]


class Change(NamedTuple):
    """One operation: what was recorded (None: nothing), and what it takes now."""

    operation: str
    recorded: int | None
    now: int

    @property
    def share(self) -> float:
        """How much more it takes, as a part of what was recorded."""
        return self.now / self.recorded - 1 if self.recorded else 0.0

    @property
    def is_regression(self) -> bool:
        """Whether that is too much."""
        return self.recorded is not None and self.now > self.recorded * (1 + LIMIT)


def configuration() -> str:
    """Return what the counts depend on, in words."""
    options = sysconfig.get_config_var("CONFIG_ARGS") or ""
    build = [name for name in BUILD_OPTIONS if f"--{name}" in options]
    python = f"{platform.python_implementation()} {platform.python_version()}"
    compiler = platform.python_compiler()
    return ", ".join([python, compiler, *build, platform.machine()])


def run_counted(directory: str, spare: int) -> list[tuple[str, int, int]]:
    """Run the work under callgrind, which leaves its counts in the directory.

    So many spare strings move what is allocated after them.
    """
    if shutil.which("valgrind") is None:
        sys.exit("valgrind is missing: python tools/system.py valgrind")
    command = ["valgrind", "-q", "--tool=callgrind", "--dump-before=getppid"]
    command += [f"--callgrind-out-file={directory}/count", sys.executable, str(WORK)]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    environment.update({f"SPARE{number}": "x" * 64 for number in range(spare)})
    done = subprocess.run(
        command, check=True, env=environment, stdout=subprocess.PIPE, text=True
    )
    return [(name, short, long) for name, short, long in json.loads(done.stdout)]


def read_totals(directory: str) -> list[int]:
    """Return what was counted before each mark since the one before it."""
    files = sorted(
        Path(directory).glob("count.*"), key=lambda file: int(file.suffix[1:])
    )
    totals = (re.findall(r"^totals: (\d+)", file.read_text(), re.M) for file in files)
    return [int(total) for (total,) in totals]


def count() -> Counts:
    """Return the fewest instructions per call of each operation.

    A value at the end of a pool of Python's allocator costs 66 more, each time.
    """
    several = [count_once(spare) for spare in SPARES]
    return {name: min(counts[name] for counts in several) for name in several[0]}


def count_once(spare: int) -> Counts:
    """Return the instructions per call of each operation in one run."""
    with tempfile.TemporaryDirectory() as directory:
        done = run_counted(directory, spare)
        totals = read_totals(directory)
    counts = {}
    for place, (name, short_calls, long_calls) in enumerate(done):
        _, _, _, short, _, long = totals[MARKS_EACH * place :][:MARKS_EACH]
        counts[name] = round((long - short) / (long_calls - short_calls))
    return counts


def compare(recorded: Counts, now: Counts) -> list[Change]:
    """Return each operation beside its record."""
    return [Change(name, recorded.get(name), taken) for name, taken in now.items()]


def as_text(changes: list[Change]) -> str:
    """Return a table of the changes."""
    lines = [f"{'operation':18}{'recorded':>10}{'now':>10}{'change':>9}"]
    for change in changes:
        known = change.recorded is not None
        recorded = f"{change.recorded:,}" if known else "-"
        share = f"{change.share:+.1%}" if known else "new"
        mark = "  too much" if change.is_regression else ""
        lines.append(
            f"{change.operation:18}{recorded:>10}{change.now:>10,}{share:>9}{mark}"
        )
    return "\n".join(lines)


def verdict(changes: list[Change]) -> str:
    """Return what is wrong and what to do, or "" when all is well."""
    worse = [change.operation for change in changes if change.is_regression]
    if not worse:
        return ""
    return (
        f"More than {LIMIT:.0%} above the record: {', '.join(worse)}. Find out why. "
        "When the change is worth it, run `make instructions`, commit "
        f"benchmarks/results/{RECORD.name} with it, and say why in the message."
    )


def check(record: Record, here: str, now: Counts) -> str:
    """Print the comparison; return what is wrong, or ""."""
    if here not in record:
        print(as_text(compare({}, now)))
        print(f"Nothing is recorded for {here}: nothing to compare with.")
        return ""
    changes = compare(record[here], now)
    print(as_text(changes))
    return verdict(changes)


def main() -> None:
    """Count, and record or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    arguments = parser.parse_args()
    here = configuration()
    print(here, flush=True)
    record: Record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    now = count()
    if arguments.check:
        sys.exit(check(record, here, now) or 0)
    print(as_text(compare(record.get(here, {}), now)))
    record[here] = now
    RECORD.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
