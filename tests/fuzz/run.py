"""Run the fuzzers one after the other and sum up what they did.

``python run.py --build DIR --seconds 60`` or ``--runs 10000000``. What is
found is saved in ``crashes/<target>/``; the exit status is 1 then. With
``--seeds`` new corpora are made instead. ``--output FILE`` writes the figures
as JSON, and leaves there what it says of other targets: they can run for
different lengths, and beside each other.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

HERE = Path(__file__).resolve().parent
TIMEOUT = 5  # seconds for one input: every loop of the engine is bounded
MAX_LEN = {"page": 8512, "race": 8768, "file": 12600, "ops": 400}
PROGRESS = re.compile(r"#\d+\t.*?cov: (\d+) ft: (\d+)")
EXECUTED = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
BUDGET = {"page": 60_000, "race": 50_000, "file": 80_000, "ops": 10_000}


def scratch() -> tempfile.TemporaryDirectory[str]:
    """Return a new directory, in memory where that is possible."""
    memory = "/dev/shm"
    return tempfile.TemporaryDirectory(
        prefix="fmmfuzz.", dir=memory if os.access(memory, os.W_OK) else None
    )


def fuzz(program: Path, target: str, arguments: list[str], folder: str) -> str:
    """Run a fuzzer, its files in `folder`; return what it printed."""
    command = [
        str(program),
        f"-timeout={TIMEOUT}",
        f"-max_len={MAX_LEN[target]}",
        "-rss_limit_mb=1024",
        "-print_final_stats=1",
        *arguments,
    ]
    done = subprocess.run(
        command,
        check=False,
        env={**os.environ, "TMPDIR": folder},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    return done.stdout


def files(folder: Path) -> list[Path]:
    """Return the files of a folder that may not exist."""
    return sorted(path for path in folder.glob("*") if path.is_file())


def run_target(program: Path, target: str, given: argparse.Namespace) -> dict[str, int]:
    """Fuzz one target from its corpus, which stays as it is."""
    crashes = given.crashes / target
    crashes.mkdir(parents=True, exist_ok=True)
    before = {path.name for path in files(crashes)}
    limit = f"-runs={given.runs}" if given.runs else f"-max_total_time={given.seconds}"
    began = time.monotonic()
    with scratch() as folder:
        fresh = Path(folder, "corpus")
        fresh.mkdir()
        known = [HERE / kind / target for kind in ("corpus", "crashes")]
        corpora = [str(path) for path in known if files(path)]
        words = [limit, f"-seed={given.seed}", f"-artifact_prefix={crashes}/"]
        text = fuzz(program, target, [*words, str(fresh), *corpora], folder)
    seconds = time.monotonic() - began
    found = [path for path in files(crashes) if path.name not in before]
    if not before and not found:
        crashes.rmdir()
    executed = EXECUTED.search(text) or re.search(r"#(\d+)\t\w+(?!.*#\d+\t)", text)
    runs = int(executed[1]) if executed else 0
    edges, features = PROGRESS.findall(text)[-1] if PROGRESS.search(text) else (0, 0)
    if found or not runs:
        print(text[-6000:])
    return {
        "runs": runs,
        "seconds": round(seconds),
        "runs_per_second": round(runs / seconds),
        "edges": int(edges),
        "features": int(features),
        "findings": len(found),
    }


def keep(smallest: Path, corpus: Path, budget: int) -> None:
    """Copy a merged corpus, the most telling inputs first, within a budget."""
    shutil.rmtree(corpus, ignore_errors=True)
    corpus.mkdir(parents=True)
    # A merge writes them in the order in which it chose them.
    for path in sorted(files(smallest), key=lambda path: path.stat().st_mtime_ns):
        budget -= path.stat().st_size
        if budget >= 0:
            shutil.copyfile(path, corpus / path.name[:12])


def make_seeds(build: Path, target: str) -> None:
    """Replace a corpus by new seeds and a short run, minimised."""
    corpus = HERE / "corpus" / target
    program = build / f"fuzz_{target}"
    with scratch() as folder:
        seeds, grown, smallest = (
            Path(folder, name) for name in ("seeds", "grown", "smallest")
        )
        for path in (seeds, grown, smallest):
            path.mkdir()
        environment = {**os.environ, "TMPDIR": folder}
        maker = [str(build / "seeds"), target, str(seeds)]
        subprocess.run(maker, check=True, env=environment)
        grow = ["-max_total_time=40", "-seed=1", str(grown), str(seeds)]
        fuzz(program, target, grow, folder)
        known = [str(path) for path in (seeds, corpus, grown) if path.exists()]
        # Edges count, not how often each was taken.
        merge = ["-merge=1", "-set_cover_merge=1", "-use_counters=0"]
        fuzz(program, target, [*merge, str(smallest), *known], folder)
        keep(smallest, corpus, BUDGET[target])
    print(f"{target}: {len(files(corpus))} inputs")


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="+", choices=sorted(MAX_LEN))
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--runs", type=int, help="of each target; instead")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 2**31)
    parser.add_argument("--crashes", type=Path, default=HERE / "crashes")
    parser.add_argument("--seeds", action="store_true", help="make new corpora")
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    given = parser.parse_args()
    given.crashes = given.crashes.resolve()
    return given


def record(output: Path, results: dict[str, dict[str, int | str]]) -> None:
    """Write the figures of these targets beside those of the others."""
    known = json.loads(output.read_text()) if output.exists() else {}
    output.write_text(json.dumps(known | results, indent=2, sort_keys=True) + "\n")


def main() -> int:
    """Run what is asked for; 1 if anything was found."""
    given = arguments()
    if given.seeds:
        for target in given.targets:
            make_seeds(given.build, target)
        return 0
    results: dict[str, dict[str, int | str]] = {}
    print(f"seed {given.seed}")
    print("target      runs    runs/s  edges  findings")
    for target in given.targets:
        one = run_target(given.build / f"fuzz_{target}", target, given)
        results[target] = {**one, "date": str(date.today()), "seed": given.seed}
        print(
            f"{target:6} {one['runs']:9,} {one['runs_per_second']:9,}"
            f" {one['edges']:6} {one['findings']:9}",
            flush=True,
        )
        if given.output:
            record(given.output, results)
    sound = all(one["runs"] and not one["findings"] for one in results.values())
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
