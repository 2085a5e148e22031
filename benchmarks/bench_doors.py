"""What do the front doors cost: memoize, get_or_set, locks, frameworks' caches?

One process, 1,000 keys and arguments. Nanoseconds per call, what the library and
the interpreter do included; each beside what people would take instead. A target
is a multiple of something else of the same round.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import servers
from loops import RAW, RECORD, Loop, calls, keys_of
from runner import Figures, Scale, Skipped, interleaved, ratios, report, summaries

from fastmmap import FastMmap
from fastmmap.sync import Counter, Lock, RateLimiter, RLock, Semaphore

OURS = "fastmmap"
DICT = "dict"
NEAR_KEYS = (300, 1000, 10_000)
#: A door, and by whom.
Name = tuple[str, str]
Cases = dict[Name, Loop]

#: What a call shall cost at most, as a multiple of another one.
TARGETS: dict[Name, tuple[Name, float]] = {
    ("memoize", OURS): (("memoize", "functools.lru_cache"), 2.0),
    ("memoize, async", OURS): (("memoize, async", "a plain coroutine"), 3.0),
    **{
        (f"get, near, {keys} keys", OURS): (
            (f"get, near, {keys} keys", DICT),
            2.5 if keys > 1000 else 1.5,
        )
        for keys in NEAR_KEYS
    },
    ("get of a small dict, copy=False", OURS): (
        ("get of a small dict, copy=False", DICT),
        2.0,
    ),
    ("get_or_set", OURS): (("get", OURS), 1.3),
    ("Lock", OURS): (("get", OURS), 12.0),
    ("RateLimiter.take", OURS): (("get", OURS), 12.0),
    ("Counter.add", OURS): (("get", OURS), 3.0),
    ("Django get", OURS): (("Django get", "LocMemCache"), 0.5),
    ("dogpile decorated", OURS): (("dogpile decorated", "memory_pickle"), 1.0),
    ("Flask memoize", OURS): (("Flask memoize", "SimpleCache"), 1.0),
    ("aiocache get", OURS): (("aiocache get", "SimpleMemoryCache"), 1.0),
}


def answer(number: int) -> bytes:
    """Be the function that is memoized."""
    return RAW


def record(number: int) -> dict[str, Any]:
    """Be that of frameworks."""
    return RECORD


async def answer_async(number: int) -> bytes:
    """Be the coroutine function."""
    return RAW


def repeated(call: Callable[[], object]) -> Loop:
    """Return a loop of ``call()``."""

    def loop(count: int) -> float:
        start = perf_counter_ns()
        for _ in range(count):
            call()
        return (perf_counter_ns() - start) / count

    return loop


def taken(lock: Any) -> Loop:
    """Return a loop that takes a lock and gives it back."""

    def loop(count: int) -> float:
        acquire, release = lock.acquire, lock.release
        start = perf_counter_ns()
        for _ in range(count):
            acquire()
            release()
        return (perf_counter_ns() - start) / count

    return loop


def awaited(
    runner: asyncio.AbstractEventLoop, call: Callable[[Any], Any], keys: Any
) -> Loop:
    """Return a loop of ``await call(key)``."""

    async def run(count: int) -> float:
        start = perf_counter_ns()
        for number in range(count):
            await call(keys[number % len(keys)])
        return (perf_counter_ns() - start) / count

    return lambda count: runner.run_until_complete(run(count))


# --------------------------------------------------------------------- memoize


def of_fastmmap(directory: Path) -> Any:
    """Memoize in a cache of this library."""
    return FastMmap(directory / "memoize").memoize(name="answer")(answer)


def of_lru_cache(directory: Path) -> Any:
    """Memoize in the process."""
    return functools.lru_cache(None)(answer)


def of_cachetools(directory: Path) -> Any:
    """Memoize in the process, in Python."""
    cachetools = import_module("cachetools")
    return cachetools.cached(cachetools.LRUCache(10_000))(answer)


def of_warp_cache(directory: Path) -> Any:
    """Memoize in shared memory."""
    return import_module("warp_cache").cache(max_size=10_000, backend="shared")(answer)


def of_diskcache(directory: Path) -> Any:
    """Memoize in a database."""
    cache = import_module("diskcache").Cache(directory / "diskcache")
    return cache.memoize(name="answer")(answer)


def of_joblib(directory: Path) -> Any:
    """Memoize in files."""
    return import_module("joblib").Memory(directory / "joblib", verbose=0).cache(answer)


MEMOIZERS: dict[str, Callable[[Path], Any]] = {
    OURS: of_fastmmap,
    "functools.lru_cache": of_lru_cache,
    "cachetools.cached": of_cachetools,
    "warp_cache, shared": of_warp_cache,
    "diskcache": of_diskcache,
    "joblib.Memory": of_joblib,
}


def memoized(directory: Path, keys: int, skipped: Skipped) -> Iterator[tuple[str, Any]]:
    """Yield functions that know all results."""
    for name, make in MEMOIZERS.items():
        try:
            function = make(directory)
        except ImportError as error:
            skipped.note(name, error)
            continue
        for number in range(keys):
            function(number)
        yield name, function


def of_memoize(directory: Path, keys: int, skipped: Skipped) -> Cases:
    """Return the loops of memoized functions."""
    numbers = list(range(keys))
    return {
        ("memoize", name): calls(function, numbers)
        for name, function in memoized(directory, keys, skipped)
    }


def of_coroutines(
    directory: Path, keys: int, runner: asyncio.AbstractEventLoop
) -> Cases:
    """Return the loops of coroutine functions."""
    numbers = list(range(keys))
    kept = FastMmap(directory / "async").memoize(name="answer")(answer_async)
    cases = {
        ("memoize, async", OURS): awaited(runner, kept, numbers),
        ("memoize, async", "a plain coroutine"): awaited(runner, answer_async, numbers),
    }
    cases["memoize, async", OURS](keys)
    return cases


# ----------------------------------------------------------------- calls of ours


def of_calls(directory: Path, keys: int) -> Cases:
    """Return the loops of a cache and of what is made of one."""
    cache, names = FastMmap(directory / "calls"), keys_of("key", keys)
    cache.set_many(dict.fromkeys(names, RAW))
    limiter = RateLimiter(cache, "rate", 10**9)
    counter = Counter(cache, "counter")

    def get_or_set(key: str, call: Any = cache.get_or_set) -> object:
        return call(key, RAW)

    def get(key: str, call: Any = cache.get) -> object:
        return call(key, RAW)

    return {
        ("get", OURS): calls(get, names),
        ("get_or_set", OURS): calls(get_or_set, names),
        ("Lock", OURS): taken(Lock(cache, "lock")),
        ("RLock", OURS): taken(RLock(cache, "rlock")),
        ("Semaphore", OURS): taken(Semaphore(cache, "semaphore", 3)),
        ("RateLimiter.take", OURS): repeated(limiter.take),
        ("Counter.add", OURS): repeated(counter.add),
    }


def warm(loop: Loop, keys: int) -> Loop:
    """Let keys be asked for until they are near; return the loop."""
    loop(8 * keys)
    return loop


def of_near(directory: Path, keys: int) -> Cases:
    """Return the loops of what is kept near, each beside a dict."""
    cases: Cases = {}
    for count in NEAR_KEYS:
        cache = FastMmap(directory / f"near {count}", near="4m", serializer="raw")
        names, door = keys_of("key", count), f"get, near, {count} keys"
        held = dict.fromkeys(names, RAW)
        cache.set_many(held)
        cases[door, OURS] = warm(calls(cache.get, names), count)
        cases[door, DICT] = calls(held.get, names)
    shared, door = FastMmap(directory / "shared", copy=False), "get of a small dict"
    names = keys_of("key", keys)
    records: dict[str, Any] = {name: dict(RECORD) for name in names}
    shared.set_many(records)
    cases[f"{door}, copy=False", OURS] = warm(calls(shared.get, names), keys)
    cases[f"{door}, copy=False", DICT] = calls(records.get, names)
    return cases


# -------------------------------------------------------------------- frameworks


def of_django(directory: Path, keys: int) -> Cases:
    """Return the loops of two backends of Django."""
    from django.core.cache.backends.locmem import LocMemCache

    from fastmmap.contrib.django import FastMmapCache

    caches = {
        OURS: FastMmapCache(str(directory / "django"), {}),
        "LocMemCache": LocMemCache("bench", {"OPTIONS": {"MAX_ENTRIES": 10**6}}),
    }
    names = keys_of("key", keys)
    for cache in caches.values():
        cache.set_many(dict.fromkeys(names, RECORD), None)
    return {
        ("Django get", who): calls(cache.get, names) for who, cache in caches.items()
    }


def of_dogpile(directory: Path, keys: int) -> Cases:
    """Return the loops of functions of two regions of dogpile.cache."""
    from dogpile.cache import make_region

    import fastmmap.contrib.dogpile  # noqa: F401  # for the error where it is missing

    path = str(directory / "dogpile")
    regions = {
        OURS: make_region().configure(
            "fastmmap", expiration_time=3600, arguments={"share_file": path}
        ),
        "memory_pickle": make_region().configure(
            "dogpile.cache.memory_pickle", expiration_time=3600
        ),
    }
    cases: Cases = {}
    for who, region in regions.items():
        cases["dogpile decorated", who] = calls(
            region.cache_on_arguments()(record), list(range(keys))
        )
        cases["dogpile decorated", who](keys)
    return cases


def of_flask(directory: Path, keys: int, stack: ExitStack) -> Cases:
    """Return the loops of functions of two backends of Flask-Caching."""
    from flask import Flask
    from flask_caching import Cache

    path = str(directory / "flask")
    ours = "fastmmap.contrib.flask_caching.FastMmapCache"
    cases: Cases = {}
    app = Flask("bench")
    stack.enter_context(app.app_context())
    for who, config in {
        OURS: {"CACHE_TYPE": ours, "CACHE_OPTIONS": {"share_file": path}},
        "SimpleCache": {"CACHE_TYPE": "SimpleCache", "CACHE_THRESHOLD": 10**6},
    }.items():
        cache = Cache(app, config=config)
        cases["Flask memoize", who] = calls(
            cache.memoize(3600)(record), list(range(keys))
        )
        cases["Flask memoize", who](keys)
    return cases


def of_aiocache(directory: Path, keys: int, runner: asyncio.AbstractEventLoop) -> Cases:
    """Return the loops of two caches of aiocache."""
    from aiocache import SimpleMemoryCache

    from fastmmap.contrib.aiocache import FastMmapCache

    names = keys_of("key", keys)
    caches = {
        OURS: FastMmapCache(directory / "aiocache"),
        "SimpleMemoryCache": SimpleMemoryCache(),
    }
    for cache in caches.values():
        runner.run_until_complete(cache.multi_set([(name, RECORD) for name in names]))
    return {
        ("aiocache get", who): awaited(runner, cache.get, names)
        for who, cache in caches.items()
    }


def cases_of(directory: Path, keys: int, skipped: Skipped, stack: ExitStack) -> Cases:
    """Return all loops that can be made here."""
    runner = asyncio.new_event_loop()
    stack.callback(runner.close)
    cases = of_calls(directory, keys)
    cases.update(of_near(directory, keys))
    cases.update(of_memoize(directory, keys, skipped))
    cases.update(of_coroutines(directory, keys, runner))
    adapters: dict[str, Callable[[], Cases]] = {
        "Django": lambda: of_django(directory, keys),
        "dogpile.cache": lambda: of_dogpile(directory, keys),
        "Flask-Caching": lambda: of_flask(directory, keys, stack),
        "aiocache": lambda: of_aiocache(directory, keys, runner),
    }
    for name, make in adapters.items():
        try:
            cases.update(make())
        except ImportError as error:
            skipped.note(name, error)
    return cases


# ------------------------------------------------------------------------ answer


def counts_of(cases: Cases, lasting: float) -> dict[Name, int]:
    """Return how many calls of each take so long, ns, after a first lap."""
    return {name: max(int(lasting / loop(100)), 100) for name, loop in cases.items()}


def multiples(samples: dict[Name, list[float]]) -> dict[Name, list[float]]:
    """Return the times of what has a target as multiples of what that is of."""
    return {
        name: ratios(samples[name], samples[other])
        for name, (other, _) in TARGETS.items()
        if name in samples and other in samples
    }


def measure(scale: Scale, skipped: Skipped) -> Figures:
    """Return nanoseconds per call, by door and by whom."""
    keys, lasting, rounds = scale.pick((1_000, 2e7, 25), (1_000, 4e6, 7), (50, 1e5, 2))
    with servers.home(64 << 20) as place, ExitStack() as stack:
        cases = cases_of(Path(place.directory), keys, skipped, stack)
        counts = counts_of(cases, lasting)
        samples = interleaved(
            {
                name: functools.partial(loop, counts[name])
                for name, loop in cases.items()
            },
            rounds,
        )
    return report(
        scale,
        skipped,
        keys=keys,
        results=summaries(samples),
        multiples=summaries(multiples(samples)),
        best=best(samples),
        targets={name: most for (name, _), (_, most) in TARGETS.items()},
    )


def best(samples: dict[Name, list[float]]) -> Figures:
    """Return the multiples of the best laps."""
    return {
        name: round(min(samples[name, who]) / min(samples[other]), 2)
        for (name, who), (other, _) in TARGETS.items()
        if (name, who) in samples and other in samples
    }
