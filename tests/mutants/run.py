"""Build the engine broken in each known way, and see that a test notices.

    python tests/mutants/run.py                 each mutant, its known catcher
    python tests/mutants/run.py --quick         a part of them, in 3 minutes
    python tests/mutants/run.py --search        all catchers until one notices
    python tests/mutants/run.py --all           all mutants, all catchers
    python tests/mutants/run.py no_recheck ...  these mutants only
        --catcher NAME                          this catcher only

Each catcher has to pass on the sound engine first. Prints a table of mutants
and of who caught them, and exits with 1 when one survives. Needs make and a C
compiler; the fuzzers, clang.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from catchers import BY_NAME, CATCHERS, CORE, Broken, Catcher, Sound
from known import KNOWN, QUICK

SWITCH = re.compile(r"FMM_(BOUND|MUTATE|MUTANT_IS)\(\s*(\w+)")
TRIES = 3  # of a known catcher: what it does is random, and may miss once
NOT_A_MUTANT = {"name"}  # the parameter of the macros themselves
KINDS = {"BOUND": "bound", "MUTATE": "order", "MUTANT_IS": "rule"}


@dataclass
class Mutant:
    """A switch in the sources, the files that have it, and what came of it."""

    name: str
    kind: str
    files: list[Path]
    caught: dict[str, str]
    seconds: float = 0.0


def mutants() -> dict[str, Mutant]:
    """Return each switch in the sources."""
    found: dict[str, Mutant] = {}
    for path in sorted(CORE.glob("*.c")):
        for macro, name in SWITCH.findall(path.read_text(encoding="utf-8")):
            one = found.setdefault(name, Mutant(name, KINDS[macro], [], {}))
            if macro == "MUTATE":
                one.kind = "order"
            if path not in one.files:
                one.files.append(path)
    return {name: found[name] for name in sorted(found.keys() - NOT_A_MUTANT)}


def candidates(mutant: str, mode: str) -> list[Catcher]:
    """Return the catchers to try, the known one first."""
    known = [BY_NAME[name] for name in KNOWN.get(mutant, ())]
    if mode == "known":
        return known
    return known + [catcher for catcher in CATCHERS if catcher not in known]


def try_mutant(
    mutant: Mutant, catchers: list[Catcher], sound: Sound, mode: str
) -> None:
    """Find out who catches it, and how."""
    tries = TRIES if mode == "known" else 1
    builds: dict[str, Broken] = {}
    for catcher in catchers:
        seconds = sound.patience(catcher)
        began = time.monotonic()
        variant = catcher.variant
        if variant not in builds:
            builds[variant] = Broken(mutant.name, mutant.files, variant)
        hows = (builds[variant].run(catcher, seconds) for _ in range(tries))
        how = next(filter(None, hows), None)
        mutant.seconds = round(mutant.seconds + time.monotonic() - began, 1)
        if how is not None:
            mutant.caught[catcher.name] = how
            if mode != "all":
                break
    for build in builds.values():
        build.remove()


def report(mutant: Mutant) -> None:
    """Print the lines of one mutant."""
    if not mutant.caught:
        print(f"{mutant.name:22} {mutant.kind:6} SURVIVED", flush=True)
    for name, how in mutant.caught.items():
        print(f"{mutant.name:22} {mutant.kind:6} {name:25} {how}", flush=True)


def row_of(mutant: Mutant) -> dict[str, object]:
    """Return what `--output` writes of one mutant."""
    by = next(iter(mutant.caught), None)
    row = {"name": mutant.name, "kind": mutant.kind, "caught_by": by}
    return {**row, "how": mutant.caught.get(by or ""), "seconds": mutant.seconds}


def record(tried: list[Mutant], path: Path) -> dict[str, object]:
    """Return what `--output` writes: of mutants not tried now, what is there."""
    rows = {}
    if path.exists():
        known = json.loads(path.read_text())["mutants"]
        rows = {row["name"]: row for row in known if row["name"] in mutants()}
    rows.update({mutant.name: row_of(mutant) for mutant in tried})
    silent = [name for name, row in rows.items() if row["caught_by"] is None]
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "seconds": round(sum(row["seconds"] for row in rows.values()), 1),
        "mutants": [rows[name] for name in sorted(rows)],
        "caught": len(rows) - len(silent),
        "survived": sorted(silent),
    }


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("mutants", nargs="*", help="only these")
    parser.add_argument("--quick", action="store_true", help="a part of them")
    parser.add_argument("--search", dest="mode", action="store_const", const="search")
    parser.add_argument("--all", dest="mode", action="store_const", const="all")
    parser.add_argument("--catcher", type=BY_NAME.__getitem__, action="append")
    parser.add_argument("--output", type=Path, help="write or update the results, JSON")
    parser.set_defaults(mode="known")
    return parser.parse_args()


def main() -> int:
    """Try the mutants; returns the exit status."""
    options = arguments()
    began = time.monotonic()
    found = mutants()
    names = options.mutants or (QUICK if options.quick else list(found))
    sound = Sound()
    for name in names:
        catchers = options.catcher or candidates(name, options.mode)
        try_mutant(found[name], catchers, sound, options.mode)
        report(found[name])
    tried = [found[name] for name in names]
    seconds = round(time.monotonic() - began, 1)
    left = sum(not mutant.caught for mutant in tried)
    caught = len(tried) - left
    print(f"{len(tried)} mutants, {caught} caught, {left} survived, {seconds} s")
    if options.output:
        text = json.dumps(record(tried, options.output), indent=2)
        options.output.write_text(text + "\n", encoding="utf-8")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
