"""exists() and `in`: a look that changes and decodes nothing."""

from __future__ import annotations

import pytest
from support import MakeCache

from fastmmap import FastMmap
from fastmmap.testing import time_travel


@pytest.mark.quick
def test_exists_tells_what_is_there(cache: FastMmap) -> None:
    cache.set("key", None)
    assert cache.exists("key") is True
    assert cache.exists("other") is False
    assert "key" in cache
    assert "other" not in cache


def test_an_expired_value_does_not_exist(cache: FastMmap) -> None:
    cache.set("key", 1, expire_time=50)
    with time_travel(60):
        assert not cache.exists("key")


def test_exists_calls_no_read_cb(make_cache: MakeCache) -> None:
    cache = make_cache(read_cb=lambda context, key: "found")
    assert not cache.exists("key")
    assert "key" not in cache
    assert cache.get("key") == "found"
    assert cache.exists("key")


def test_exists_decodes_nothing(make_cache: MakeCache) -> None:
    def loads(data: bytes) -> object:
        raise AssertionError("decoded")

    cache = make_cache(serializer=(lambda value: repr(value).encode(), loads))
    cache.set("key", [1])
    assert cache.exists("key")
    assert "key" in cache
