"""Which part of the requests does a cache of so many bytes answer?

Real traces and generated ones, replayed through the real engine, in caches of
1, 5, 10 and 25 % of the trace's working set, beside simulated policies of the
same bytes and beside Cache::FastMmap. Nothing here depends on the machine's speed.
The hash of each cache file has a random seed: the engine runs several times.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import peers
import servers
import traces
from replay import (
    ENGINE,
    PAGE_SIZE,
    PERL_ENGINE,
    SIMULATED,
    Counts,
    build,
    replay,
    replay_perl,
)
from runner import Figures, Scale, Skipped, report, significant

PERCENTS = (1, 5, 10, 25)
LEAST_PAGES = 3


class Cell(NamedTuple):
    """A trace and a cache size."""

    trace: str
    percent: int
    pages: int


def prepare(directory: Path, scale: Scale, skipped: Skipped) -> dict[str, Path]:
    """Write the traces that there are as text; return their paths."""
    files = {}
    real = traces.shared_traces()
    if not real:
        skipped.note("real traces", "../shared/traces is not there")
    for name, source in real.items():
        if source.stat().st_size <= scale.pick(1 << 30, 300_000, 60_000):
            files[name] = directory / name
            traces.unpack(source, files[name])
        else:
            skipped.note(name, "too long for this run")
    count = scale.pick(400_000, 20_000, 10_000)
    for name in traces.GENERATED:
        files[name] = directory / name
        traces.generate(name, files[name], count)
    return files


def cells(files: dict[str, Path]) -> Iterator[Cell]:
    """Yield those sizes of each trace that are at least three pages.

    A cache gets no more than its part: pages are whole ones.
    """
    for name, path in files.items():
        total = traces.working_set(path)
        for percent in PERCENTS:
            pages = total * percent // (100 * PAGE_SIZE)
            if pages >= LEAST_PAGES:
                yield Cell(name, percent, pages)


def ratios(counts: Counts) -> Figures:
    """Return hit ratios by requests and by bytes."""
    return {
        "hits": round(counts["hits"] / counts["gets"], 5),
        "byte_hits": round(counts["hit_bytes"] / counts["get_bytes"], 5),
    }


def engine_figures(runs: list[Counts]) -> Figures:
    """Return the mean of the runs of the engine, and what it did."""
    several = [ratios(run) for run in runs]
    means = {name: statistics.fmean(r[name] for r in several) for name in several[0]}
    hits = [run["hits"] for run in several]
    (first, *_) = runs
    return {
        **{name: round(value, 5) for name, value in means.items()},
        "range": round(max(hits) - min(hits), 5),
        "live": significant(first["live_bytes"] / first["total_bytes"]),
        "moved": significant(first["moved_bytes"] / max(first["set_bytes"], 1)),
        "most_moved": max(run["most_moved"] for run in runs),
        "refused": first["refused"],
        "slot_evictions": first["slot_evictions"],
    }


def answer(cell: Cell, file: Path, directory: Path, perl: bool, runs: int) -> Figures:
    """Return the figures of all policies in one cell."""
    policies = [*[ENGINE] * runs, *SIMULATED]
    made = replay(file, directory, policies, cell.pages)
    figures = {ENGINE: engine_figures([counts for _, counts in made[:runs]])}
    figures.update({policy: ratios(counts) for policy, counts in made[runs:]})
    if perl:
        figures[PERL_ENGINE] = ratios(replay_perl(file, directory, cell.pages))
    return {**cell._asdict(), "policies": figures}


def at_once(job: Callable[[Cell], Figures], jobs: list[Cell]) -> list[Figures]:
    """Return the figures of all cells; a program runs on each processor.

    The threads only wait for these. Whoever interrupts us wants no more of them.
    """
    pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
    try:
        return list(pool.map(job, jobs))
    finally:
        pool.shutdown(cancel_futures=True)


def measure(scale: Scale, skipped: Skipped) -> Figures:
    """Return hit ratios by trace, cache size and policy."""
    build()
    with servers.home() as place:
        directory = Path(place.directory)
        perl = bool(peers.available(place, skipped, ["perl"]))
        files = prepare(directory, scale, skipped)
        runs = scale.pick(3, 1, 1)

        def job(cell: Cell) -> Figures:
            return answer(cell, files[cell.trace], directory, perl, runs)

        results = at_once(job, list(cells(files)))
    return report(
        scale,
        skipped,
        real=[name for name in files if name not in traces.GENERATED],
        results=results,
    )
