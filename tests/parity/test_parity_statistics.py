"""get_statistics(): reads and hits since the cache was made."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from support import MakeCache, run_scenario

from fastmmap import FastMmap


def test_reads_and_hits_add_up_over_hits_misses_and_clears(
    make_cache: MakeCache,
) -> None:
    cache = make_cache(enable_stats=True)
    for number in range(10):
        cache.set(f"key {number}", number)
    assert cache.get_statistics() == (0, 0)
    for number in range(15):
        cache.get(f"key {number}")
    assert cache.get_statistics() == (15, 10)
    assert cache.get_statistics() == (15, 10)
    assert cache.get_statistics(True) == (15, 10)
    assert cache.get_statistics() == (0, 0)
    cache.get("key 1")
    assert cache.get_statistics() == (1, 1)


def test_the_statistics_survive_clearing_the_values(make_cache: MakeCache) -> None:
    cache = make_cache(enable_stats=True)
    cache.get("key")
    cache.clear()
    assert cache.get_statistics() == (1, 0)


def test_a_miss_that_read_cb_answers_is_no_hit(make_cache: MakeCache) -> None:
    cache = make_cache(enable_stats=True, read_cb=lambda context, key: "read")
    cache.get("key")
    cache.get("key")
    assert cache.get_statistics() == (2, 1)


def count_in_processes(path: str) -> tuple[int, int]:
    cache = FastMmap(path, cache_size="512k", enable_stats=True)
    cache.set("key", 1)
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            for _ in range(100):
                cache.get("key")
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
    return cache.get_statistics()


def test_processes_count_together(path: str) -> None:
    assert run_scenario(count_in_processes, path) == (200, 200)


# What Cache::FastMmap counts for the same calls: reads and hits.
COUNTED: dict[str, tuple[Callable[[FastMmap], object], tuple[int, int]]] = {
    "set": (lambda cache: cache.set("a", 2), (0, 0)),
    "get": (lambda cache: cache.get("a"), (1, 1)),
    "get of none": (lambda cache: cache.get("none"), (1, 0)),
    "exists": (lambda cache: cache.exists("a"), (1, 1)),
    "exists of none": (lambda cache: cache.exists("none"), (1, 0)),
    "get_and_set": (lambda cache: cache.get_and_set("a", lambda *_: 2), (1, 1)),
    "get_and_set new": (lambda cache: cache.get_and_set("b", lambda *_: 2), (1, 0)),
    "get_and_remove": (lambda cache: cache.get_and_remove("a"), (1, 1)),
    "get_and_remove of none": (lambda cache: cache.get_and_remove("none"), (1, 0)),
    "remove": (lambda cache: cache.remove("a"), (0, 0)),
    "multi_set": (lambda cache: cache.multi_set("p", {"x": 1}), (0, 0)),
    "multi_get": (lambda cache: cache.multi_get("page", ["x", "y", "z"]), (3, 2)),
    "get_keys": (lambda cache: cache.get_keys(2), (0, 0)),
    "purge": (lambda cache: cache.purge(), (0, 0)),
    "empty": (lambda cache: cache.empty(), (0, 0)),
}
# Calls that Perl has not, by the same rule: each look for the value of a key.
COUNTED_HERE: dict[str, tuple[Callable[[FastMmap], object], tuple[int, int]]] = {
    "[]": (lambda cache: cache["a"], (1, 1)),
    "in": (lambda cache: "none" in cache, (1, 0)),
    "pop": (lambda cache: cache.pop("a"), (1, 1)),
    "setdefault": (lambda cache: cache.setdefault("a"), (1, 1)),
    "get_entry": (lambda cache: cache.get_entry("a"), (1, 1)),
    "get_many": (lambda cache: cache.get_many(["a", "none"]), (2, 1)),
    "get_or_set": (lambda cache: cache.get_or_set("a", 1), (1, 1)),
    "lock": (lambda cache: use_lock(cache), (1, 1)),
    "large multi_get": (lambda cache: cache.multi_get("page", ["l", "m"]), (2, 2)),
    "large pop": (lambda cache: cache.pop("large"), (1, 1)),
    "large get": (lambda cache: cache.get("large"), (1, 1)),
    "large lock": (lambda cache: cache.get_and_set("large", lambda *_: 1), (1, 1)),
    "expire": (lambda cache: cache.expire("a"), (0, 0)),
    "items": (lambda cache: list(cache.items()), (0, 0)),
    "len": (len, (0, 0)),
    "incr": (lambda cache: cache.incr("a"), (0, 0)),
    "touch": (lambda cache: cache.touch("a", 1), (0, 0)),
    "add": (lambda cache: cache.add("a", 1), (0, 0)),
}


def use_lock(cache: FastMmap) -> None:
    with cache.lock("a") as item:
        item.value = 3


@pytest.mark.parametrize("name", [*COUNTED, *COUNTED_HERE])
def test_what_is_a_read(make_cache: MakeCache, name: str) -> None:
    cache = make_cache(enable_stats=True)
    cache.set("a", 1)
    cache.set("large", b"x" * 10_000)
    cache.multi_set("page", dict(x=1, y=2, l=b"l" * 33_000, m=b"m" * 33_000))
    cache.get_statistics(True)
    use, counted = {**COUNTED, **COUNTED_HERE}[name]
    use(cache)
    assert cache.get_statistics() == counted


def test_without_enable_stats_nothing_is_counted(make_cache: MakeCache) -> None:
    cache = make_cache()
    for use, _ in COUNTED.values():
        use(cache)
    assert cache.get_statistics() == (0, 0)
