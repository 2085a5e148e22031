"""What does it cost to create a cache, to attach to one, to touch it first?

Milliseconds per call in one process; and how much of the file is in the
process's memory right after it attached.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from itertools import count
from pathlib import Path
from time import perf_counter_ns

import loops
import peers
import servers
from peers import Peer, Place
from runner import Figures, Scale, Skipped, interleaved, report, summaries

from fastmmap import FastMmap

PEERS = ("ours", "lmdb_map", "diskcache_sql", "redis_server", "memcached_pure")
TOUCHED = 100  # keys

Timer = Callable[[], float]


def since(start: int) -> float:
    """Return milliseconds."""
    return (perf_counter_ns() - start) / 1e6


def create(directory: Path, numbers: count[int], size: str, reserve: bool) -> float:
    """Return milliseconds to make a cache file."""
    path = directory / f"new-{next(numbers)}"
    start = perf_counter_ns()
    cache = FastMmap(path, cache_size=size, reserve=reserve)
    taken = since(start)
    cache.close()
    path.unlink()
    return taken


def attach(path: Path) -> float:
    """Return milliseconds to open a file that is there."""
    start = perf_counter_ns()
    cache = FastMmap(path)
    taken = since(start)
    cache.close()
    return taken


def first_touch(path: Path) -> float:
    """Return milliseconds per first get in pages that are not mapped yet."""
    keys = loops.keys_of("key", TOUCHED)
    with FastMmap(path) as cache:
        start = perf_counter_ns()
        for key in keys:
            cache.get(key)
        return since(start) / TOUCHED


def open_and_close(peer: Peer, place: Place) -> float:
    """Return milliseconds until a peer's cache answers its first get."""
    start = perf_counter_ns()
    store = peer.open(place, "raw")
    store.get("key-0")
    taken = since(start)
    store.close()
    return taken


def resident_kib(path: Path) -> int:
    """Return how much of a file is in this process's memory once attached."""
    with FastMmap(path):
        text = Path("/proc/self/smaps").read_text(encoding="utf-8")
    _, _, after = text.partition(str(path))
    return int(after.partition("\nRss:")[2].split()[0])


def fill(path: Path, size: str) -> None:
    """Make a file with a few keys."""
    with FastMmap(path, cache_size=size, reserve=False) as cache:
        cache.set_many(dict.fromkeys(loops.keys_of("key", TOUCHED), loops.RAW))


def own_cases(directory: Path, sizes: list[str]) -> dict[tuple[str, str], Timer]:
    """Return what is measured of fastmmap, by operation and file size."""
    numbers = count()
    cases: dict[tuple[str, str], Timer] = {}
    for size in sizes:
        path = directory / f"file-{size}"
        fill(path, size)
        cases["create, reserved", size] = partial(
            create, directory, numbers, size, True
        )
        cases["create, sparse", size] = partial(create, directory, numbers, size, False)
        cases["attach", size] = partial(attach, path)
        cases["first get of a key", size] = partial(first_touch, path)
    return cases


def measure(scale: Scale, skipped: Skipped) -> Figures:
    """Return milliseconds, by operation and size, and by peer."""
    sizes = scale.pick(["16m", "1g"], ["16m", "1g"], ["1m", "16m"])
    rounds = scale.pick(25, 5, 2)
    home: AbstractContextManager[Place] = servers.place()
    with home as place:
        directory = Path(place.directory)
        found = peers.available(place, skipped, PEERS)
        own = interleaved(own_cases(directory, sizes), rounds)
        others = interleaved(
            {(p.title,): partial(open_and_close, p, place) for p in found}, rounds
        )
        resident = {size: resident_kib(directory / f"file-{size}") for size in sizes}
    return report(
        scale,
        skipped,
        results=summaries(own),
        first_answer=summaries(others),
        resident_kib=resident,
    )
