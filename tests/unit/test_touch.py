"""touch(): another lifetime, the same value."""

from __future__ import annotations

import time

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
