"""get_and_set(): the expiry can be kept, and can be changed."""

from __future__ import annotations

import pytest
from support import MakeCache

from fastmmap import KEEP, FastMmap, Store
from fastmmap.testing import time_travel


@pytest.mark.quick
def test_the_function_can_hand_the_expiry_back(cache: FastMmap) -> None:
    cache.set("key", 1, expire_time=100)
    with time_travel(50):
        cache.get_and_set(
            "key",
            lambda key, value, entry: Store(
                value + 1, expire_on=entry.expire_on if entry else None
            ),
        )
    with time_travel(90):
        assert cache.get("key") == 2
    with time_travel(110):
        assert cache.get("key") is None


@pytest.mark.quick
def test_a_plain_value_keeps_the_expiry(make_cache: MakeCache) -> None:
    cache = make_cache(expire_time=1000)
    cache.set("key", 1, expire_time=100)
    with time_travel(50):
        cache.get_and_set("key", lambda key, value, entry: value + 1)
    with time_travel(110):
        assert cache.get("key") is None


def test_a_value_that_never_expires_stays_so(make_cache: MakeCache) -> None:
    cache = make_cache(expire_time=100)
    cache.set("key", 1, expire_time="never")
    cache.get_and_set("key", lambda key, value, entry: value + 1)
    with time_travel(10000):
        assert cache.get("key") == 2


def test_a_new_value_takes_the_default_lifetime(make_cache: MakeCache) -> None:
    cache = make_cache(expire_time=100)
    cache.get_and_set("key", lambda key, value, entry: 1)
    with time_travel(110):
        assert cache.get("key") is None


def test_a_value_after_an_expired_one_takes_the_default_lifetime(
    make_cache: MakeCache,
) -> None:
    cache = make_cache(expire_time=100)
    cache.set("key", 1, expire_time=50)
    with time_travel(60):
        cache.get_and_set("key", lambda key, value, entry: 2)
    with time_travel(150):
        assert cache.get("key") == 2


def test_the_lifetime_may_depend_on_the_value(cache: FastMmap) -> None:
    def append(key: object, value: list[int] | None, entry: object) -> Store:
        grown = [*(value or []), 1]
        return Store(grown, expire_time="100s" if len(grown) > 2 else "20m")

    for _ in range(2):
        cache.get_and_set("key", append)
    with time_travel(110):
        assert cache.get("key") == [1, 1]
    cache.get_and_set("key", append)
    with time_travel(110):
        assert cache.get("key") is None


def test_keep_leaves_the_expiry_alone(cache: FastMmap) -> None:
    cache.set("key", 1, expire_time=100)
    with time_travel(50):
        cache.get_and_set("key", lambda key, value, entry: KEEP)
    with time_travel(110):
        assert cache.get("key") is None


def test_a_lock_block_keeps_the_expiry_too(cache: FastMmap) -> None:
    cache.set("key", 1, expire_time=100)
    with time_travel(50), cache.lock("key") as item:
        item.value += 1
    with time_travel(90):
        assert cache.get("key") == 2
    with time_travel(110):
        assert cache.get("key") is None
