"""stats() and get_statistics(): exact when nothing else runs."""

from __future__ import annotations

import os

import pytest
from header import CLIENTS_SIZE
from support import MakeCache

from fastmmap import FastMmap, Stats
from fastmmap.testing import time_travel


@pytest.mark.quick
def test_a_new_cache_has_nothing_to_tell(cache: FastMmap) -> None:
    stats = cache.stats()
    assert isinstance(stats, Stats)
    assert stats.entries == stats.bytes_live == stats.evictions == stats.reads == 0
    assert stats.bytes_total == os.path.getsize(cache.share_file) - CLIENTS_SIZE


def test_entries_stores_and_bytes_follow_what_is_done(cache: FastMmap) -> None:
    for number in range(100):
        cache.set(f"key {number}", b"x" * 100)
    cache.set("key 1", b"y" * 100)
    stats = cache.stats()
    assert (stats.entries, stats.stores) == (100, 101)
    assert 100 * 100 < stats.bytes_live < 100 * 200
    assert stats.bytes_live <= stats.bytes_used <= stats.bytes_total
    cache.clear()
    assert cache.stats().entries == 0
    assert cache.stats().bytes_live == 0


def test_removal_lowers_the_entries(cache: FastMmap) -> None:
    cache.update(a=1, b=2)
    cache.remove("a")
    assert cache.stats().entries == 1


@pytest.mark.quick
def test_reads_and_hits_are_counted_when_asked_for(make_cache: MakeCache) -> None:
    cache = make_cache(enable_stats=True)
    cache.set("key", 1)
    for _ in range(3):
        cache.get("key")
    cache.get("absent")
    assert cache.get_statistics() == (4, 3)
    stats = cache.stats()
    assert (stats.reads, stats.hits, stats.misses) == (4, 3, 1)


def test_reads_are_not_counted_unless_asked_for(cache: FastMmap) -> None:
    cache.get("key")
    assert cache.get_statistics() == (0, 0)


def test_statistics_can_be_cleared(make_cache: MakeCache) -> None:
    cache = make_cache(enable_stats=True)
    cache.get("key")
    assert cache.get_statistics(clear=True) == (1, 0)
    assert cache.get_statistics() == (0, 0)
    cache.get("key")
    assert cache.get_statistics(True) == (1, 0)


def test_get_many_counts_each_key(make_cache: MakeCache) -> None:
    cache = make_cache(enable_stats=True)
    cache.set("a", 1)
    cache.get_many(["a", "b", "c"])
    assert cache.get_statistics() == (3, 1)


def test_item_access_counts_as_reading(make_cache: MakeCache) -> None:
    cache = make_cache(enable_stats=True)
    cache["a"] = 1
    assert cache["a"] == 1
    with pytest.raises(KeyError):
        cache["b"]
    assert cache.get_statistics() == (2, 1)


def test_objects_of_one_file_share_the_counters(make_cache: MakeCache) -> None:
    first = make_cache(enable_stats=True)
    second = make_cache(enable_stats=True)
    first.get("key")
    second.get("key")
    assert first.get_statistics() == second.get_statistics() == (2, 0)


def test_evictions_are_counted(one_page: FastMmap) -> None:
    for number in range(1000):
        one_page.set(f"key {number}", b"x" * 200)
    stats = one_page.stats()
    assert stats.evictions == 1000 - len(one_page)
    assert stats.entries == len(one_page)


def test_expirations_are_counted(one_page: FastMmap) -> None:
    for number in range(10):
        one_page.set(f"key {number}", 1, expire_time=50)
    with time_travel(60):
        one_page.purge()
    stats = one_page.stats()
    assert (stats.expirations, stats.evictions) == (10, 0)


def test_evictions_for_want_of_a_slot_are_told_apart() -> None:
    """The index grows with small values, and for the smallest not far enough.

    In memory: on a disk no entry is that small.
    """
    cache = FastMmap(page_size="64k", num_pages=1, start_slots=32)
    for number in range(1000):
        cache.set(f"key {number}", 1)
    assert len(cache) > 900
    assert cache.stats().slot_evictions == 1000 - len(cache)
    for number in range(8000):
        cache.set(f"{number}", b"")
    stats = cache.stats()
    assert 0.1 * stats.evictions < stats.slot_evictions < 0.8 * stats.evictions
    cache.close()


def test_a_quiet_cache_recovered_and_repaired_nothing(cache: FastMmap) -> None:
    for number in range(1000):
        cache.set(f"key {number}", b"x" * 1000)
    stats = cache.stats()
    assert stats.recoveries == stats.pages_repaired == stats.lock_waits == 0


def test_pages_are_seen_one_by_one_without_their_lock(cache: FastMmap) -> None:
    cache.update({f"key {number}": b"x" * 100 for number in range(100)})
    pages = [cache._page_stats(number) for number in range(cache.num_pages)]
    assert sum(page[4] for page in pages) == 100
    assert not any(page[7] for page in pages)
    other = FastMmap(cache.share_file)
    with cache.lock("key 1"):
        pages = [other._page_stats(number) for number in range(cache.num_pages)]
    other.close()
    assert [page[8] for page in pages if page[7]] == [os.getpid()]
    with pytest.raises(ValueError, match="no such page"):
        cache._page_stats(cache.num_pages)
