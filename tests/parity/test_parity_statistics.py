"""get_statistics(): reads and hits since the cache was made."""

from __future__ import annotations

import os

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
