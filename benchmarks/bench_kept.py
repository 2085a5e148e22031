"""What does a full cache keep of what people put into it?

Workloads of five families, with default options, beside one exact LRU that has all
bytes of the file and pays 32 of them for each entry: values of one size by Zipf's
law; rendered pages of all sizes; a new working set after an old one that was read;
values that have expired, will not, or are new; and small values of many users, with
a tag or a namespace for each. A figure is a part of the requests, or of the values
that have room, and depends on no clock. Each file hashes with a seed of its own, so
that a workload is run several times, and the mean counts.
"""

from __future__ import annotations

import itertools
import math
import random
import statistics
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import servers
from peers import Place
from runner import Figures, Scale, Skipped, report

from fastmmap import FastMmap, Namespace
from fastmmap.testing import time_travel

KIB, MIB = 1 << 10, 1 << 20
ENTRY = 32  # bytes that each entry costs LRU beside key and value
USUAL = 50  # bytes of an entry beside its value, about
DAY = 86400.0

#: Requests, or values, that were answered: by us, and by LRU; of how many.
Score = tuple[int, int, int]


class Lru:
    """Exact LRU of keys by bytes."""

    def __init__(self, size: int) -> None:
        self.room = size
        self.sizes: OrderedDict[str, int] = OrderedDict()

    def ask(self, key: str, size: int) -> bool:
        """Look a key up, and store it after a miss."""
        if key in self.sizes:
            self.sizes.move_to_end(key)
            return True
        self.sizes[key] = len(key) + size + ENTRY
        self.room -= self.sizes[key]
        while self.room < 0:
            self.room += self.sizes.popitem(last=False)[1]
        return False


class Bench(NamedTuple):
    """Where a workload runs, and how much of it."""

    place: Place
    part: float
    seed: int

    @contextmanager
    def cache(self, mib: int) -> Iterator[FastMmap]:
        """Open an empty cache of so many MiB, with default options."""
        path = self.place.file(f"kept-{self.seed}")
        with FastMmap(
            path,
            cache_size=mib * MIB,
            serializer="raw",
            init_file=True,
            unlink_on_exit=True,
        ) as cache:
            yield cache

    def times(self, count: int) -> int:
        """Return how many of so many requests are made."""
        return int(count * self.part)


def zipf(rng: random.Random, keys: int, alpha: float, count: int) -> list[int]:
    """Return requests for keys, of which the most popular ones lie anywhere."""
    weights = itertools.accumulate(rank**-alpha for rank in range(1, keys + 1))
    order = rng.sample(range(keys), keys)
    return rng.choices(order, cum_weights=list(weights), k=count)


def look_aside(
    cache: FastMmap,
    requests: Iterable[tuple[str, int]],
    ask: Callable[[FastMmap, str, int], bool],
    counts_from: int,
) -> Score:
    """Replay requests; those before the cache is warm do not count."""
    lru = Lru(cache.stats().bytes_total)
    ours = others = total = 0
    for number, (key, size) in enumerate(requests):
        hit, other = ask(cache, key, size), lru.ask(key, size)
        if number >= counts_from:
            ours, others, total = ours + hit, others + other, total + 1
    return ours, others, total


def plainly(cache: FastMmap | Namespace, key: str, size: int) -> bool:
    """Look a key up in the cache itself, and store it after a miss."""
    hit = cache.get(key) is not None
    if not hit:
        cache.set(key, bytes(size))
    return hit


def with_tag(cache: FastMmap, key: str, size: int) -> bool:
    """Do so with a tag for the user that the key begins with."""
    hit = cache.get(key) is not None
    if not hit:
        cache.set(key, bytes(size), tags=[key.partition("/")[0]])
    return hit


def with_namespace(cache: FastMmap, key: str, size: int) -> bool:
    """Do so in the user's namespace."""
    return plainly(cache.namespace(key.partition("/")[0]), key, size)


# ------------------------------------------------------------------- families


def one_size(bench: Bench, size: int, mib: int) -> Score:
    """Twice as many bytes as the cache has, by Zipf's law."""
    keys = max(12, 2 * mib * MIB // (size + USUAL))
    count = min(max(6 * keys, 20_000), 12_000 * MIB // size)
    asked = zipf(random.Random(bench.seed), keys, 1.0, bench.times(count))
    with bench.cache(mib) as cache:
        requests = ((f"key:{key}", size) for key in asked)
        return look_aside(cache, requests, plainly, len(asked) * 3 // 10)


def page_sizes(rng: random.Random, median: int, sigma: float, mib: int) -> list[int]:
    """Return sizes of a log-normal law, of a little over twice the cache's bytes."""
    sizes: list[int] = []
    left = 2.2 * mib * MIB
    while left > 0:
        drawn = rng.lognormvariate(math.log(median), sigma)
        sizes.append(int(min(max(drawn, 200), mib * MIB // 8)))
        left -= sizes[-1]
    return sizes


def pages(bench: Bench, median: int, sigma: float, mib: int) -> Score:
    """Rendered pages, by Zipf's law."""
    rng = random.Random(bench.seed)
    sizes = page_sizes(rng, median, sigma, mib)
    asked = zipf(rng, len(sizes), 0.9, bench.times(min(8 * len(sizes), 150_000)))
    with bench.cache(mib) as cache:
        requests = ((f"page:{key}", sizes[key]) for key in asked)
        return look_aside(cache, requests, plainly, len(asked) * 3 // 10)


def fill_old(cache: FastMmap, size: int, mib: int, reads: int, life: str) -> None:
    """Fill a cache with what will be asked for no more."""
    names = [f"old:{n}" for n in range(13 * mib * MIB // (10 * (size + USUAL)))]
    for name in names:
        cache.set(name, bytes(size), life)
    for name in names * reads:
        cache.get(name)


def replaced(bench: Bench, size: int, mib: int, reads: int, life: str) -> Score:
    """Other keys, which take 60 % of the cache, a day later: rounds 3 and 4.

    LRU has all of them.
    """
    names = [f"new:{n}" for n in range(6 * mib * MIB // (10 * (size + USUAL)))]
    hits = 0
    with bench.cache(mib) as cache:
        fill_old(cache, size, mib, reads, life)
        with time_travel(DAY):
            for turn in range(4):
                found = sum(plainly(cache, name, size) for name in names)
                hits += found if turn >= 2 else 0
    return hits, 2 * len(names), 2 * len(names)


def lifetimes(bench: Bench, size: int, mib: int) -> Score:
    """A third for ever, a third expired, a third new; 36 % of the file each.

    Those that live have room, if what has expired makes way.
    """
    count = 36 * mib * MIB // (100 * (size + USUAL))
    with bench.cache(mib) as cache:
        for n in range(count):
            cache.set(f"kept:{n}", bytes(size))
            cache.set(f"gone:{n}", bytes(size), "1m")
        with time_travel(3600):
            for n in range(count):
                cache.set(f"new:{n}", bytes(size))
            living = (f"{what}:{n}" for what in ("kept", "new") for n in range(count))
            hits = sum(name in cache for name in living)
    return hits, 2 * count, 2 * count


Ask = Callable[[FastMmap, str, int], bool]


def per_user(bench: Bench, ask: Ask, users: int, mib: int) -> Score:
    """Two values of 200 bytes for each of many users, by Zipf's law."""
    count = bench.times(200_000)
    asked = zipf(random.Random(bench.seed), 2 * users, 0.9, count)
    with bench.cache(mib) as cache:
        requests = ((f"user {key // 2}/item:{key}", 200) for key in asked)
        return look_aside(cache, requests, ask, count // 3)


# ------------------------------------------------------------------ workloads

Workload = Callable[[Bench], Score]
Family = dict[str, Workload]

ZIPF = (
    *((size, 16) for size in (30, 100, 300, KIB, 5 * KIB, 20 * KIB, 100 * KIB)),
    *((400 * KIB, 16), (MIB, 16), (20 * KIB, 64), (100 * KIB, 64)),
    *((500 * KIB, 64), (2 * MIB, 64), (5 * MIB, 64)),
)
PAGES = ((20 * KIB, 1.0, 16), (40 * KIB, 1.2, 64), (3 * KIB, 1.5, 16))
REPLACED = ((8, 4), (40, 4), (100, 4), (400, 4), (20 * KIB, 16), (400 * KIB, 16))
LIFETIMES = (40, 500, 5 * KIB, 50 * KIB)
USERS: dict[str, Ask] = {
    "plain": plainly,
    "tag": with_tag,
    "namespace": with_namespace,
}


def named(size: int) -> str:
    """Return a size as one says it."""
    for unit, name in ((MIB, "MB"), (KIB, "KB")):
        if size >= unit:
            return f"{size // unit} {name}"
    return f"{size} B"


def families() -> dict[str, Family]:
    """Return the workloads of each family, by name."""
    return {
        "zipf": {
            f"{named(size)}, {mib}m": partial(one_size, size=size, mib=mib)
            for size, mib in ZIPF
        },
        "pages": {
            f"{named(median)}, {mib}m": partial(
                pages, median=median, sigma=sigma, mib=mib
            )
            for median, sigma, mib in PAGES
        },
        "replaced": {
            f"{named(size)}, {state}": partial(
                replaced, size=size, mib=mib, reads=reads, life=life
            )
            for size, mib in REPLACED
            for state, reads, life in (("read", 1, "never"), ("expired", 1, "1h"))
        },
        "lifetimes": {
            named(size): partial(lifetimes, size=size, mib=16) for size in LIFETIMES
        },
        "per user": {
            how: partial(per_user, ask=ask, users=20_000, mib=4)
            for how, ask in USERS.items()
        },
    }


def scored(scores: list[Score]) -> Figures:
    """Return the means of both, as parts, and the range of ours."""
    ours = [score[0] / score[2] for score in scores]
    lru = [score[1] / score[2] for score in scores]
    return {
        "hits": round(statistics.fmean(ours), 5),
        "lru": round(statistics.fmean(lru), 5),
        "range": round(max(ours) - min(ours), 5),
    }


def measure(scale: Scale, skipped: Skipped) -> Figures:
    """Return hit ratios by family and workload."""
    runs = scale.pick(3, 1, 1)
    part = scale.pick(1.0, 0.2, 0.05)
    every = scale.pick(-1, 4, 20)  # which workloads, from the last one on
    results: Figures = {}
    with servers.home() as place:
        for family, workloads in families().items():
            results[family] = {
                name: scored([run(Bench(place, part, n)) for n in range(runs)])
                for name, run in list(workloads.items())[::-every]
            }
    return report(scale, skipped, results=results)
