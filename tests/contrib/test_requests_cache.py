"""The backend for requests-cache: what its own tests, in tests/outside, do not ask."""

from __future__ import annotations

import logging
import os
from datetime import timedelta
from typing import Any

import pytest
from broken import Broken
from requests_cache import CachedResponse, utcnow

from fastmmap.contrib.requests_cache import FastMmapCache
from fastmmap.testing import time_travel


@pytest.fixture
def cache(path: str) -> FastMmapCache:
    return FastMmapCache(path, cache_size="1m", keep_time=100)


def response(content: bytes = b"text", seconds: float | None = None) -> Any:
    """Return a response that expires in so many seconds, or never."""
    expires = None if seconds is None else utcnow() + timedelta(seconds=seconds)
    return CachedResponse(content=content, expires=expires)


def test_objects_of_one_file_share_their_responses(
    cache: FastMmapCache, path: str
) -> None:
    cache.responses["key"] = response(b"shared")
    cache.redirects["other"] = "key"
    again = FastMmapCache(path, cache_size="1m")
    assert again.get_response("key").content == b"shared"
    assert again.get_response("other").content == b"shared"


def test_a_session_that_asks_for_nothing_creates_no_file(path: str) -> None:
    FastMmapCache(path)
    assert not os.path.exists(path)


def test_ignoring_exceptions_nothing_is_kept(path: str) -> None:
    os.mkdir(path)
    cache = FastMmapCache(path, ignore_exceptions=True)
    cache.responses["key"] = response()
    assert "key" not in cache.responses and list(cache.responses) == []
    assert cache.get_response("key") is None
    cache.responses.bulk_delete(["key"])
    cache.clear()


@pytest.mark.parametrize(
    ("seconds", "kept"), [(None, 10**6), (30, 128), (0, 98), (-1000, 98)]
)
def test_a_response_stays_for_a_while_after_it_expired(
    cache: FastMmapCache, seconds: float | None, kept: float
) -> None:
    cache.responses["key"] = response(seconds=seconds)
    with time_travel(kept):
        assert "key" in cache.responses
    if seconds is not None:
        with time_travel(kept + 4):
            assert "key" not in cache.responses


def test_a_response_that_does_not_fit_is_logged_and_its_key_is_free(
    cache: FastMmapCache, caplog: pytest.LogCaptureFixture
) -> None:
    cache.responses["key"] = response(b"old")
    with caplog.at_level(logging.WARNING, "fastmmap"):
        cache.responses["key"] = response(b"x" * 500_000)
    assert cache.get_response("key") is None
    assert "is too large" in caplog.text


def test_responses_and_redirects_are_apart(cache: FastMmapCache) -> None:
    cache.responses["key"] = response()
    cache.redirects["key"] = "another"
    cache.responses.clear()
    assert list(cache.responses) == []
    assert dict(cache.redirects) == {"key": "another"}


def test_what_else_is_in_the_file_is_left_alone(cache: FastMmapCache) -> None:
    cache.responses._cache.update({"key": 1, b"response:key": 2})
    cache.responses["key"] = response()
    assert list(cache.responses) == ["key"]
    cache.clear()
    assert dict(cache.responses._cache) == {"key": 1, b"response:key": 2}


def test_a_response_that_cannot_be_read_is_missing(cache: FastMmapCache) -> None:
    storage = cache.redirects
    storage._cache.set("redirect:key", Broken())
    assert storage.get("key") is None
    storage["key"] = "other"
    assert storage["key"] == "other"
