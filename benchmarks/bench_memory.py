"""How much memory does a cache take for what it keeps?

Live bytes per byte of file once it evicts, index included, by the size of an entry;
what an entry costs beside key and value; and the memory of several workers that
read everything, sharing one cache or each with its own. A page that several
processes map counts in parts (PSS), what a server holds counts once.
"""

from __future__ import annotations

import multiprocessing
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import loops
import peers
import servers
from peers import Peer, Place
from runner import Figures, Scale, Skipped, report, significant

from fastmmap import FastMmap

LIVE_SIZES = (100, 300, 1000, 4000, 0)  # bytes of key and value; 0: mixed
VALUE = 1000
SEED = 20240607
SPAWN = multiprocessing.get_context("spawn")
MODULES = (
    "ours",
    "dicts",
    "cachetools_lru",
    "lmdb_map",
    "diskcache_sql",
    "memcached_lib",
    "redis_server",
)


def draw_size(dice: random.Random, size: int) -> int:
    """Return the size, or one of a mix around 400 bytes."""
    return size or min(max(round(dice.lognormvariate(6, 1.2)), 24), 16384)


def live_part(place: Place, size: int, cache_size: int) -> Figures:
    """Return how full a cache is, in steady state, of entries of a size."""
    path = place.file(f"live-{size}")
    options: dict[str, Any] = {
        "serializer": "raw",
        "cache_size": cache_size,
        "unlink_on_exit": True,
    }
    dice, written, number = random.Random(SEED), 0, 0
    with FastMmap(path, entry_size=size or 400, **options) as cache:
        while written < 4 * cache_size:
            key = f"key-{number:08}"
            length = draw_size(dice, size)
            cache.set(key, bytes(length - len(key)))
            written, number = written + length, number + 1
        stats = cache.stats()
        payload = sum(len(k) + len(v) for k, v in cache.items())
    return {
        "live": significant(stats.bytes_live / stats.bytes_total),
        "payload": significant(payload / stats.bytes_total),
        "overhead": significant((stats.bytes_total - payload) / stats.entries),
    }


def memory_of(process: int) -> int:
    """Return the proportional set size of a process in bytes."""
    text = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii")
    return int(text.partition("\nPss:")[2].split()[0]) << 10


def children() -> list[int]:
    """Return the processes that this one started."""
    path = Path(f"/proc/self/task/{os.getpid()}/children")
    return [int(word) for word in path.read_text(encoding="ascii").split()]


def work(place: Place, module: str, entries: int, pipe: Connection) -> None:
    """Put everything into the cache if asked to; read all of it; wait."""
    (peer,) = peers.available(place, Skipped(quiet=True), [module])
    keys = loops.keys_of("key", entries)
    store = peer.open(place, "raw")
    pipe.send("ready")
    if pipe.recv() == "fill":
        for number, key in enumerate(keys):
            store.set(key, number.to_bytes(8, "big") * (VALUE // 8))
    pipe.send("filled")
    pipe.recv()
    for key in keys:
        store.get(key)
    pipe.send("read")
    pipe.recv()
    store.close()


@contextmanager
def workers(
    place: Place, module: str, entries: int, count: int
) -> Iterator[list[Connection]]:
    """Run workers; yield the pipes to them."""
    pipes, processes = [], []
    for _ in range(count):
        ours, theirs = SPAWN.Pipe()
        arguments = (place, module, entries, theirs)
        processes.append(SPAWN.Process(target=work, args=arguments, daemon=True))
        processes[-1].start()
        theirs.close()
        pipes.append(ours)
    try:
        yield pipes
    finally:
        for process in processes:
            process.terminate()
            process.join()


def tell(pipes: list[Connection], *words: str) -> None:
    """Send each worker its word; wait for all answers."""
    for pipe, word in zip(pipes, words, strict=True):
        pipe.send(word)
    for pipe in pipes:
        pipe.recv()


def growth(
    place: Place, peer: Peer, module: str, entries: int, count: int
) -> Callable[[], Figures]:
    """Return a function that measures what a peer's cache adds to the memory."""

    def measured() -> Figures:
        with workers(place, module, entries, count) as pipes:
            for pipe in pipes:
                pipe.recv()
            before = sum(map(memory_of, children()))
            others = "-" if peer.shared else "fill"
            tell(pipes, "fill", *[others] * (count - 1))
            tell(pipes, *["read"] * count)
            after = sum(map(memory_of, children()))
        return {
            "bytes": after - before,
            "per_payload_byte": significant((after - before) / (entries * VALUE)),
        }

    return measured


def measure(scale: Scale, skipped: Skipped) -> Figures:
    """Return live parts by entry size, and added memory by peer and workers."""
    cache_size = scale.pick(64 << 20, 4 << 20, 1 << 20)
    entries = scale.pick(50_000, 5_000, 200)
    counts = scale.pick((1, 2, 4, 8), (4,), (2,))
    with servers.home() as place:
        live = {str(s): live_part(place, s, cache_size) for s in LIVE_SIZES}
    added: dict[str, Figures] = {}
    versions = {}
    for module in MODULES:
        for count in counts:
            # A new place each time: servers keep what they once took.
            with servers.place(max(2 * entries * VALUE, 4 << 20)) as place:
                found = peers.available(place, skipped, [module])
                for peer in found:
                    versions[peer.name] = peer.version
                    figures = growth(place, peer, module, entries, count)()
                    added.setdefault(peer.name, {})[str(count)] = figures
    return report(
        scale,
        skipped,
        versions=versions,
        live=live,
        payload_bytes=entries * VALUE,
        results=added,
    )
