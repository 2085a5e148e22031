"""Where docs/perl.rst says that Python differs: this side of its table."""

from __future__ import annotations

from typing import Any

import pytest
from support import MakeCache

from fastmmap import FastMmap, Store
from fastmmap.testing import time_travel

LATER = 5  # seconds, when what lives for one is over


def test_a_lifetime_of_0_in_a_call_is_for_ever(make_cache: MakeCache) -> None:
    cache = make_cache(expire_time=1)
    cache.set("set", 1, expire_time=0)
    cache.get_and_set("changed", lambda key, value, entry: Store(1, expire_time=0))
    with time_travel(LATER):
        assert cache.get_many(["set", "changed"]) == {"set": 1, "changed": 1}


def test_get_and_set_asks_no_read_cb(make_cache: MakeCache) -> None:
    cache = make_cache(read_cb=lambda context, key: pytest.fail("it was asked"))
    assert cache.get_and_set("key", lambda key, value, entry: value is None).value


def test_remove_tells_whether_there_was_a_value(make_cache: MakeCache) -> None:
    cache = make_cache()
    cache.set("expired", 1, expire_time=1)
    with time_travel(LATER):
        assert not cache.remove("expired")
    assert not cache.remove("key", modseq=5)
    assert not cache.remove("key")  # the tombstone
    assert cache.set("key", "newer", modseq=6)
    assert cache.remove("key", modseq=5)
    assert cache["key"] == "newer"


@pytest.mark.parametrize(
    ("given", "taken"), [(5000, 4096), (6145, 8192), (60_000, 65_536)]
)
def test_a_page_size_is_rounded_to_the_nearest(
    make_cache: MakeCache, given: int, taken: int
) -> None:
    assert make_cache(page_size=given, num_pages=1).page_size == taken


def largest(cache: FastMmap) -> int:
    """Return the length of the largest value that the cache takes."""
    least, most = 0, cache.cache_size
    while most - least > 1:
        middle = (least + most) // 2
        if cache.set("key", b"x" * middle):
            least = middle
        else:
            most = middle
    return least


@pytest.mark.parametrize(("pages", "percent"), [(8, 200), (1, 26)])
def test_a_value_takes_a_quarter_of_the_cache(
    make_cache: MakeCache, pages: int, percent: int
) -> None:
    cache = make_cache(page_size="64k", num_pages=pages, serializer="raw")
    assert round(100 * largest(cache) / cache.page_size) == percent


def test_an_expired_changed_value_is_written_before_read_cb_is_asked(
    make_cache: MakeCache,
) -> None:
    told: list[tuple[Any, ...]] = []
    cache = make_cache(
        write_action="write_back",
        write_cb=lambda context, key, value, expire_on: told.append((key, value)),
        read_cb=lambda context, key: told.append((key,)),
    )
    cache.set("key", 1, expire_time=1)
    with time_travel(LATER):
        assert cache.get("key") is None
    assert told == [("key", 1), ("key",)]


def test_delete_cb_hears_of_a_changed_value_that_the_store_has(
    make_cache: MakeCache,
) -> None:
    told: list[object] = []
    cache = make_cache(
        write_action="write_back",
        write_cb=lambda context, key, value, expire_on: told.append(value),
        delete_cb=lambda context, key: told.append(key),
    )
    cache.set("new", 1)
    assert cache.remove("new")
    assert told == []
    cache.set("key", 1)
    cache.flush()
    cache.set("key", 2)
    assert cache.remove("key")
    assert told == [1, "key"]
