"""Write-through: the cache and the store hold the same at any time."""

from __future__ import annotations

import random

import pytest
from support import BackingStore, MakeCache

from fastmmap.testing import time_travel


@pytest.mark.quick
def test_the_store_follows_each_change(make_cache: MakeCache) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    dice = random.Random(seed)
    store = BackingStore()
    cache = make_cache(page_size="64k", num_pages=2, **store.options())
    model: dict[str, int] = {}
    for number in range(3000):
        key = f"key {dice.randrange(500)}"
        action = dice.choice(["set", "set", "get", "remove"])
        if action == "set":
            cache.set(key, number)
            model[key] = number
        elif action == "remove":
            cache.remove(key)
            model.pop(key, None)
        else:
            assert cache.get(key) == model.get(key)
        assert store == model


def test_an_evicted_value_is_read_again(make_cache: MakeCache) -> None:
    store = BackingStore()
    cache = make_cache(page_size="4k", num_pages=1, **store.options())
    for number in range(200):
        cache.set(f"key {number}", number)
    assert cache.stats().evictions > 0
    assert [cache.get(f"key {number}") for number in range(200)] == list(range(200))


def test_an_expired_value_is_read_again(make_cache: MakeCache) -> None:
    store = BackingStore()
    cache = make_cache(expire_time=100, **store.options())
    cache.set("key", "old")
    store["key"] = "changed behind the cache"
    assert cache.get("key") == "old"
    with time_travel(110):
        assert cache.get("key") == "changed behind the cache"


def test_a_value_too_large_for_the_cache_reaches_the_store(
    make_cache: MakeCache,
) -> None:
    store = BackingStore()
    cache = make_cache(page_size="4k", num_pages=1, **store.options())
    assert cache.set("key", b"x" * 5000) is False
    assert store["key"] == b"x" * 5000
    assert cache.get("key") == b"x" * 5000


def test_clearing_the_cache_leaves_the_store(make_cache: MakeCache) -> None:
    store = BackingStore()
    cache = make_cache(**store.options())
    cache.set("key", 1)
    cache.clear()
    assert store == {"key": 1}
    assert cache.get("key") == 1


def test_write_cb_gets_the_value_not_its_bytes(make_cache: MakeCache) -> None:
    store = BackingStore()
    cache = make_cache(compressor="zlib", serializer="json", **store.options())
    cache.set("key", {"list": ["long"] * 1000})
    assert store["key"] == {"list": ["long"] * 1000}
