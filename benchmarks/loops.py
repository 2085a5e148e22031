"""Timed loops of single calls over the caches of all peers.

A loop makes as many calls as it is told and returns nanoseconds per call, the
loop itself included. A peer in another language runs the same loops itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import perf_counter_ns
from typing import Any, NamedTuple

from peers import Driver, Missing, Peer, Place, Store
from runner import interleaved

RAW = bytes(range(64))
RECORD = {"id": 4711, "name": "Ada Lovelace", "tags": ["a", "b"], "score": 0.5}

Loop = Callable[[int], float]


class Opened(NamedTuple):
    """A peer with its loops by operation, and how to close it."""

    peer: Peer
    loops: dict[str, Loop]
    close: Callable[[], object]


def keys_of(word: str, count: int) -> list[str]:
    """Return ``word-0``, ``word-1`` and so on."""
    return [f"{word}-{number}" for number in range(count)]


def calls(call: Callable[[Any], object], keys: Sequence[Any]) -> Loop:
    """Return a loop of ``call(key)``."""

    def loop(count: int) -> float:
        passes, rest = divmod(count, len(keys))
        last = keys[:rest]
        start = perf_counter_ns()
        for _ in range(passes):
            for key in keys:
                call(key)
        for key in last:
            call(key)
        return (perf_counter_ns() - start) / count

    return loop


def stores(call: Callable[[Any, Any], object], keys: Sequence[Any], value: Any) -> Loop:
    """Return a loop of ``call(key, value)``."""

    def loop(count: int) -> float:
        passes, rest = divmod(count, len(keys))
        last = keys[:rest]
        start = perf_counter_ns()
        for _ in range(passes):
            for key in keys:
                call(key, value)
        for key in last:
            call(key, value)
        return (perf_counter_ns() - start) / count

    return loop


def driven(driver: Driver, operation: str, keys: int, size: int) -> Loop:
    """Return a loop that a program in another language makes."""

    def loop(count: int) -> float:
        (taken,) = driver.ask(operation, count, keys, size)
        return taken

    return loop


def basic_loops(raw: Store, typed: Store | None, keys: int) -> dict[str, Loop]:
    """Return the loops of a store in Python, by operation; all keys are there."""
    names, records = keys_of("key", keys), keys_of("record", keys)
    raw.fill(names, RAW)
    loops = {
        "get hit": calls(raw.get, names),
        "get miss": calls(raw.get, keys_of("none", keys)),
        "set": stores(raw.set, names, RAW),
    }
    increment = raw.incr or (typed.incr if typed else None)
    if increment is not None:
        loops["incr"] = calls(increment, keys_of("count", keys))
        loops["incr"](keys)
    if typed is not None:
        typed.fill(records, RECORD)
        loops["get dict"] = calls(typed.get, records)
        loops["set dict"] = stores(typed.set, records, RECORD)
    return loops


def open_basic(peer: Peer, place: Place, keys: int) -> Opened:
    """Open a peer for the loops of every operation."""
    if peer.drive is not None:
        return open_driver(peer, peer.drive(place), keys)
    raw = peer.open(place, "raw")
    try:
        typed = peer.open(place, "typed")
    except Missing:
        typed = None

    def close() -> None:
        raw.close()
        if typed is not None:
            typed.close()

    return Opened(peer, basic_loops(raw, typed, keys), close)


def open_driver(peer: Peer, driver: Driver, keys: int) -> Opened:
    """Fill the cache of a driver; return those loops that it knows."""
    loops = {}
    for operation in ("set", "get hit", "get miss", "incr", *peer.objects):
        loops[operation] = driven(driver, operation, keys, len(RAW))
        loops[operation](keys)
    return Opened(peer, loops, driver.close)


# ------------------------------------------------------------- measuring


def calibrate(loop: Loop, lasting_ns: float, keys: int) -> int:
    """Return how many calls last about that long."""
    each = max(min(loop(10), loop(10)), 1.0)
    return min(max(round(lasting_ns / each), 10), 100 * keys)


def sample(loop: Loop, count: int, keys: int) -> float:
    """Return nanoseconds per call, measured once.

    A fast loop runs once before it counts, to fetch its data into the
    processor's caches after the other peers have filled them with theirs.
    """
    if count > keys:
        loop(keys)
    return loop(count)


def measure(
    opened: Sequence[Opened],
    operations: Sequence[str],
    keys: int,
    lasting_ns: float,
    rounds: int,
) -> Mapping[tuple[str, str], list[float]]:
    """Return nanoseconds per call of all rounds, by peer and operation."""
    cases = {}
    for operation in operations:
        for item in opened:
            if operation in item.loops:
                loop = item.loops[operation]
                count = calibrate(loop, lasting_ns, keys)
                name = (item.peer.name, operation)
                cases[name] = partial(sample, loop, count, keys)
    return interleaved(cases, rounds)
