"""touch(): another lifetime, the same value."""

from __future__ import annotations

import time
from typing import Any, Optional

import pytest
from support import MakeCache

from fastmmap import FastMmap
from fastmmap.testing import time_travel


@pytest.mark.quick
def test_touch_gives_a_longer_life(cache: FastMmap) -> None:
    cache.set("key", "value", expire_time=50)
    assert cache.touch("key", 1000) is True
    with time_travel(500):
        assert cache.get("key") == "value"
    with time_travel(1010):
        assert cache.get("key") is None


def test_touch_gives_a_shorter_life(cache: FastMmap) -> None:
    cache.set("key", "value")
    cache.touch("key", expire_time="50s")
    with time_travel(60):
        assert "key" not in cache


def test_touch_takes_a_moment(cache: FastMmap) -> None:
    cache.set("key", "value")
    cache.touch("key", expire_on=time.time() + 50)
    with time_travel(60):
        assert "key" not in cache


def test_touch_without_a_lifetime_uses_that_of_the_object(
    make_cache: MakeCache,
) -> None:
    cache = make_cache(expire_time=100)
    cache.set("key", "value", expire_time=50)
    assert cache.touch("key")
    with time_travel(60):
        assert "key" in cache
    with time_travel(110):
        assert "key" not in cache


def test_touch_can_make_it_last_for_ever(cache: FastMmap) -> None:
    cache.set("key", "value", expire_time=50)
    cache.touch("key", "never")
    with time_travel(9e8):
        assert "key" in cache


def test_touch_of_an_unknown_key_does_nothing(cache: FastMmap) -> None:
    assert cache.touch("key", 10) is False
    assert "key" not in cache


def test_touch_brings_no_expired_value_back(cache: FastMmap) -> None:
    cache.set("key", "value", expire_time=50)
    with time_travel(60):
        assert cache.touch("key", 10) is False
        assert "key" not in cache


def test_touch_keeps_the_modseq(cache: FastMmap) -> None:
    cache.set("key", "value", modseq=7)
    cache.touch("key", 10)
    assert cache.set("key", "older", modseq=6) is False
    assert cache.get("key") == "value"


@pytest.mark.parametrize("action", ["write_through", "write_back"])
def test_touch_does_not_tell_the_store(path: str, action: str) -> None:
    calls: list[object] = []
    with FastMmap(
        path, write_action=action, write_cb=lambda *call: calls.append(call)
    ) as cache:
        cache.set("key", "value", expire_on=2**32)
        cache.flush()
        assert cache.touch("key", expire_on=2**33)
        cache.empty()
    assert calls == [(None, "key", "value", float(2**32))]


def test_a_value_that_is_still_to_be_written_has_the_newest_lifetime(
    path: str,
) -> None:
    calls: list[object] = []
    with FastMmap(
        path, write_action="write_back", write_cb=lambda *call: calls.append(call)
    ) as cache:
        cache.set("key", "value", expire_on=2**32)
        assert cache.touch("key", expire_on=2**33)
        cache.flush()
    assert calls == [(None, "key", "value", float(2**33))]


def written(make_cache: MakeCache, **options: Any) -> tuple[FastMmap, list[Any]]:
    """Return a cache that writes back, and what its store is told: lifetimes left."""
    told: list[Any] = []

    def write(_: object, key: str, value: object, expire_on: Optional[float]) -> None:
        told.append(expire_on and round(expire_on - time.time()))

    options.setdefault("write_cb", write)
    return make_cache(write_action="write_back", **options), told


def test_the_store_is_told_of_the_lifetime_of_a_changed_value(
    make_cache: MakeCache,
) -> None:
    cache, told = written(make_cache)
    cache.set("key", 1, 100)
    cache.touch("key", 500)
    cache.flush()
    assert told == [500]


def test_the_store_is_not_told_of_one_that_it_has(make_cache: MakeCache) -> None:
    cache, told = written(make_cache)
    cache.set("key", 1, 100)
    cache.flush()
    cache.touch("key", 500)
    cache.flush()
    assert told == [100]
    assert cache.ttl("key") > 400


def test_a_changed_value_whose_life_is_ended_is_written(make_cache: MakeCache) -> None:
    cache, told = written(make_cache)
    cache.set("key", 1, 100)
    cache.touch("key", "now")
    assert cache.get("key") is None
    cache.flush()
    assert len(told) == 1


def test_a_lifetime_given_while_the_value_is_written_stays_and_is_not_told(
    make_cache: MakeCache,
) -> None:
    told = []

    def write(cache: list[FastMmap], *given: object) -> None:
        told.append(given)
        cache[0].touch("key", 500)

    holder: list[FastMmap] = []
    cache, _ = written(make_cache, context=holder, write_cb=write, allow_recursive=True)
    holder.append(cache)
    cache.set("key", 1, 100)
    cache.flush()
    cache.flush()
    entry = cache.get_entry("key")
    assert entry is not None and not entry.dirty
    assert len(told) == 1
    assert cache.ttl("key") > 400
