"""The cache for cachelib: what its own tests, in tests/outside, do not ask."""

from __future__ import annotations

import logging
import os
from datetime import timedelta
from typing import Any

import pytest
from broken import Broken
from cachelib.serializers import BaseSerializer
from support import run_scenario

from fastmmap.contrib.cachelib import FastMmapCache
from fastmmap.testing import time_travel


@pytest.fixture
def cache(path: str) -> FastMmapCache:
    return FastMmapCache(path, cache_size="1m")


def test_objects_with_the_same_options_share_one_open_file(path: str) -> None:
    first = FastMmapCache(path, default_timeout=1, cache_size="1m")
    second = FastMmapCache(path, default_timeout=2, key_prefix="a", cache_size="1m")
    assert first._cache is second._cache


def test_ignoring_exceptions_it_goes_on_without_a_cache(path: str) -> None:
    os.mkdir(path)
    cache = FastMmapCache(path, ignore_exceptions=True)
    assert cache.set("key", 1) and cache.add("key", 1)
    assert cache.set_many({"a": 1}) == ["a"]
    assert cache.get("key") is None and cache.get_many("a", "b") == [None, None]
    assert cache.inc("key") == 1 and cache.dec("key") == -1
    assert not cache.has("key") and not cache.delete("key")
    assert cache.delete_many("a") == ["a"] and cache.clear()


@pytest.mark.parametrize(
    ("timeout", "alive"),
    [(0, True), (None, False), (59, False), (timedelta(minutes=2), True)],
)
def test_no_timeout_is_the_default_and_nothing_is_for_ever(
    path: str, timeout: Any, alive: bool
) -> None:
    cache = FastMmapCache(path, default_timeout=30, cache_size="1m")
    cache.set("set", 1, timeout)
    cache.set_many({"many": 1}, timeout)
    cache.add("added", 1, timeout)
    with time_travel(60):
        assert [cache.has(key) for key in ("set", "many", "added")] == [alive] * 3


def test_a_new_counter_has_the_default_timeout_and_an_old_one_keeps_its_own(
    path: str,
) -> None:
    cache = FastMmapCache(path, default_timeout=30, cache_size="1m")
    cache.set("old", 1, timeout=0)
    assert (cache.inc("old"), cache.inc("new", 5), cache.dec("new")) == (2, 5, 4)
    with time_travel(60):
        assert (cache.get("old"), cache.get("new")) == (2, None)


def test_a_counter_of_what_is_no_int_is_a_type_error(cache: FastMmapCache) -> None:
    cache.set("text", "one")
    with pytest.raises(TypeError):
        cache.inc("text")


def count(path: str) -> int:
    return FastMmapCache(path, cache_size="1m").inc("count")


def test_another_process_sees_the_same_cache(cache: FastMmapCache, path: str) -> None:
    cache.set("count", 41)
    assert run_scenario(count, path) == 42
    assert cache.get("count") == 42


def test_a_value_that_does_not_fit_is_refused_and_logged(
    cache: FastMmapCache, caplog: pytest.LogCaptureFixture
) -> None:
    cache.set("key", "old")
    with caplog.at_level(logging.WARNING, "fastmmap"):
        assert cache.set("key", b"x" * 500_000) is False
        assert cache.set_many({"small": 1, "key": b"x" * 500_000}) == ["small"]
    assert cache.get("key") == "old"
    assert caplog.text.count("'key' is too large") == 2


def test_clear_spares_other_prefixes(path: str) -> None:
    one = FastMmapCache(path, key_prefix="one:", cache_size="1m")
    two = FastMmapCache(path, key_prefix="two:", cache_size="1m")
    one.set("key", 1)
    two.set("key", 2)
    assert one.clear()
    assert (one.get("key"), two.get("key")) == (None, 2)


def test_get_many_keeps_the_order_and_repeats(cache: FastMmapCache) -> None:
    cache.set_many({"a": 1, "b": None})
    assert cache.get_many("b", "a", "c", "a") == [None, 1, None, 1]


def test_a_serializer_of_cachelib_leaves_counters_alone(cache: FastMmapCache) -> None:
    class Upper(BaseSerializer):
        def dumps(self, value: Any, protocol: int = 0) -> bytes:
            return repr(value).upper().encode()

        def loads(self, bvalue: bytes) -> Any:
            return bvalue.decode()

    cache.serializer = Upper()
    cache.set("text", "a")
    cache.set("count", 1)
    cache.inc("count")
    assert (cache.get("text"), cache.get("count")) == ("'A'", 2)


@pytest.mark.parametrize("timeout", [-1, -0.5, timedelta(seconds=-1)])
def test_a_negative_timeout_has_expired(cache: FastMmapCache, timeout: Any) -> None:
    """As in the SimpleCache of cachelib."""
    cache.set("key", "old")
    assert cache.set("key", "new", timeout) is True
    assert cache.set_many({"many": 1}, timeout) == ["many"]
    assert cache.add("added", 1, timeout) is True
    assert cache.get_many("key", "many", "added") == [None, None, None]


def test_a_negative_default_timeout_has_expired(path: str) -> None:
    cache = FastMmapCache(path, default_timeout=-1, cache_size="1m")
    cache.set("key", 1)
    assert cache.get("key") is None


def test_a_value_that_cannot_be_read_is_none_and_free(cache: FastMmapCache) -> None:
    cache.set("key", Broken())
    assert cache.get_many("key") == [None]
    assert cache.get("key") is None
    assert cache.add("key", 1)
