"""How long do the slowest calls take while the cache is full and evicts?

One process; values of 64 to 1,023 bytes, four times as many as fit; a set and
a get in turn, each timed by itself. Percentiles in nanoseconds, the median of each
over the rounds. "clock" is the same with nothing between the two looks at the
clock: what is lost to the machine and the measurement.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from time import perf_counter_ns

import loops
import peers
import servers
from peers import Driver, Peer, Store
from runner import Figures, Scale, Skipped, interleaved, nest, report, summarise

PERCENTILES = (50.0, 90.0, 99.0, 99.9, 99.99, 100.0)
SIZE = 16 << 20
LEAST, MOST = 64, 1023
SEED = 20240607
TIMES_TOO_MANY = 4
FULL = SIZE // MOST  # entries of the largest size

Sample = list[float]  # percentiles of set, then of get


def percentiles(values: list[int]) -> list[float]:
    """Return the percentiles; the last one is the largest value."""
    values.sort()
    return [values[round(part / 100 * (len(values) - 1))] for part in PERCENTILES]


def key_count() -> int:
    """Return how many keys are too many for the cache."""
    return TIMES_TOO_MANY * SIZE // ((LEAST + MOST) // 2)


class Load:
    """Calls drawn in advance, so that drawing takes no time between them."""

    def __init__(self, count: int) -> None:
        dice = random.Random(SEED)
        self.keys = loops.keys_of("key", key_count())
        self.filler = bytes(MOST)
        self.plan = [
            (dice.choice(self.keys), dice.randint(LEAST, MOST), dice.choice(self.keys))
            for _ in range(count)
        ]

    def fill(self, store: Store, count: int) -> None:
        """Make the cache so full that it evicts."""
        for key in self.keys[:count]:
            store.set(key, self.filler)

    def run(self, store: Store, count: int) -> Sample:
        """Return the percentiles of `count` sets and as many gets."""
        get, put, filler, clock = store.get, store.set, self.filler, perf_counter_ns
        sets, gets = [], []
        for key, length, other in self.plan[:count]:
            value = filler[:length]
            start = clock()
            put(key, value)
            middle = clock()
            get(other)
            end = clock()
            sets.append(middle - start)
            gets.append(end - middle)
        return [*percentiles(sets), *percentiles(gets)]


def count_for(store: Store, load: Load, seconds: float) -> int:
    """Return how many calls take about so long."""
    start = perf_counter_ns()
    load.run(store, 50)
    each = (perf_counter_ns() - start) / 50
    return min(max(round(seconds * 1e9 / each), 50), len(load.plan))


def ask(driver: Driver, count: int) -> Sample:
    """Return the percentiles that a program in another language measured."""
    return driver.ask("tail", count, key_count())


def evicting(found: list[Peer], skipped: Skipped) -> list[Peer]:
    """Return the peers that evict, and can be filled and timed here."""
    chosen = []
    for peer in found:
        if not peer.evicts:
            skipped.note(peer.name, "it never evicts")
        elif peer.drive is not None and peer.name != "Cache::FastMmap":
            skipped.note(peer.name, "its loops time many calls together")
        else:
            chosen.append(peer)
    return chosen


def by_operation(samples: dict[str, list[Sample]]) -> Figures:
    """Return the summary of each percentile, by peer and operation."""
    figures = {}
    for name, rounds in samples.items():
        columns = list(zip(*rounds, strict=True))
        for at, column in enumerate(columns):
            operation, number = divmod(at, len(PERCENTILES))
            path = (name, ("set", "get")[operation], f"{PERCENTILES[number]:g}")
            figures[path] = summarise(column)
    return nest(figures)


def measure(scale: Scale, skipped: Skipped) -> Figures:
    """Return percentiles of nanoseconds, by peer and operation."""
    most, seconds, rounds = scale.pick(
        (300_000, 1.0, 5), (30_000, 0.1, 3), (100, 0.001, 2)
    )
    load = Load(most)
    fill = scale.pick(2 * FULL, FULL, 10)
    idle = Store(get=lambda key: None, set=lambda key, value: None)
    cases: dict[str, Callable[[], Sample]] = {"clock": partial(load.run, idle, most)}
    with servers.place(SIZE, roomy=False) as place:
        found = evicting(peers.available(place, skipped), skipped)
        closers = []
        for peer in found:
            if peer.drive is not None:
                driver = peer.drive(place)
                cases[peer.name] = partial(ask, driver, min(most, round(seconds * 5e4)))
                closers.append(driver.close)
                continue
            store = peer.open(place, "raw")
            load.fill(store, fill)
            count = count_for(store, load, seconds)
            cases[peer.name] = partial(load.run, store, count)
            closers.append(store.close)
        samples = interleaved(cases, rounds)
        for close in closers:
            close()
    versions = {peer.name: peer.version for peer in found}
    return report(scale, skipped, versions=versions, results=by_operation(samples))
