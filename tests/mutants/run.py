"""Build the engine broken in each known way, and see that a test notices.

    python tests/mutants/run.py                 each mutant, its known catcher
    python tests/mutants/run.py --quick         a part of them, in 3 minutes
    python tests/mutants/run.py --harmless      what nothing may depend on, left out
    python tests/mutants/run.py --search        all catchers until one notices
    python tests/mutants/run.py --all           all mutants, all catchers
    python tests/mutants/run.py no_recheck ...  these mutants only
        --catcher NAME                          this catcher only

Works on a copy of the sources below build/. Each catcher has to pass on the
sound engine first. Prints a table of mutants and of who caught them, and exits
with 1 when one survives, or a harmless one does not. Needs make and a C
compiler; the fuzzers, clang.
"""

from __future__ import annotations

import argparse
import datetime
import fcntl
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from catchers import BY_NAME, CATCHERS, OUT, Broken, Catcher, Sound, copy_sources
from edits import require_all
from engine_breaks import BREAKS, HARMLESS, Break
from known import KNOWN, QUICK, UNMISSED

TRIES = 3  # of a known catcher: what it does is random, and may miss once
BREAK_OF = {one.name: one for one in sorted(BREAKS, key=lambda one: one.name)}


@dataclass
class Mutant:
    """A broken engine, and what came of it."""

    broken: Break
    caught: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def name(self) -> str:
        """What it is called."""
        return self.broken.name

    @property
    def kind(self) -> str:
        """What is broken: a bound, an order or a rule."""
        return self.broken.kind


def harmless() -> bool:
    """Leave out what nothing may depend on; returns whether nothing missed it."""
    sound = Sound()
    missed = False
    for one in HARMLESS:
        mutant = Mutant(one)
        catchers = [BY_NAME[name] for name in UNMISSED[one.name]]
        try_mutant(mutant, catchers, sound, "all")
        report(mutant)
        missed = missed or bool(mutant.caught)
    return not missed


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
            builds[variant] = Broken(mutant.broken, variant)
        how = builds[variant].run(catcher, seconds, tries)
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
        fate = "not missed" if mutant.name in UNMISSED else "SURVIVED"
        print(f"{mutant.name:22} {mutant.kind:6} {fate}", flush=True)
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
        rows = {row["name"]: row for row in known if row["name"] in BREAK_OF}
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
    parser.add_argument("--harmless", action="store_true", help="only the harmless")
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
    names = options.mutants or (QUICK if options.quick else BREAK_OF)
    tried = [Mutant(BREAK_OF[name]) for name in names]
    for one in (*HARMLESS, *(mutant.broken for mutant in tried)):
        require_all(one.name, one.edits)
    OUT.mkdir(parents=True, exist_ok=True)
    lock = (OUT / "lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)  # until the end: two runs share the copy
    copy_sources()
    if options.harmless:
        return 0 if harmless() else 1
    sound = Sound()
    for mutant in tried:
        catchers = options.catcher or candidates(mutant.name, options.mode)
        try_mutant(mutant, catchers, sound, options.mode)
        report(mutant)
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
