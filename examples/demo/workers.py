"""The worker processes: what each does, and how all of them are run.

Every worker needs every module twice, each in another order, as the workers of a
web server all need the same pages.
"""

from __future__ import annotations

import multiprocessing
import random
import sys
import time
import tracemalloc
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from outline import Outline, outline

from fastmmap import FastMmap

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue
    from multiprocessing.sharedctypes import SynchronizedArray
    from multiprocessing.synchronize import Barrier

WORKERS = 4
ROUNDS = 2
RATE_PASSES = 10
START_LIMIT = 60.0  # seconds until every worker must be there
SPAWN = multiprocessing.get_context("spawn")

Watch = Callable[[float, list[int]], None]


class Work(NamedTuple):
    """What one worker did in one phase."""

    computed: int
    cached: int
    seconds: float


class Warm(NamedTuple):
    """One worker's lookups in the full cache, and the size of a private one."""

    calls: int
    seconds: float
    private_bytes: int


class Team(NamedTuple):
    """What the workers of a phase have in common with their parent."""

    barrier: Barrier
    done: SynchronizedArray[int]
    answers: SimpleQueue[Work | Warm]


def key_of(path: Path) -> str:
    """Return a key that changes when the file does."""
    stat = path.stat()
    return f"{path}:{stat.st_mtime_ns}:{stat.st_size}"


def shuffled(paths: list[Path], seed: int) -> list[Path]:
    """Return the paths of all rounds, each round in another order."""
    rng = random.Random(seed)
    return [path for _ in range(ROUNDS) for path in rng.sample(paths, len(paths))]


def work(number: int, paths: list[Path], cache: FastMmap | None, team: Team) -> None:
    """Outline all paths, with the shared cache or else a private ``lru_cache``."""
    todo = shuffled(paths, number)
    computed = 0

    def compute(path: Path) -> Outline:
        nonlocal computed
        computed += 1
        return outline(path)

    private = lru_cache(maxsize=None)(compute)
    team.barrier.wait(START_LIMIT)
    start = time.perf_counter()
    for path in todo:
        if cache is None:
            private(path)
        else:
            cache.get_or_set(key_of(path), partial(compute, path))
        team.done[number] += 1
    seconds = time.perf_counter() - start
    team.answers.put(Work(computed, len(todo) - computed, seconds))


def read_warm(number: int, paths: list[Path], cache: FastMmap, team: Team) -> None:
    """Time lookups in the full cache; then weigh a private copy of it."""
    keys = [key_of(path) for path in shuffled(paths, number)] * RATE_PASSES
    team.barrier.wait(START_LIMIT)
    start = time.perf_counter()
    for key in keys:
        cache.get(key)
    seconds = time.perf_counter() - start
    team.answers.put(Warm(len(keys), seconds, private_copy_size(cache)))


def private_copy_size(cache: FastMmap) -> int:
    """Return the bytes that a dict of everything in the cache takes."""
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    private = dict(cache.items())
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del private
    return after - before


def watch_nothing(seconds: float, done: list[int]) -> None:
    """Show no progress."""


def run_workers(
    target: Callable[[int, list[Path], FastMmap, Team], None]
    | Callable[[int, list[Path], FastMmap | None, Team], None],
    paths: list[Path],
    cache: FastMmap | None,
    watch: Watch = watch_nothing,
) -> list[Work | Warm]:
    """Run `target` in all workers, which start together; return their answers.

    `watch` is called ten times a second with the time since the start and how
    many files each worker has done.
    """
    done = SPAWN.Array("q", WORKERS)
    team = Team(SPAWN.Barrier(WORKERS + 1), done, SPAWN.SimpleQueue())
    workers = [
        SPAWN.Process(target=target, args=(number, paths, cache, team))
        for number in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    team.barrier.wait(START_LIMIT)
    start = time.perf_counter()
    while any(worker.is_alive() for worker in workers):
        watch(time.perf_counter() - start, done[:])
        time.sleep(0.1)
    watch(time.perf_counter() - start, done[:])
    if any(worker.exitcode for worker in workers):
        sys.exit("a worker failed; its message is above")
    return [team.answers.get() for _ in workers]
