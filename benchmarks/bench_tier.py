"""How much faster is a tier than the server behind it, and what does that server save?

Workers read 10,000 keys of 100 bytes with Zipf's law and write some of them, on one
host with a Redis, and a memcached, on Unix sockets. redis-py's client-side cache needs
Redis 7.4 and TCP. Beside that: a hit as a multiple of ``cache.get``; how long another
host takes to see a change; and how many changes a second a listener keeps up with.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import servers
from bench_web import free_port
from loops import calls, keys_of
from runner import Figures, Scale, Skipped, interleaved, ratios, report, summaries

from fastmmap import FastMmap

KEYS = 10_000
VALUE = b"v" * 100
SHARES = {"0.1 %": 0.001, "1 %": 0.01, "10 %": 0.1}  # of writes
NAMES = [f"app:{number}" for number in range(KEYS)]
OURS = "fastmmap.redis"
RATE = 50_000  # changes a second that a listener shall keep up with
_forking = multiprocessing.get_context("fork")

Client = tuple[Callable[[str], Any], Callable[[str, bytes], Any]]


class Place(NamedTuple):
    """Where the servers are, and the file of the host."""

    redis: str  # path of the socket
    port: int
    memcached: str
    file: str


class Load(NamedTuple):
    """What the workers of one run do."""

    names: Sequence[str]
    writes: float
    workers: int
    seconds: float


class Found(NamedTuple):
    """What a run gave."""

    calls: float  # a second
    commands: float  # of the server, a second
    middle: float  # us, of a call
    tail: float  # p99.9
    memory: float  # MiB that the workers' clients, and the file, take


# -------------------------------------------------------------------- clients


def redis_of(place: Place) -> Any:
    return import_module("redis").Redis(unix_socket_path=place.redis)


def by_redis_py(place: Place) -> Client:
    client = redis_of(place)
    return client.get, client.set


def by_client_cache(place: Place) -> Client:
    """Return what redis-py calls its client-side cache: over TCP only."""
    config = import_module("redis.cache").CacheConfig(max_size=2 * KEYS)
    redis = import_module("redis")
    client = redis.Redis(port=place.port, protocol=3, cache_config=config)
    client.ping()
    return client.get, client.set


def by_pylibmc(place: Place) -> Client:
    client = import_module("pylibmc").Client([place.memcached], binary=True)
    return client.get, client.set


def of_django(place: Place, backend: str, options: dict[str, Any]) -> Client:
    """Return the calls of a backend of Django."""
    from django.conf import settings

    if not settings.configured:
        settings.configure()
    module, _, name = backend.rpartition(".")
    url = f"unix://{place.redis}"
    cache = getattr(import_module(module), name)(url, {"OPTIONS": options})
    return cache.get, cache.set


def by_django_redis(place: Place) -> Client:
    return of_django(place, "django_redis.cache.RedisCache", {})


def by_django_tier(place: Place) -> Client:
    options = {"share_file": place.file, "cache_size": "32m", "prefixes": ""}
    return of_django(place, "fastmmap.contrib.django.TieredCache", options)


def by_tier(place: Place) -> Client:
    tier = import_module("fastmmap.redis").RedisTier(
        FastMmap(place.file, serializer="raw", cache_size="32m"),
        redis_of(place),
        prefixes="app:",
    )
    return tier.get, tier.set


CLIENTS: dict[str, Callable[[Place], Client]] = {
    OURS: by_tier,
    "redis-py": by_redis_py,
    "redis-py, client-side cache": by_client_cache,
    "memcached, pylibmc": by_pylibmc,
    f"{OURS}, Django": by_django_tier,
    "django-redis": by_django_redis,
}


def usable(place: Place, names: Sequence[str], skipped: Skipped) -> list[str]:
    """Return the clients that can be had here; the others are noted."""
    found = []
    for name, make in CLIENTS.items():
        apart = _forking.Pool(1)  # so that no thread is left here
        reason = apart.apply(why_not, (make, place, names))
        apart.close()
        apart.join()
        if reason:
            skipped.note(name, reason)
        else:
            found.append(name)
    return found


def why_not(make: Callable[[Place], Client], place: Place, names: Sequence[str]) -> str:
    """Return why a client does not work, "" for one that does: it stores all keys."""
    try:
        get, put = make(place._replace(file=f"{place.file}-{make.__name__}"))
        fill(get, put, names)
    except Exception as error:
        return str(error) or type(error).__name__
    return ""


# ------------------------------------------------------------------- the load


def private() -> float:
    """Return the MiB of memory of this process that belong to no file."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    found = (line for line in lines if line.startswith("Anonymous:"))
    return int(next(found).split()[1]) / 1024


def fill(
    get: Callable[[str], Any], put: Callable[[str, bytes], Any], names: Sequence[str]
) -> None:
    """See to it that keys are there, and known to this client."""
    for name in names:
        if get(name) is None:
            put(name, VALUE)
            get(name)


def work(
    name: str, place: Place, load: Load, results: Any, start: Any, me: int
) -> None:
    """Be a worker: tell calls, times of some calls, and memory."""
    before = private()
    get, put = CLIENTS[name](place)
    if OURS in name:  # its file is new; the workers share it
        fill(get, put, load.names[me :: load.workers])
    chance = random.Random(os.getpid())
    weights = [1 / rank for rank in range(1, len(load.names) + 1)]
    keys = chance.choices(load.names, weights, k=16_384)
    writes = [chance.random() < load.writes for _ in keys]
    start.wait()
    count, times = loop(get, put, list(zip(keys, writes, strict=True)), load.seconds)
    times.sort()
    shown = times[len(times) // 2], times[int(len(times) * 0.999)]
    results.put((count, *shown, private() - before))
    start.wait()


def loop(
    get: Any, put: Any, wanted: Sequence[tuple[str, bool]], seconds: float
) -> tuple[int, list[float]]:
    """Make calls for a while; return how many, and the time of each sixteenth, s."""
    clock, times, count = time.perf_counter, [], 0
    end = clock() + seconds
    while True:
        for key, writes in wanted[count % len(wanted) :][:15]:
            put(key, VALUE) if writes else get(key)
        key, writes = wanted[(count + 15) % len(wanted)]
        before = clock()
        put(key, VALUE) if writes else get(key)
        now = clock()
        times.append(now - before)
        count += 16
        if now > end:
            return count, times


def commands_of(name: str, place: Place) -> int:
    """Return the commands that the server of a client has had."""
    if "memcached" in name:
        client = import_module("pylibmc").Client([place.memcached])
        ((_, stats),) = client.get_stats()
        return int(stats["cmd_get"]) + int(stats["cmd_set"])
    return int(redis_of(place).info("stats")["total_commands_processed"])


def run(name: str, place: Place, load: Load) -> Found:
    """Let workers call for a while."""
    results, start = _forking.SimpleQueue(), _forking.Barrier(load.workers + 1)
    with suppress(FileNotFoundError):
        os.unlink(place.file)
    processes = [
        _forking.Process(
            target=work, args=(name, place, load, results, start, me), daemon=True
        )
        for me in range(load.workers)
    ]
    for process in processes:
        process.start()
    start.wait()
    before = commands_of(name, place)
    found = [results.get() for _ in processes]
    commands = commands_of(name, place) - before
    start.wait()
    for process in processes:
        process.join()
    return Found(
        sum(one[0] for one in found) / load.seconds,
        commands / load.seconds,
        1e6 * sorted(one[1] for one in found)[load.workers // 2],
        1e6 * max(one[2] for one in found),
        sum(one[3] for one in found) + size_of(place.file),
    )


def size_of(path: str) -> float:
    """Return the MiB that a file takes, 0 for none."""
    with suppress(FileNotFoundError):
        return os.stat(path).st_blocks * 512 / 2**20
    return 0.0


def under_load(place: Place, scale: Scale, skipped: Skipped) -> Figures:
    """Return what clients do, by client, share of writes and workers."""
    counts = scale.pick((1, 2, 4, 8), (1, 2), (1, 2))
    names = NAMES[: scale.pick(KEYS, KEYS, 200)]
    seconds, rounds = scale.pick((1.0, 3), (0.3, 1), (0.05, 1))
    cases = {
        (name, share, str(workers)): partial(
            run, name, place, Load(names, SHARES[share], workers, seconds)
        )
        for name in usable(place, names, skipped)
        for share in scale.pick(tuple(SHARES), tuple(SHARES), ("1 %",))
        for workers in counts
    }
    samples = interleaved(cases, rounds)
    return summaries(
        {
            (*case, field): [float(getattr(one, field)) for one in found]
            for case, found in samples.items()
            for field in Found._fields
        }
    )


# ---------------------------------------------------------- one host, and changes


@contextmanager
def tier_with_listener(place: Place, max_lag: float = 1.0) -> Iterator[Any]:
    """Yield a live tier; another process of its host listens."""
    from fastmmap.redis import RedisTier

    path = f"{place.file}-{max_lag}"
    pid = os.fork()
    if not pid:
        listening = FastMmap(path, serializer="raw", cache_size="32m")
        listener = RedisTier(
            listening, redis_of(place), prefixes="app:", max_lag=max_lag
        )
        listener.wait_until_live(30)
        signal.pause()
    try:
        cache = FastMmap(path, serializer="raw", cache_size="32m")
        options = {"prefixes": "app:", "max_lag": max_lag, "listen": False}
        tier = RedisTier(cache, redis_of(place), **options)
        if not tier.wait_until_live(30):
            raise RuntimeError("nobody listens")
        yield tier
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def hits(place: Place, scale: Scale) -> Figures:
    """Return nanoseconds of a hit and of ``cache.get``, and how they compare."""
    count, rounds = scale.pick((20_000, 25), (5_000, 7), (200, 2))
    names = keys_of("app:key", 1000)
    with tier_with_listener(place, 60.0) as tier:
        cache = FastMmap(f"{place.file}-plain", serializer="raw", cache_size="32m")
        values = dict.fromkeys(names, VALUE)
        cache.set_many(values)
        tier.set_many(values)
        time.sleep(0.2)  # the pushes of that have come
        tier.get_many(names)
        loops = {"tier": calls(tier.get, names), "cache": calls(cache.get, names)}
        samples = interleaved(
            {(name,): partial(loop, count) for name, loop in loops.items()}, rounds
        )
    times = ratios(samples[("tier",)], samples[("cache",)])
    return {**summaries(samples), **summaries({("multiple",): times})}


def seen(place: Place, scale: Scale) -> Figures:
    """Return how long another host takes to see a change, with its write, ms."""
    client, times = redis_of(place), []
    with tier_with_listener(place) as tier:
        for number in range(scale.pick(3000, 500, 20)):
            tier.get("app:seen")
            before = time.perf_counter()
            client.set("app:seen", number)
            while tier.get("app:seen") != b"%d" % number:
                pass
            times.append(1000 * (time.perf_counter() - before))
    times.sort()
    return {
        "p50": round(times[len(times) // 2], 3),
        "p99": round(times[-len(times) // 100], 3),
    }


class Flood:
    """Changes of 100,000 keys, told to the server in bundles of 500."""

    BUNDLE = 500

    def __init__(self, place: Place) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(place.redis)
        self._bundles = [
            b"".join(b"SET app:%d 1\r\n" % n for n in range(first, first + self.BUNDLE))
            for first in range(0, 100_000, self.BUNDLE)
        ]

    def send(self, number: int) -> None:
        """Send a bundle, and wait until all of it is done."""
        self._socket.sendall(self._bundles[number % len(self._bundles)])
        left = self.BUNDLE * len(b"+OK\r\n")
        while left:
            left -= len(self._socket.recv(left))


def fastest(place: Place, scale: Scale) -> float:
    """Return how many changes a second a listener drops at most."""
    bundles = scale.pick(800, 200, 10)
    flood, client = Flood(place), redis_of(place)
    with tier_with_listener(place, 60.0) as tier:
        tier._values.set("app:last", b"1")
        before = time.perf_counter()
        for number in range(bundles):
            flood.send(number)
        client.set("app:last", b"2")
        while "app:last" in tier._values:
            time.sleep(0.001)
        return bundles * Flood.BUNDLE / (time.perf_counter() - before)


def kept_up(place: Place, scale: Scale) -> Figures:
    """Return how old the pulse is while changes come, ms, and how often it counts."""
    from fastmmap.redis.pulse import moment

    flood, ages, live, sent = Flood(place), [], 0, 0
    with tier_with_listener(place) as tier:
        begin = time.perf_counter()
        while (now := time.perf_counter() - begin) < scale.pick(10, 2, 0.2):
            if sent < now * RATE:
                flood.send(sent // Flood.BUNDLE)
                sent += Flood.BUNDLE
            else:
                time.sleep(0.001)
            until = tier._look()
            live += until > moment()
            ages.append(1000 * (moment() - until + 1.0))
    ages.sort()
    return {
        "rate": round(sent / now),
        "p50": round(ages[len(ages) // 2]),
        "p99.9": round(ages[int(len(ages) * 0.999)]),
        "live": round(live / len(ages), 4),
    }


# --------------------------------------------------------------------- answer


@contextmanager
def place() -> Iterator[Place]:
    """Yield a place with servers, as far as they are installed."""
    with servers.place() as found:
        path, port = found.file("tcp"), free_port()
        words = ("--save", "", "--appendonly", "no", "--dir", found.directory)
        command = ["redis-server", "--port", str(port), "--unixsocket", path, *words]
        with servers.process(command, path) as running:
            yield Place(running, port, found.memcached, found.file("host"))


def measure(scale: Scale, skipped: Skipped) -> Figures:
    """Return what a tier does beside others, and how soon changes are seen."""
    with place() as there:
        if not there.redis:
            skipped.note("Redis", "redis-server is not installed")
            return report(scale, skipped, results={})
        return report(
            scale,
            skipped,
            server=redis_of(there).info("server")["redis_version"],
            hit=hits(there, scale),
            seen=seen(there, scale),
            flood={"most": round(fastest(there, scale)), **kept_up(there, scale)},
            results=under_load(there, scale, skipped),
        )
