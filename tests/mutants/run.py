"""Build the engine broken in each known way, and see that a test notices.

    python tests/mutants/run.py                 each mutant, its known catcher
    python tests/mutants/run.py --search        all catchers until one notices
    python tests/mutants/run.py --all           all mutants, all catchers
    python tests/mutants/run.py no_recheck ...  these mutants only

Prints a table of mutants and of who caught them, and exits with 1 when one
survives. Needs make, a C compiler and nothing else.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from known import EQUIVALENT, KNOWN

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "csrc" / "core"
OUT = ROOT / "build" / "mutants"
SWITCH = re.compile(r"FMM_(?:BOUND|MUTATE|MUTANT_IS)\(\s*(\w+)")
NOT_A_MUTANT = {"name"}  # the parameter of the macros themselves
SANITIZE = {"plain": "", "asan": "address,undefined"}


@dataclass(frozen=True)
class Catcher:
    """A test program that may notice a mutant.

    ``makefile`` is the directory whose Makefile builds ``program`` below its
    ``BUILD`` directory and obeys ``CPPFLAGS`` and ``SANITIZE``.
    """

    program: str
    variant: str = "plain"
    arguments: tuple[str, ...] = ()
    makefile: str = "csrc/core"
    seconds: int = 100

    @property
    def name(self) -> str:
        """The name in tables: the program, and its sanitizer."""
        name = Path(self.program).name
        return name if self.variant == "plain" else f"{name}@{self.variant}"


def c_test(name: str, variant: str = "plain", *arguments: str) -> Catcher:
    """Name a program of tests/c."""
    return Catcher(f"tests/test_{name}", variant, arguments)


UNIT = "entry ring header options page index verify cache scan dirty modseq evict lock"
CATCHERS = (
    *(c_test(name) for name in UNIT.split()),
    *(c_test(name) for name in ("file", "guard", "golden", "read", "hostile")),
    *(c_test(name) for name in ("read_order", "crash_order", "crash_takeover")),
    *(c_test(name) for name in ("crash_open", "random_model", "kill_storm")),
    c_test("file_race"),
    *(c_test(name, "asan") for name in ("entry", "header", "dirty", "scan", "cache")),
    *(c_test(name, "asan") for name in ("page", "evict", "hostile", "random_model")),
)
BY_NAME = {catcher.name: catcher for catcher in CATCHERS}


def mutants() -> dict[str, list[Path]]:
    """Return each switch in the sources, and the files that have it."""
    found: dict[str, list[Path]] = {}
    for path in sorted(CORE.glob("*.c")):
        for name in SWITCH.findall(path.read_text(encoding="utf-8")):
            files = found.setdefault(name, [])
            if path not in files:
                files.append(path)
    return {name: found[name] for name in sorted(found.keys() - NOT_A_MUTANT)}


def make(build: Path, variant: str, *targets: str, flags: str = "") -> None:
    """Run make for one build directory; raises if it fails."""
    command = ["make", "-s", "-C", str(CORE), f"BUILD={build}", "CFLAGS=-O1 -g"]
    command += [f"SANITIZE={SANITIZE[variant]}", f"CPPFLAGS={flags}", *targets]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


class Build:
    """One mutant in one variant: the sound objects, and the broken ones."""

    def __init__(self, mutant: str, files: list[Path], variant: str) -> None:
        """Copy what is sound by hard links; what is broken is made later."""
        self.mutant, self.variant = mutant, variant
        self.path = OUT / f"{mutant}-{variant}"
        shutil.rmtree(self.path, ignore_errors=True)
        subprocess.run(["cp", "-al", OUT / variant, self.path], check=True)
        stale = [self.path / f"{file.stem}.o" for file in files]
        stale += [self.path / "libfmm.a", *self.path.glob("tests/test_*[!.o]")]
        for path in stale:
            if path.suffix != ".d":
                path.unlink(missing_ok=True)

    def run(self, catcher: Catcher) -> str | None:
        """Run one catcher; returns how it noticed, or None."""
        program = self.path / catcher.program
        flags = f"-DFMM_MUTANT=FMM_MUTANT_{self.mutant}" if self.mutant else ""
        make(self.path, self.variant, str(program), flags=flags)
        command = [str(program), *catcher.arguments]
        try:
            done = subprocess.run(
                command,
                cwd=CORE,
                capture_output=True,
                timeout=catcher.seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "hangs"
        output = (done.stdout + done.stderr).decode(errors="replace")
        return None if done.returncode == 0 else symptom(done.returncode, output)


def symptom(code: int, output: str) -> str:
    """Say in a few words how a test program failed."""
    for pattern in (r"Sanitizer: ([\w-]+)", r"runtime error: (.{1,60})"):
        if found := re.search(pattern, output):
            return found[1]
    if code < 0:
        return f"signal {-code}"
    found = re.search(r"^(?:FAILED {1,5}|hung: )(?!\w+: \d)(.+)$", output, re.M)
    return found[1] if found else "fails"


def candidates(mutant: str, mode: str) -> list[Catcher]:
    """Return the catchers to try, the known one first."""
    known = [BY_NAME[name] for name in KNOWN.get(mutant, ())]
    if mode == "known":
        return known or list(CATCHERS)
    return known + [catcher for catcher in CATCHERS if catcher not in known]


def try_mutant(mutant: str, files: list[Path], mode: str) -> dict[str, str]:
    """Return who caught it, and how."""
    builds: dict[str, Build] = {}
    caught: dict[str, str] = {}
    for catcher in candidates(mutant, mode):
        variant = catcher.variant
        if variant not in builds:
            builds[variant] = Build(mutant, files, variant)
        how = builds[variant].run(catcher)
        if how is not None:
            caught[catcher.name] = how
            if mode != "all":
                break
    for build in builds.values():
        shutil.rmtree(build.path)
    return caught


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("mutants", nargs="*", help="only these")
    parser.add_argument("--search", dest="mode", action="store_const", const="search")
    parser.add_argument("--all", dest="mode", action="store_const", const="all")
    parser.add_argument("--output", type=Path, help="write the results as JSON")
    parser.set_defaults(mode="known")
    return parser.parse_args()


def main() -> int:
    """Try the mutants; returns the exit status."""
    options = arguments()
    began = time.time()
    found = mutants()
    chosen = options.mutants or list(found)
    for variant in SANITIZE:
        make(OUT / variant, variant, "programs")
    results = {}
    for mutant in chosen:
        results[mutant] = try_mutant(mutant, found[mutant], options.mode)
        report(mutant, results[mutant])
    survivors = [m for m, caught in results.items() if not caught]
    survivors = [m for m in survivors if m not in EQUIVALENT]
    seconds = round(time.time() - began, 1)
    print(f"{len(results)} mutants, {len(survivors)} survivors, {seconds} s")
    if options.output:
        date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
        record = {"date": date, "seconds": seconds, "mutants": results}
        record["equivalent"] = EQUIVALENT
        text = json.dumps(record, indent=2, sort_keys=True)
        options.output.write_text(text + "\n", encoding="utf-8")
    return 1 if survivors else 0


def report(mutant: str, caught: dict[str, str]) -> None:
    """Print the lines of one mutant."""
    if not caught:
        print(f"{mutant:24} {EQUIVALENT.get(mutant, 'SURVIVED')}", flush=True)
    for name, how in caught.items():
        print(f"{mutant:24} {name:24} {how}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
