"""The storage for limits: exact for all processes, and like those in memory."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from limits import RateLimitItemPerMinute, parse, storage, strategies
from limits.aio import strategies as aio_strategies
from limits.errors import StorageError
from limits.storage import memory

from fastmmap import FastMmap, _core
from fastmmap.contrib.limits import AsyncFastMmapStorage, FastMmapStorage
from fastmmap.testing import time_travel

STRATEGIES = list(strategies.STRATEGIES.values())
EXPIRY = 8  #: seconds, a power of two: no rounding


@pytest.fixture
def counters(path: str) -> FastMmapStorage:
    return FastMmapStorage(f"fastmmap://{path}?cache_size=1m")


def hits(
    strategy: type[strategies.RateLimiter], uri: str, count: int, passed: Any
) -> None:
    """Hit a limit of 100 a minute so many times, and add up what passes."""
    limiter = strategy(storage.storage_from_string(uri))
    item = RateLimitItemPerMinute(100)
    here = sum(limiter.hit(item, "user") for _ in range(count))
    with passed.get_lock():
        passed.value += here


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_of_all_processes_exactly_as_many_pass(
    path: str, strategy: type[strategies.RateLimiter]
) -> None:
    processes = multiprocessing.get_context("fork")
    passed = processes.Value("i", 0)
    arguments = (strategy, f"fastmmap://{path}?cache_size=1m", 50, passed)
    workers = [processes.Process(target=hits, args=arguments) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert passed.value == 100


class Twins:
    """A storage of ours and one in memory, with one clock."""

    def __init__(self, ours: FastMmapStorage, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = SimpleNamespace(time=lambda: _core.now_ns() / 1e9)
        monkeypatch.setattr(memory, "time", clock)
        self.ours, self.theirs = ours, memory.MemoryStorage()

    def both(self, method: str, *args: Any) -> tuple[Any, Any]:
        """Return what a method of each returns."""
        return getattr(self.ours, method)(*args), getattr(self.theirs, method)(*args)


@pytest.fixture
def twins(
    counters: FastMmapStorage, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Twins]:
    yield Twins(counters, monkeypatch)


@pytest.mark.parametrize("method", ["acquire_entry", "acquire_sliding_window_entry"])
def test_windows_let_pass_what_those_in_memory_do(twins: Twins, method: str) -> None:
    seed = random.randrange(1 << 30)
    print("seed", seed)
    dice = random.Random(seed)
    moment = 1_900_000_000.0
    for _ in range(300):
        moment += dice.choice([0, 0.25, 0.5, 3, 9, 20])
        key = dice.choice("ab")
        with time_travel(moment + 0.001):
            ours, theirs = twins.both(method, key, 5, EXPIRY, dice.choice([1, 1, 2, 6]))
        assert ours == theirs


def test_a_fixed_window_begins_with_the_first_hit(counters: FastMmapStorage) -> None:
    with time_travel(1_900_000_000):
        assert [counters.incr("key", 60, amount) for amount in (1, 3)] == [1, 4]
        assert counters.get_expiry("key") == pytest.approx(1_900_000_060, abs=2)
    with time_travel(1_900_000_050):
        assert counters.incr("key", 60) == 5
    with time_travel(1_900_000_070):
        assert counters.get("key") == 0
        assert counters.incr("key", 60) == 1


def test_what_is_not_there_has_counted_nothing(counters: FastMmapStorage) -> None:
    assert counters.get("key") == 0
    assert counters.get_moving_window("key", 5, EXPIRY)[1] == 0
    assert counters.get_sliding_window("key", EXPIRY)[::2] == (0, 0)
    with time_travel(1_900_000_000):
        assert counters.get_expiry("key") == pytest.approx(1_900_000_000, abs=2)


def test_a_moving_window_tells_its_oldest_hit(counters: FastMmapStorage) -> None:
    for second in (0, 3, 6):
        with time_travel(1_900_000_000 + second):
            assert counters.acquire_entry("key", 5, EXPIRY)
    with time_travel(1_900_000_010):
        start, count = counters.get_moving_window("key", 5, EXPIRY)
    assert (round(start), count) == (1_900_000_003, 2)


def test_a_sliding_window_tells_both_counts(counters: FastMmapStorage) -> None:
    with time_travel(1_900_000_000):  # a multiple of 8
        assert counters.acquire_sliding_window_entry("key", 9, EXPIRY, 4)
    with time_travel(1_900_000_010):
        assert counters.acquire_sliding_window_entry("key", 9, EXPIRY)
        previous, left, current, both = counters.get_sliding_window("key", EXPIRY)
    assert (previous, current) == (4, 1)
    assert left == pytest.approx(6, abs=0.5) and both == pytest.approx(14, abs=0.5)


def test_a_key_or_all_can_be_forgotten(counters: FastMmapStorage) -> None:
    for key in "ab":
        counters.incr(key, 60)
        counters.acquire_entry(key, 5, EXPIRY)
        counters.acquire_sliding_window_entry(key, 5, EXPIRY)
    counters.clear("a")
    counters.clear_sliding_window("a", EXPIRY)
    assert counters.get("a") == counters.get_moving_window("a", 5, EXPIRY)[1] == 0
    assert counters.get_sliding_window("a", EXPIRY)[2] == 0
    assert counters.reset() == 3
    assert counters.get("b") == 0


def test_other_keys_of_the_file_stay(path: str, counters: FastMmapStorage) -> None:
    counters.incr("key", 60)
    with FastMmap(path) as cache:
        cache["key"] = b"mine"
        counters.reset()
        assert cache["key"] == b"mine"


@pytest.mark.parametrize("stored", [b"odd", b"", 7, b"x" * 24])
def test_what_is_no_window_counts_as_none(
    path: str, counters: FastMmapStorage, stored: Any
) -> None:
    with FastMmap(path, cache_size="1m", serializer="raw") as cache:
        for kind in "ms":
            if isinstance(stored, int):
                cache.incr(f"limits:{kind}:key", stored)
            else:
                cache[f"limits:{kind}:key"] = stored
    assert counters.acquire_entry("key", 5, EXPIRY)
    assert counters.acquire_sliding_window_entry("key", 5, EXPIRY)


@pytest.mark.parametrize("name", list(aio_strategies.STRATEGIES))
def test_tasks_count_with_threads(path: str, name: str) -> None:
    uri = f"fastmmap://{path}?cache_size=1m"
    item = parse("3/minute")
    threads = strategies.STRATEGIES[name](storage.storage_from_string(uri))
    tasks = aio_strategies.STRATEGIES[name](storage.storage_from_string(f"async+{uri}"))

    async def use() -> list[bool]:
        passed = [await tasks.hit(item, "user"), threads.hit(item, "user")]
        passed += [await tasks.test(item, "user"), await tasks.hit(item, "user")]
        return [*passed, await tasks.hit(item, "user"), threads.hit(item, "user")]

    assert asyncio.run(use()) == [True, True, True, True, False, False]


def test_what_a_task_asks_for_is_what_a_thread_gets(path: str) -> None:
    uri = f"fastmmap://{path}?cache_size=1m"
    ours, theirs = FastMmapStorage(uri), AsyncFastMmapStorage(f"async+{uri}")
    ours.incr("key", 60)

    async def use() -> list[Any]:
        found = [await theirs.get("key"), await theirs.check()]
        found.append(round(await theirs.get_expiry("key") - ours.get_expiry("key")))
        await theirs.clear("key")
        found.append(await theirs.get("key"))
        await theirs.clear_sliding_window("key", EXPIRY)
        return [*found, await theirs.reset()]

    assert asyncio.run(use()) == [1, True, 0, 0, 0]


def test_options_stand_in_the_uri(path: str) -> None:
    uri = f"fastmmap://{path}?cache_size=2m&enable_stats=false&num_pages=4"
    counters = FastMmapStorage(uri, permissions=0o640)
    assert not os.path.exists(path)
    assert counters.check()
    assert counters._cache.cache_size == 2 << 20
    assert counters._cache.num_pages == 4
    assert os.stat(path).st_mode & 0o777 == 0o640


def test_a_wrong_option_is_an_error_at_once(path: str) -> None:
    with pytest.raises(TypeError, match="cache_siez"):
        storage.storage_from_string(f"fastmmap://{path}?cache_siez=2m")


def test_errors_are_those_of_limits_for_who_wants_them(path: str) -> None:
    os.mkdir(path)
    uri = f"fastmmap://{path}"
    with pytest.raises(OSError, match="directory"):
        FastMmapStorage(uri).incr("key", 60)
    with pytest.raises(StorageError):
        FastMmapStorage(uri, wrap_exceptions=True).incr("key", 60)


def test_without_a_file_all_pass_for_who_ignores_exceptions(path: str) -> None:
    os.mkdir(path)
    counters = FastMmapStorage(f"fastmmap://{path}?ignore_exceptions=true")
    item = parse("1/minute")
    for strategy in STRATEGIES:
        assert [strategy(counters).hit(item, "user") for _ in range(3)] == [True] * 3
        assert strategy(counters).get_window_stats(item, "user").remaining == 1
    assert not counters.check()
    assert counters.reset() == 0
