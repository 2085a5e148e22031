"""Four processes outline the standard library, with private caches and a shared one.

First each worker has a private ``functools.lru_cache``; then all share one FastMmap.
Shows progress and a table, and saves a plot. Run ``make demo``, or
``python examples/demo [--files N] [--plot FILE]``.
"""

from __future__ import annotations

import argparse
import platform
from dataclasses import dataclass, field
from pathlib import Path

from display import Curve, Progress, print_table, save_plot
from outline import standard_library
from workers import ROUNDS, WORKERS, Warm, Work, read_warm, run_workers, work

from fastmmap import FastMmap

MIB = 1024 * 1024


@dataclass
class Phase:
    """One run of all workers over all files."""

    name: str
    results: list[Work] = field(default_factory=list)
    curve: list[tuple[float, int]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Return the time until the last worker was done."""
        return max(result.seconds for result in self.results)

    @property
    def computed(self) -> int:
        """Return how many outlines were computed, by all workers."""
        return sum(result.computed for result in self.results)

    @property
    def cached(self) -> int:
        """Return how many outlines came out of a cache."""
        return sum(result.cached for result in self.results)


def run_phase(name: str, paths: list[Path], cache: FastMmap | None) -> Phase:
    """Let the workers do all their work once, and show their progress."""
    phase = Phase(name)
    with Progress(name, WORKERS, ROUNDS * len(paths)) as progress:

        def watch(seconds: float, done: list[int]) -> None:
            phase.curve.append((seconds, sum(done)))
            progress.show(done)

        answers = run_workers(work, paths, cache, watch)
    phase.results = [answer for answer in answers if isinstance(answer, Work)]
    return phase


def measure_warm(paths: list[Path], cache: FastMmap) -> tuple[float, int]:
    """Return lookups a second by all workers, and bytes of private caches."""
    answers = run_workers(read_warm, paths, cache)
    results = [answer for answer in answers if isinstance(answer, Warm)]
    rate = sum(result.calls for result in results) / max(r.seconds for r in results)
    return rate, sum(result.private_bytes for result in results)


def table(files: int, private: Phase, shared: Phase) -> list[tuple[str, str]]:
    """Return the rows that compare the two phases."""
    needed = shared.computed + shared.cached
    return [
        ("files", f"{files:,}"),
        (f"outlines needed ({WORKERS} workers, {ROUNDS} rounds)", f"{needed:,}"),
        ("computed with private caches", f"{private.computed:,}"),
        ("computed with the shared cache", f"{shared.computed:,}"),
        ("hit ratio with private caches", f"{private.cached / needed:.1%}"),
        ("hit ratio with the shared cache", f"{shared.cached / needed:.1%}"),
        ("time with private caches", f"{private.seconds:.1f} s"),
        ("time with the shared cache", f"{shared.seconds:.1f} s"),
    ]


def verdict(private: Phase, shared: Phase) -> str:
    """Say in one line what the run has shown."""
    return (
        f"One shared cache: each outline is computed once for {WORKERS} processes "
        f"({shared.computed:,} instead of {private.computed:,} with lru_cache), "
        f"{private.seconds / shared.seconds:.1f} times as fast."
    )


def parse_arguments() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--files", type=int, help="take only the first N files")
    parser.add_argument("--plot", type=Path, default=Path("build", "demo.png"))
    return parser.parse_args()


def main() -> None:
    """Run the phases and show what came out."""
    arguments = parse_arguments()
    paths = standard_library()[: arguments.files]
    print(f"{len(paths)} modules of Python {platform.python_version()}")
    alone = run_phase("private lru_cache", paths, None)
    with FastMmap(cache_size="4m", entry_size=2600) as cache:
        shared = run_phase("one shared cache", paths, cache)
        rate, private = measure_warm(paths, cache)
        total = cache.stats().bytes_total
    memory = [("one shared", total / MIB), (f"{WORKERS} private", private / MIB)]
    rows = table(len(paths), alone, shared)
    rows.append(("lookups a second, all in the cache", f"{rate:,.0f}"))
    rows.append(("memory of the shared cache, whole file", f"{total / MIB:.1f} MiB"))
    rows.append((f"memory of {WORKERS} private dicts", f"{private / MIB:.1f} MiB"))
    print_table("One cache for four processes", rows)
    print(verdict(alone, shared))
    curves = [Curve(phase.name, phase.curve) for phase in (alone, shared)]
    if save_plot(arguments.plot, curves, memory):
        print(f"plot: {arguments.plot.resolve()}")
    else:
        print("no plot: matplotlib is not installed")


if __name__ == "__main__":
    main()
