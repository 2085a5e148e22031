"""The manual on expiry: a default lifetime, one per item, and a moved clock."""

from __future__ import annotations

import time

import pytest
from support import MakeCache

from fastmmap import FastMmap
from fastmmap.testing import time_travel


@pytest.mark.quick
def test_items_expire_one_after_the_other_as_time_goes_on(
    make_cache: MakeCache,
) -> None:
    cache = make_cache(expire_time=300)
    cache.set("default", 1)
    cache.set("short", 1, "100s")
    cache.set("long", 1, expire_time="10m")
    cache.set("moment", 1, expire_on=time.time() + 450)
    cache.set("never", 1, expire_time="never")
    alive = ["short", "default", "moment", "long", "never"]
    for seconds, gone in [(0, 0), (50, 0), (110, 1), (310, 2), (460, 3), (610, 4)]:
        with time_travel(seconds):
            assert sorted(cache.get_keys()) == sorted(alive[gone:])
            assert [key for key in alive if cache.get(key)] == alive[gone:]


def test_zero_means_no_expiry(make_cache: MakeCache) -> None:
    cache = make_cache(expire_time=0)
    cache.set("key", 1)
    with time_travel(50 * 365 * 86400 / 2):
        assert cache.get("key") == 1


def test_reading_does_not_lengthen_a_life(make_cache: MakeCache) -> None:
    cache = make_cache(expire_time=100)
    cache.set("key", 1)
    for second in range(10):
        with time_travel(second * 10):
            assert cache.get("key") == 1
    with time_travel(110):
        assert cache.get("key") is None


def test_setting_again_starts_a_new_life(make_cache: MakeCache) -> None:
    cache = make_cache(expire_time=100)
    cache.set("key", 1)
    with time_travel(80):
        cache.set("key", 2)
    with time_travel(150):
        assert cache.get("key") == 2
    with time_travel(190):
        assert cache.get("key") is None


def test_get_keys_tells_when_each_item_expires(cache: FastMmap) -> None:
    moment = time.time() + 1000
    cache.set("key", "value", expire_on=moment)
    (entry,) = cache.get_keys(2)
    assert entry["expire_on"] == pytest.approx(moment, abs=0.01)
    # What was told can be given back: the Perl manual's way to keep an expiry.
    cache.set("key", "changed", expire_on=entry["expire_on"])
    with time_travel(990):
        assert cache.get("key") == "changed"
    with time_travel(1010):
        assert cache.get("key") is None


def test_purge_leaves_what_is_alive(make_cache: MakeCache) -> None:
    cache = make_cache(page_size="64k", num_pages=3)
    for number in range(300):
        cache.set(f"key {number}", number, expire_time=10 * number + 10)
    with time_travel(1505):
        assert cache.purge() == 150
        assert sorted(cache.values()) == list(range(150, 300))


def test_an_expired_item_does_not_come_back_when_the_clock_does(
    cache: FastMmap,
) -> None:
    cache.set("key", 1, expire_time=100)
    with time_travel(200):
        cache.purge()
    assert cache.get("key") is None
