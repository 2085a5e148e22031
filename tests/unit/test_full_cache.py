"""What a full cache keeps, and what makes way."""

from __future__ import annotations

import random

import pytest
from support import MakeCache

from fastmmap import FastMmap
from fastmmap.sync import Lock
from fastmmap.testing import time_travel

DAY = 86400


def lookup(cache: MakeCache, prefix: str, count: int, size: int) -> int:
    """Look keys up, and store those that are missing; return the hits."""
    hits = 0
    for i in range(count):
        if cache.get(f"{prefix}{i}") is None:
            cache.set(f"{prefix}{i}", b"v" * size)
        else:
            hits += 1
    return hits


def test_expired_values_leave_their_slots_to_new_ones(make_cache: MakeCache) -> None:
    cache = make_cache(cache_size="1m", serializer="raw")
    for i in range(8000):
        cache.set(f"old{i}", b"v" * 40, "1h")
        cache.get(f"old{i}")
    with time_travel(DAY):
        for i in range(1000):
            cache.set(f"new{i}", b"v" * 40)
        assert sum(f"new{i}" in cache for i in range(1000)) == 1000


@pytest.mark.parametrize("reads", [1, 3])
def test_a_new_working_set_gets_in_after_one_that_was_read(
    make_cache: MakeCache, reads: int
) -> None:
    cache = make_cache(cache_size="1m", serializer="raw")
    for _ in range(1 + reads):
        lookup(cache, "old", 10_000, 60)
    with time_travel(DAY):
        for _ in range(4):
            hits = lookup(cache, "new", 2000, 60)
    assert hits > 1900


def hits_after_a_change(
    cache: FastMmap, size: int, old: int, new: int, rounds: int = 3
) -> int:
    """Return the hits of the last round of new keys, after old ones read thrice."""
    for i in range(old):
        cache.set(f"old{i}", b"v" * size)
    for i in [*range(old)] * 3:
        cache.get(f"old{i}")
    with time_travel(DAY):
        for _ in range(rounds):
            hits = lookup(cache, "new", new, size)
    return hits


def test_a_new_working_set_of_tiny_values_loses_none_for_a_lap_of_the_old(
    make_cache: MakeCache,
) -> None:
    cache = make_cache(cache_size="1m", serializer="raw")
    assert hits_after_a_change(cache, 8, 24_000, 13_000) > 12_600


def test_a_new_working_set_of_large_values_gets_in_on_every_page(
    make_cache: MakeCache,
) -> None:
    cache = make_cache(page_size="1m", num_pages=64, serializer="raw")
    # 48 fit on a page. One that has 41 by chance, rarely, needs a round more to know
    # them.
    assert hits_after_a_change(cache, 20_480, 4240, 1450, rounds=4) > 1440


def test_a_large_value_that_is_read_stays_while_small_ones_are_overwritten(
    make_cache: MakeCache,
) -> None:
    cache = make_cache(page_size="1m", num_pages=1, serializer="raw")
    choose = random.Random(1)
    cache.set("large", b"v" * 20_000)
    for number in range(20_000):
        key = f"small{choose.randrange(400)}"
        cache.get(key)
        cache.set(key, b"v" * choose.randrange(300, 900))
        assert number % 10 or cache.get("large") is not None
    assert cache.stats().evictions == 0


def test_what_is_stored_now_is_there_while_it_is_read(make_cache: MakeCache) -> None:
    cache = make_cache(page_size=8192, num_pages=3, serializer="raw")
    keys: list[str] = []
    lost = 0
    for i in range(500):
        keys.append(f"key-{i:08}")
        cache.set(keys[-1], b"v" * 30)
        lost += sum(cache.get(key) is None for key in keys[-10:])
    assert lost < 50  # looks, of 5,000; the old ones kept out hundreds


def test_no_increment_is_lost_among_expired_counters(make_cache: MakeCache) -> None:
    cache = make_cache(cache_size="1m")
    for i in range(9000):
        cache.incr(f"old{i}", expire_time="1h")
        cache.get(f"old{i}")
    with time_travel(DAY):
        for i in range(5000):
            cache.incr(f"visits{i % 500}")
        assert sum(cache.get(f"visits{i}", 0) for i in range(500)) == 5000


def test_a_held_lock_is_never_evicted(make_cache: MakeCache) -> None:
    dice = random.Random(1)
    cache = make_cache(num_pages=1, page_size="256k", serializer="raw")
    lock = Lock(cache, "lock")
    lock.acquire()
    for i in range(20_000):
        key = f"k{dice.randrange(500)}"
        cache.get(key)
        cache.set(key, b"x" * 200)
        if i % 5 == 0:
            cache.set(f"large{dice.randrange(30)}", b"y" * dice.randint(25_000, 75_000))
    assert lock.holder() is not None
    lock.release()


def test_living_values_stay_while_expired_ones_make_room(
    make_cache: MakeCache,
) -> None:
    cache = make_cache(cache_size="1m", serializer="raw")
    count = 600  # of 600 bytes: a third of the file
    for i in range(count):
        cache.set(f"kept{i}", b"v" * 550)
        cache.set(f"gone{i}", b"v" * 550, "1m")
    with time_travel(3600):
        for i in range(count):
            cache.set(f"new{i}", b"v" * 550)
        kept = [f"{kind}{i}" in cache for i in range(count) for kind in ("kept", "new")]
    assert sum(kept) > 0.97 * len(kept)


def test_a_large_value_is_there_as_a_whole_or_not_at_all(
    make_cache: MakeCache,
) -> None:
    cache = make_cache(cache_size="4m", serializer="raw")
    value = bytes(300_000)
    for i in range(60):
        assert cache.set(f"k{i}", value)
        assert cache.get(f"k{i}") == value
    there = [f"k{i}" for i in range(60) if f"k{i}" in cache]
    assert 5 <= len(there) == len(cache) == cache.stats().entries
    assert all(cache.get(key) == value for key in there)
    assert cache.stats().evictions == 60 - len(there)
    assert all(cache.add(f"k{i}", b"new") for i in range(60) if f"k{i}" not in there)
