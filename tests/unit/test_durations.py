"""Lifetimes: every spelling that the contract has."""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support import MakeCache

from fastmmap import FastMmap
from fastmmap.testing import time_travel

SPELLINGS = [
    (30, 30.0),
    (20.5, 20.5),
    ("20500ms", 20.5),
    ("10s", 10.0),
    ("5m", 300.0),
    ("1h", 3600.0),
    ("2d", 172800.0),
    ("1w", 604800.0),
    ("1h30m", 5400.0),
    ("1h 30m", 5400.0),
    ("1 hour", 3600.0),
    ("2 Days 12 hours", 216000.0),
    ("1m1s", 61.0),
    ("1.5 min", 90.0),
    ("1 week 500 ms", 604800.5),
    (" 90 ", 90.0),
    (timedelta(days=1, milliseconds=250), 86400.25),
]

BAD = [-1, -0.001, "-1s", "12x", "s", "ten", "1 da", "1h30", "1e3s", "0x10"]
BAD += [float("nan"), float("-inf"), -1e300, timedelta(-1), "1 hours30", "1h-1m", ""]
NEVER = [0, 0.0, "never", timedelta(0), float("inf"), sys.maxsize, 10**30, 1e300]
NEVER += ["9" * 30 + "w", "0h 0m"]


@pytest.mark.quick
@pytest.mark.parametrize(("spelling", "seconds"), SPELLINGS, ids=str)
def test_every_spelling_reads_as_seconds(
    make_cache: MakeCache, spelling: Any, seconds: float
) -> None:
    cache = make_cache(expire_time=spelling)
    assert cache.expire_time == pytest.approx(seconds)
    before = time.time()
    cache.set("key", 1)
    after = time.time()
    (found,) = cache.get_keys(1)
    # The cache's clock has steps of some milliseconds.
    assert before + seconds - 0.02 < found["expire_on"] <= after + seconds
    with time_travel(seconds + 1):
        assert "key" not in cache


@pytest.mark.parametrize("never", NEVER, ids=str)
def test_never_is_never(make_cache: MakeCache, never: Any) -> None:
    cache = make_cache(expire_time=never)
    cache.set("key", 1)
    cache.set("other", 1, never)
    for key in ("key", "other"):
        entry = cache.get_entry(key)
        assert entry is not None and entry.expire_on is None


def test_now_has_already_expired(make_cache: MakeCache) -> None:
    cache = make_cache(expire_time="now")
    cache.set("key", 1)
    assert "key" not in cache
    cache.set("other", 1, expire_time=5)
    assert "other" in cache


@pytest.mark.quick
@pytest.mark.parametrize("bad", BAD, ids=str)
def test_an_unreadable_lifetime_is_a_value_error(path: str, bad: Any) -> None:
    with pytest.raises(ValueError) as caught:
        FastMmap(path, expire_time=bad)
    assert "expire_time" in str(caught.value) or "lifetime" in str(caught.value)
    assert not Path(path).exists()


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_every_call_refuses_an_unreadable_lifetime(cache: FastMmap, bad: Any) -> None:
    cache.set("key", "old")
    for call in (cache.add, cache.replace, cache.set):
        with pytest.raises(ValueError):
            call("key", "new", expire_time=bad)
    with pytest.raises(ValueError):
        cache.touch("key", bad)
    with pytest.raises(ValueError):
        cache.incr("n", expire_time=bad)
    assert dict(cache) == {"key": "old"}


@pytest.mark.parametrize("bad", [b"10s", [1], Ellipsis, 1j], ids=repr)
def test_a_lifetime_of_another_type_is_a_type_error(cache: FastMmap, bad: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        cache.set("key", 1, bad)
    assert "key" not in cache


def test_a_lifetime_is_kept_to_the_millisecond(cache: FastMmap) -> None:
    before = time.time()
    cache.set("key", 1, expire_time=1000.25)
    after = time.time()
    entry = cache.get_entry("key")
    assert entry is not None and entry.expire_on is not None
    assert before + 1000.23 < entry.expire_on <= after + 1000.25
