"""What does a value cost when a hundred are asked for, or stored, at once?

One process, raw values of 64 bytes; nanoseconds per value, beside the same
through single calls. Peers without a call for many are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import perf_counter_ns
from typing import Any

import loops
import peers
import servers
from runner import Figures, Scale, Skipped, interleaved, report, summaries

BATCH = 100
MODULES = (
    "ours",
    "dicts",
    "lmdb_map",
    "memcached_lib",
    "memcached_pure",
    "redis_server",
)
WITHOUT = (
    "cachetools",
    "warp_cache",
    "APCu",
    "Cache::FastMmap",
    "uWSGI cache",
    "diskcache",
    "Manager().dict()",
    "shared-memory-dict",
)


def batches(call: Callable[[Any], Any], arguments: list[Any], passes: int) -> float:
    """Return nanoseconds per value of calls for a batch each."""
    start = perf_counter_ns()
    for _ in range(passes):
        for argument in arguments:
            call(argument)
    return (perf_counter_ns() - start) / (passes * len(arguments) * BATCH)


def cases_of(
    store: peers.Store, count: int, passes: int
) -> dict[str, Callable[[], float]]:
    """Return the measurements of a store that has calls for many."""
    keys = loops.keys_of("key", count)
    parts = [keys[at : at + BATCH] for at in range(0, count, BATCH)]
    items = [dict.fromkeys(part, loops.RAW) for part in parts]
    assert store.get_many is not None and store.set_many is not None
    return {
        "set_many": partial(batches, store.set_many, items, passes),
        "get_many": partial(batches, store.get_many, parts, passes),
        "set": partial(loops.stores(store.set, keys, loops.RAW), passes * count),
        "get": partial(loops.calls(store.get, keys), passes * count),
    }


def measure(scale: Scale, skipped: Skipped) -> Figures:
    """Return nanoseconds per value, by peer and operation."""
    cases = {}
    size = scale.pick((10_000, 2), (1_000, 1), (200, 1))
    with servers.place() as place:
        found = peers.available(place, skipped, MODULES)
        for name in WITHOUT:
            skipped.note(name, "it has no call for many")
        opened = {peer.name: peer.open(place, "raw") for peer in found}
        for name, store in opened.items():
            for operation, case in cases_of(store, *size).items():
                cases[name, operation] = case
        samples = interleaved(cases, scale.pick(9, 3, 2))
        for store in opened.values():
            store.close()
    versions = {peer.name: peer.version for peer in found}
    results = summaries(samples)
    return report(scale, skipped, batch=BATCH, versions=versions, results=results)
