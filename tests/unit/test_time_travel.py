"""fastmmap.testing.time_travel: this process's idea of now."""

from __future__ import annotations

import time

import pytest
from support import MakeCache

from fastmmap import FastMmap
from fastmmap.testing import time_travel


@pytest.mark.quick
def test_time_moves_forward_and_comes_back(cache: FastMmap) -> None:
    cache.set("key", 1, expire_time=100)
    with time_travel(200):
        assert "key" not in cache
    assert "key" in cache


def test_travel_takes_a_moment_since_1970(cache: FastMmap) -> None:
    cache.set("key", 1, expire_time=100)
    with time_travel(time.time() + 200):
        assert "key" not in cache


def test_travels_nest(cache: FastMmap) -> None:
    cache.set("key", 1, expire_time=100)
    with time_travel(60):
        with time_travel(60):
            assert "key" not in cache
        assert "key" in cache


def test_time_comes_back_after_an_error(cache: FastMmap) -> None:
    cache.set("key", 1, expire_time=100)
    with pytest.raises(RuntimeError), time_travel(200):
        raise RuntimeError
    assert "key" in cache


def test_every_cache_of_the_process_travels(
    cache: FastMmap, make_cache: MakeCache
) -> None:
    cache.set("key", 1, expire_time=100)
    with time_travel(200):
        assert "key" not in make_cache()


def test_what_is_set_on_a_travel_expires_there(cache: FastMmap) -> None:
    with time_travel(1000):
        cache.set("key", 1, expire_time=100)
        entry = cache.get_entry("key")
        assert entry is not None
        assert entry.expire_on == pytest.approx(time.time() + 1100, abs=2)
    with time_travel(1110):
        assert "key" not in cache


def test_a_travel_into_the_past_keeps_values_longer(cache: FastMmap) -> None:
    cache.set("key", 1, expire_time=100)
    with time_travel(200), time_travel(-150):
        assert "key" in cache


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), 1e300], ids=str)
def test_an_absurd_travel_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError), time_travel(seconds):
        pass
