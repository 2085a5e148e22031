"""The request traces: those of others, where they are there, and generated ones.

A trace is a text file, one request a line: "key size [kind [lifetime]]", as
replay.c reads it. The traces of others lie in ``../shared/traces`` beside the
checkout; nothing of them is kept here. Those made here follow from their seed.
"""

from __future__ import annotations

import functools
import gzip
import random
import shutil
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from runner import ROOT

SHARED = ROOT.parent / "shared" / "traces"
OVERHEAD = 32  # bytes per entry, in every policy
SEED = 20240607
MEDIAN_SIZE, SIGMA, LEAST, MOST = 400, 1.2, 24, 16384


class Request(NamedTuple):
    """One request; 'g' is a get, and a set after a miss, 's' a set alone."""

    key: int
    size: int
    kind: str = "g"
    lifetime: int = 0

    def line(self) -> str:
        """Return it as replay.c reads it."""
        return f"{self.key} {self.size} {self.kind} {self.lifetime}\n"


Requests = Iterator[Request]


def shared_traces() -> dict[str, Path]:
    """Return the traces of others by name; empty where they are not there."""
    return {path.stem: path for path in sorted(SHARED.glob("*.gz"))}


def unpack(source: Path, target: Path) -> None:
    """Write a trace of others as text."""
    with gzip.open(source, "rb") as packed, target.open("wb") as text:
        shutil.copyfileobj(packed, text)


def working_set(trace: Path) -> int:
    """Return the bytes of all keys of a trace, each at its largest."""
    sizes: dict[str, int] = {}
    with trace.open(encoding="ascii") as lines:
        for line in lines:
            key, size, *_ = line.split()
            sizes[key] = max(int(size), sizes.get(key, 0))
    return sum(sizes.values()) + OVERHEAD * len(sizes)


# ------------------------------------------------------------ generated ones


@functools.cache
def lognormal_size(key: int) -> int:
    """Return the size of a key: lognormal, a fixed function of the key."""
    drawn = random.Random(SEED + key).lognormvariate(0, SIGMA) * MEDIAN_SIZE
    return round(min(max(drawn, LEAST), MOST))


def zipf_ranks(dice: random.Random, keys: int, power: float, count: int) -> list[int]:
    """Draw ranks of which the n-th comes with weight ``1 / n ** power``."""
    weights = list(accumulate((rank + 1) ** -power for rank in range(keys)))
    return dice.choices(range(keys), cum_weights=weights, k=count)


def zipf(dice: random.Random, count: int) -> Requests:
    """Ask for 50,000 keys, popular ones more often."""
    for rank in zipf_ranks(dice, 50_000, 0.9, count):
        yield Request(rank, lognormal_size(rank))


def scans(dice: random.Random, count: int) -> Requests:
    """Disturb such a load by scans: 5,000 keys in turn, asked for once."""
    fresh = 50_000
    for number, request in enumerate(zipf(dice, count)):
        if number % 20_000 >= 15_000:
            fresh += 1
            yield Request(fresh, lognormal_size(fresh))
        else:
            yield request


def phases(dice: random.Random, count: int) -> Requests:
    """Change what is popular, eight times."""
    length = -(-count // 8)
    for number, request in enumerate(zipf(dice, count)):
        key = request.key + number // length * 20_000
        yield Request(key, lognormal_size(key))


def sessions(dice: random.Random, count: int) -> Requests:
    """Read sessions and write them back a little larger; they end for good."""
    live = list(range(4000))
    growth = dict.fromkeys(live, 0)
    fresh = len(live)
    for rank in zipf_ranks(dice, len(live), 0.7, count // 2):
        if dice.random() < 0.02:
            growth.pop(live[rank])
            live[rank], fresh = fresh, fresh + 1
            growth[live[rank]] = 0
        key = live[rank]
        size = min(lognormal_size(key) + growth[key], MOST)
        growth[key] += dice.randrange(16)
        yield Request(key, size)
        yield Request(key, size, "s")


def lifetimes(dice: random.Random, count: int) -> Requests:
    """Let values expire: a tenth soon, the others after a while."""
    for request in zipf(dice, count):
        short = request.key % 10 == 0
        yield request._replace(lifetime=2_000 if short else 60_000)


GENERATED: dict[str, Callable[[random.Random, int], Requests]] = {
    "zipf": zipf,
    "scans": scans,
    "phases": phases,
    "sessions": sessions,
    "lifetimes": lifetimes,
}


def generate(name: str, target: Path, count: int) -> None:
    """Write a generated trace of about `count` requests."""
    requests = GENERATED[name](random.Random(SEED), count)
    with target.open("w", encoding="ascii") as text:
        text.writelines(request.line() for request in requests)
