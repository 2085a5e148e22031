"""How much do several processes, or threads, get done on one cache?

Keys with Zipf's law, values of 64 bytes; 99, 90 or 50 % of the calls are gets,
the others sets; and 90 % gets of one hot key. Calls per second of all together.
"""

from __future__ import annotations

import multiprocessing
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import accumulate, cycle
from multiprocessing.connection import Connection
from typing import NamedTuple

import loops
import peers
import servers
from peers import Driver, Peer, Place, Store
from runner import Figures, Scale, Skipped, interleaved, ratios, report, summaries

KEYS = 10_000
DRAWS = 20_000
CHUNK = 100  # calls between two looks at the clock
LEAD = 0.02  # seconds until all begin
MIXES = {"99 % gets": 99, "90 % gets": 90, "50 % gets": 50, "one hot key": 90}
SPAWN = multiprocessing.get_context("spawn")
MODULES = (
    "ours",
    "dicts",
    "warp",
    "lmdb_map",
    "perl",
    "diskcache_sql",
    "manager_dict",
    "memcached_lib",
    "memcached_pure",
    "redis_server",
)
LEFT_OUT = {
    "cachetools": "it is private to a process",
    "shared-memory-dict": "each call copies all of its memory",
    "APCu": "one command-line process has one cache",
    "uWSGI cache": "its processes cannot be started one by one",
}
THREADED = ("fastmmap", "dict", "diskcache", "lmdb")

Plan = list[list[tuple[str, bool]]]
Case = tuple[str, str, str, str]  # processes or threads, peer, mix, their number
Samples = dict[Case, list[float]]


class Order(NamedTuple):
    """What a worker is to do."""

    peer: str
    mix: str
    seconds: float
    start: float  # of the monotonic clock
    seed: int


def draw_plan(mix: str, seed: int) -> Plan:
    """Draw keys, and whether to set them, in chunks."""
    dice = random.Random(seed)
    weights = list(accumulate(1 / (rank + 1) for rank in range(KEYS)))
    ranks = dice.choices(range(KEYS), cum_weights=weights, k=DRAWS)
    if mix == "one hot key":
        ranks = [0] * DRAWS
    calls = [(f"zipf-{rank}", dice.random() * 100 >= MIXES[mix]) for rank in ranks]
    return [calls[at : at + CHUNK] for at in range(0, DRAWS, CHUNK)]


def throughput(store: Store, plan: Plan, seconds: float, start: float) -> float:
    """Return calls per second from `start` on."""
    get, put, value = store.get, store.set, loops.RAW
    chunks = cycle(plan)
    time.sleep(max(start - time.monotonic(), 0))
    calls, begin = 0, time.monotonic()
    while (elapsed := time.monotonic() - begin) < seconds:
        for key, changed in next(chunks):
            if changed:
                put(key, value)
            else:
                get(key)
        calls += CHUNK
    return calls / elapsed


class Worker:
    """What runs in a worker process: all caches are open in it."""

    def __init__(self, place: Place, names: list[str]) -> None:
        found = peers.available(place, Skipped(quiet=True), MODULES)
        self.opened: dict[str, Store | Driver] = {}
        for peer in found:
            if peer.name in names:
                drive = peer.drive
                opened = drive(place) if drive else peer.open(place, "raw")
                self.opened[peer.name] = opened
        self.plans: dict[tuple[str, int], Plan] = {}

    def obey(self, order: Order) -> float:
        """Return the calls per second of an order."""
        cache = self.opened[order.peer]
        if isinstance(cache, Driver):
            words = (MIXES[order.mix], order.seconds, order.start, order.seed)
            return cache.ask("zipf", *words)[0]
        key = order.mix, order.seed
        if key not in self.plans:
            self.plans[key] = draw_plan(*key)
        return throughput(cache, self.plans[key], order.seconds, order.start)

    def close(self) -> None:
        """Close all caches."""
        for cache in self.opened.values():
            cache.close()


def work(place: Place, names: list[str], pipe: Connection) -> None:
    """Obey orders until there are none left."""
    worker = Worker(place, names)
    pipe.send("ready")
    while (order := pipe.recv()) is not None:
        pipe.send(worker.obey(order))
    worker.close()


@contextmanager
def crew(place: Place, names: list[str], count: int) -> Iterator[list[Connection]]:
    """Run worker processes; yield the pipes to them.

    They open their caches one after the other: of eight that make one file at the
    same time, Cache::FastMmap kills some by SIGBUS.
    """
    pipes = []
    for _ in range(count):
        ours, theirs = SPAWN.Pipe()
        SPAWN.Process(target=work, args=(place, names, theirs), daemon=True).start()
        theirs.close()
        assert ours.recv() == "ready"
        pipes.append(ours)
    try:
        yield pipes
    finally:
        for pipe in pipes:
            pipe.send(None)


def together(pipes: list[Connection], peer: str, mix: str, seconds: float) -> float:
    """Return the calls per second of several processes."""
    start = time.monotonic() + LEAD
    for seed, pipe in enumerate(pipes):
        pipe.send(Order(peer, mix, seconds, start, seed))
    rates: list[float] = [pipe.recv() for pipe in pipes]
    return sum(rates)


def in_threads(store: Store, mix: str, count: int, seconds: float) -> float:
    """Return the calls per second of several threads on one open cache."""
    rates: list[float] = []
    plans = [draw_plan(mix, seed) for seed in range(count)]
    start = time.monotonic() + LEAD
    threads = [
        threading.Thread(
            target=lambda plan=plan: rates.append(
                throughput(store, plan, seconds, start)
            )
        )
        for plan in plans
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(rates)


def fill(place: Place, found: list[Peer]) -> list[Store]:
    """Open the caches in this process and store all keys in them."""
    opened = [peer.open(place, "raw") for peer in found if peer.drive is None]
    for store in opened:
        store.fill(loops.keys_of("zipf", KEYS), loops.RAW)
    return opened


def scaling(samples: Samples) -> Samples:
    """Return the samples as multiples of those of one worker in the same round."""
    multiples: Samples = {}
    for (kind, name, mix, count), rates in samples.items():
        ones = samples[kind, name, mix, "1"]
        multiples[f"{kind}, scaling", name, mix, count] = ratios(rates, ones)
    return multiples


def measure(scale: Scale, skipped: Skipped) -> Figures:
    """Return calls per second, by peer, mix, and number of workers."""
    seconds, rounds = scale.pick((0.125, 8), (0.03, 2), (0.005, 2))
    counts = scale.pick((1, 2, 4, 8), (1, 2), (1, 2))
    mixes = scale.pick(tuple(MIXES), tuple(MIXES)[1:3], ("90 % gets",))
    cases: dict[Case, Callable[[], float]] = {}
    with ExitStack() as stack:
        place = stack.enter_context(servers.place())
        found = peers.available(place, skipped, MODULES)
        for name, reason in LEFT_OUT.items():
            skipped.note(name, reason)
        names = [peer.name for peer in found]
        stores = fill(place, found)
        pipes = stack.enter_context(crew(place, names, max(counts)))
        for mix in mixes:
            for name in names:
                for count in counts:
                    case = partial(together, pipes[:count], name, mix, seconds)
                    cases["processes", name, mix, str(count)] = case
        by_name = dict(zip((p.name for p in found if not p.drive), stores, strict=True))
        for name in (name for name in THREADED if name in by_name):
            for count in counts:
                case = partial(in_threads, by_name[name], mixes[0], count, seconds)
                cases["threads", name, mixes[0], str(count)] = case
        samples = interleaved(cases, rounds)
        for store in stores:
            store.close()
    versions = {peer.name: peer.version for peer in found}
    results = summaries({**samples, **scaling(samples)})
    return report(scale, skipped, versions=versions, results=results)
