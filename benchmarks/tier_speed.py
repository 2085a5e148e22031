"""How much faster a tier is than the server behind it, and what that server saves.

    python benchmarks/tier_speed.py [--seconds 2] [--workers 1,2,4]

It starts a Redis server on a Unix socket, and prints how long it takes until another
host sees a change, and how many changes a second a listener drops. Then workers read
10,000 keys with 100 bytes each by Zipf's law, and write some: by redis-py, by redis-py
with its client-side cache, which needs Redis 7.4, and by a `RedisTier`. Beside calls a
second there are calls a second of CPU time, of workers and server, which a busy machine
changes less; commands of the server for 1,000 calls; and the median of a call, us.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import redis

from fastmmap import FastMmap
from fastmmap.redis import RedisTier

KEYS = 10_000
VALUE = b"v" * 100
SHARES = (0.001, 0.01, 0.1)  # of writes
_forking = multiprocessing.get_context("fork")

Client = tuple[Callable[[str], Any], Callable[[str, bytes], Any]]


class Load(NamedTuple):
    """What the workers of one run do."""

    url: str
    file: str
    writes: float
    seconds: float


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def server() -> Iterator[str]:
    """Run a server; yield its URL."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        sys.exit("there is no redis-server")
    with tempfile.TemporaryDirectory(prefix="tier") as folder:
        path = f"{folder}/socket"
        words = (
            program,
            "--save",
            "",
            "--port",
            str(free_port()),
            "--unixsocket",
            path,
        )
        with subprocess.Popen(words, stdout=subprocess.DEVNULL) as process:
            try:
                time.sleep(0.5)
                yield f"unix://{path}"
            finally:
                process.kill()


def by_redis_py(load: Load) -> Client:
    client = redis.Redis.from_url(load.url)
    return client.get, client.set


def by_client_cache(load: Load) -> Client:
    """Return what redis-py calls its client-side cache: over TCP only."""
    from redis.cache import CacheConfig

    admin = redis.Redis.from_url(load.url)
    port = int(admin.config_get("port")["port"])
    config: Any = CacheConfig(max_size=2 * KEYS)
    client = redis.Redis(port=port, protocol=3, cache_config=config)
    return client.get, client.set


def by_tier(load: Load) -> Client:
    tier = RedisTier(
        FastMmap(load.file, serializer="raw", cache_size="32m"),
        load.url,
        prefixes=("app:",),
    )
    assert tier.wait_until_live(10)
    tier.get_many(f"app:{number}" for number in range(KEYS))
    return tier.get, tier.set


KINDS: dict[str, Callable[[Load], Client]] = {
    "redis-py": by_redis_py,
    "redis-py, client-side cache": by_client_cache,
    "RedisTier": by_tier,
}


def kinds_for(url: str) -> list[str]:
    """Return what this server can be used by."""
    version = redis.Redis.from_url(url).info("server")["redis_version"]
    numbers = tuple(map(int, version.split(".")[:2]))
    return [kind for kind in KINDS if "client-side" not in kind or numbers >= (7, 4)]


def work(kind: str, load: Load, results: Any, start: Any) -> None:
    get, put = KINDS[kind](load)
    weights = [1 / rank for rank in range(1, KEYS + 1)]
    chosen = random.choices(range(KEYS), weights, k=50_000)
    keys = [f"app:{number}" for number in chosen]
    writes = [random.random() < load.writes for _ in keys]
    calls, times = 0, []
    start.wait()
    cpu = time.process_time()
    end = time.perf_counter() + load.seconds
    while True:
        before = time.perf_counter()
        if before > end:
            break
        for _ in range(16):
            place = calls % len(keys)
            if writes[place]:
                put(keys[place], VALUE)
            else:
                get(keys[place])
            calls += 1
        times.append((time.perf_counter() - before) / 16)
    times.sort()
    cpu = time.process_time() - cpu
    results.put((calls, cpu, times[len(times) // 2], times[int(len(times) * 0.999)]))


class Found(NamedTuple):
    """What a run gave. Times are us, each the mean of 16 calls."""

    calls: float  # a second
    calls_cpu: float  # a second of CPU time of the workers and the server
    commands: float  # of the server, for 1,000 calls
    middle: float
    tail: float  # p99.9


def spent(client: Any) -> tuple[int, float]:
    """Return the commands and the seconds of CPU time of a server until now."""
    cpu, stats = client.info("cpu"), client.info("stats")
    used: float = cpu["used_cpu_user"] + cpu["used_cpu_sys"]
    return stats["total_commands_processed"], used


def run(kind: str, workers: int, load: Load) -> Found:
    client = redis.Redis.from_url(load.url)
    client.flushall()
    client.mset({f"app:{number}": VALUE for number in range(KEYS)})
    results, start = _forking.SimpleQueue(), _forking.Barrier(workers + 1)
    processes = [
        _forking.Process(target=work, args=(kind, load, results, start))
        for _ in range(workers)
    ]
    for process in processes:
        process.start()
    start.wait()
    before = spent(client)
    found = [results.get() for _ in processes]
    after = spent(client)
    for process in processes:
        process.join()
    calls = sum(one[0] for one in found)
    return Found(
        calls / load.seconds,
        calls / (after[1] - before[1] + sum(one[1] for one in found)),
        1000 * (after[0] - before[0]) / calls,
        1e6 * sorted(one[2] for one in found)[workers // 2],
        1e6 * max(one[3] for one in found),
    )


def compare(url: str, folder: str, seconds: float, workers: list[int]) -> None:
    print(
        "writes  workers  client                       calls/s    a CPU s  commands    p50"
    )
    for share in SHARES:
        for count in workers:
            for kind in kinds_for(url):
                load = Load(url, f"{folder}/{share}-{count}", share, seconds)
                found = run(kind, count, load)
                print(
                    f"{share:6.1%}  {count:7}  {kind:27}{found.calls:9,.0f}"
                    f"{found.calls_cpu:11,.0f}{found.commands:10,.0f}{found.middle:7.0f}",
                    flush=True,
                )


def delay(url: str, folder: str, changes: int = 2000) -> None:
    """Print how long it takes until another host sees a change."""
    cache = FastMmap(f"{folder}/delay", serializer="raw")
    tier = RedisTier(cache, url, prefixes=("app:",))
    assert tier.wait_until_live(10)
    client = redis.Redis.from_url(url)
    times = []
    for number in range(changes):
        tier.get("app:seen")
        before = time.perf_counter()
        client.set("app:seen", number)
        while tier.get("app:seen") != b"%d" % number:
            pass
        times.append(1000 * (time.perf_counter() - before))
    times.sort()
    shown = (times[len(times) * share // 100] for share in (50, 99))
    print(
        "a change is seen elsewhere, with its write: p50 {:.2f} ms, p99 {:.2f}".format(
            *shown
        )
    )
    tier.close()


def flood(url: str, folder: str, keys: int = 200_000) -> None:
    """Print how many changes a second a listener drops."""
    cache = FastMmap(f"{folder}/flood", serializer="raw")
    tier = RedisTier(cache, url, prefixes=("app:",), max_lag=60)
    assert tier.wait_until_live(10)
    client = redis.Redis.from_url(url)
    tier._values.set("app:last", b"1")
    before = time.perf_counter()
    for first in range(0, keys, 10_000):
        client.mset({f"app:{n}": b"" for n in range(first, first + 10_000)})
    client.set("app:last", b"2")
    while "app:last" in tier._values:
        time.sleep(0.001)
    print(f"changes dropped a second: {keys / (time.perf_counter() - before):,.0f}")
    tier.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--workers", default="1,2,4")
    given = parser.parse_args()
    workers = [int(count) for count in given.workers.split(",")]
    with server() as url, tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        delay(url, folder)
        flood(url, folder)
        compare(url, folder, given.seconds, workers)


if __name__ == "__main__":
    main()
