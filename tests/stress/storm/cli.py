"""The command line of the storm."""

from __future__ import annotations

import argparse
import datetime
import importlib
import importlib.util
import json
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

from .modes import MODES
from .plan import Plan
from .sabotage import SABOTAGES
from .supervisor import FAULTS, blow, faults

COLUMNS = ("seconds", "kills", "stops", "operations", "reads", *FAULTS, "recoveries")
PEER_MODES = ("set", "evict", "incr", "get_and_set")
PEER_GAPS = {"diskcache": 0.03, "Cache::FastMmap": 0.02}


def main() -> int:
    """Run the storm in each mode; return 1 if a promise was broken."""
    arguments = parse()
    print(f"seed {arguments.seed}", flush=True)
    if arguments.peer and not version(arguments.peer):
        print(f"skipped: {arguments.peer} is not installed")
        report(arguments, [], skipped=[arguments.peer])
        return 0
    results = []
    heading = "".join(f"{column:>11}" for column in COLUMNS)
    print(f"{'mode':12}{heading}", flush=True)
    for plan in plans(arguments):
        results.append(blow(plan))
        show(results[-1])
    show(total(results))
    report(arguments, results, skipped=[])
    return int(any(faults(result) for result in results))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="storm", description=main.__doc__)
    parser.add_argument("--kills", type=int, default=0, help="in all modes together")
    parser.add_argument("--seconds", type=float, default=0, help="in all together")
    parser.add_argument("--mode", action="append", choices=sorted(MODES))
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--peer", choices=sorted(PEER_GAPS))
    parser.add_argument("--patience", type=float, default=10.0)
    parser.add_argument("--sabotage", choices=sorted(SABOTAGES), default="")
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    arguments = parser.parse_args()
    if not arguments.kills and not arguments.seconds:
        arguments.seconds = 24.0
    return arguments


def version(store: str) -> str:
    """Return the version of what is installed, "" for nothing."""
    if store != "Cache::FastMmap":
        installed = importlib.util.find_spec(store) is not None
        return str(importlib.import_module(store).__version__) if installed else ""
    if shutil.which("perl") is None:
        return ""
    command = ["perl", "-MCache::FastMmap", "-e", "print $Cache::FastMmap::VERSION"]
    return subprocess.run(command, capture_output=True, text=True).stdout


def plans(arguments: argparse.Namespace) -> list[Plan]:
    """Return a plan for each mode, the limits shared out evenly."""
    names = arguments.mode or (PEER_MODES if arguments.peer else list(MODES))
    options: dict[str, Any] = {}
    if arguments.peer:
        options = {"store": arguments.peer, "gap": PEER_GAPS[arguments.peer]}
    if arguments.peer == "Cache::FastMmap":
        options["threads"] = 1
    return [
        Plan(
            name,
            seconds=arguments.seconds / len(names),
            kills=-(-arguments.kills // len(names)),
            seed=arguments.seed,
            patience=arguments.patience,
            sabotage=arguments.sabotage,
            **options,
        )
        for name in names
    ]


def show(result: dict[str, Any]) -> None:
    """Print one line of the table."""
    cells = "".join(f"{result.get(column, '-'):>11}" for column in COLUMNS)
    print(f"{result['mode']:12}{cells}", flush=True)


def total(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the sums of all modes."""
    sums = {
        column: round(sum(result.get(column, 0) for result in results), 1)
        for column in COLUMNS
    }
    return {"mode": "total", **sums}


def report(
    arguments: argparse.Namespace, results: list[dict[str, Any]], skipped: list[str]
) -> None:
    """Write the figures where they were asked for."""
    if arguments.output is None:
        return
    figures = {
        "date": datetime.date.today().isoformat(),
        "modes": results,
        "seed": arguments.seed,
        "skipped": skipped,
        "store": arguments.peer or "fastmmap",
        "total": total(results),
        "version": version(arguments.peer or "fastmmap"),
    }
    text = json.dumps(figures, indent=2, sort_keys=True)
    arguments.output.write_text(text + "\n")
