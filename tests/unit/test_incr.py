"""incr() and decr(): counters."""

from __future__ import annotations

from typing import Any

import pytest
from support import MakeCache

from fastmmap import FastMmap
from fastmmap.testing import time_travel


@pytest.mark.quick
def test_a_counter_starts_at_zero(cache: FastMmap) -> None:
    assert cache.incr("n") == 1
    assert cache.incr("n") == 2
    assert cache.get("n") == 2


def test_a_counter_takes_a_step(cache: FastMmap) -> None:
    assert cache.incr("n", 10) == 10
    assert cache.incr("n", -3) == 7
    assert cache.incr("n", delta=0) == 7


def test_decr_counts_down(cache: FastMmap) -> None:
    assert cache.decr("n") == -1
    assert cache.decr("n", 5) == -6
    assert cache.decr("n", initial=100) == -7


def test_a_counter_starts_where_it_is_told(cache: FastMmap) -> None:
    assert cache.incr("n", 5, initial=100) == 105
    assert cache.incr("n", 5, initial=100) == 110


def test_a_counter_continues_a_stored_int(cache: FastMmap) -> None:
    cache.set("n", 41)
    assert cache.incr("n") == 42
    assert type(cache.get("n")) is int


@pytest.mark.parametrize("serializer", ["pickle", "raw", "json", "msgpack"])
def test_a_counter_works_with_every_serializer(
    make_cache: MakeCache, serializer: str
) -> None:
    cache = make_cache(serializer=serializer)
    assert cache.incr("n") == 1
    assert cache.get("n") == 1
    assert cache.incr("n") == 2


def test_a_counter_keeps_its_expiry(cache: FastMmap) -> None:
    cache.set("n", 1, expire_time=100)
    with time_travel(50):
        cache.incr("n", expire_time=1000)
    with time_travel(90):
        assert cache.get("n") == 2
    with time_travel(110):
        assert cache.get("n") is None


def test_a_new_counter_takes_its_expiry(cache: FastMmap) -> None:
    cache.incr("n", expire_time=100)
    with time_travel(110):
        assert cache.incr("n") == 1


def test_a_new_counter_lives_as_long_as_the_object_says(
    make_cache: MakeCache,
) -> None:
    cache = make_cache(expire_time=100)
    cache.incr("n")
    with time_travel(110):
        assert "n" not in cache


@pytest.mark.parametrize("value", ["1", b"1", 1.0, True, None, [1], 2**70], ids=repr)
def test_a_value_that_is_no_int_stays_as_it_is(cache: FastMmap, value: object) -> None:
    cache.set("n", value)
    error = OverflowError if value == 2**70 else TypeError
    with pytest.raises(error):
        cache.incr("n")
    assert cache.get("n") == value
    assert type(cache.get("n")) is type(value)


@pytest.mark.parametrize(
    ("start", "delta"), [(2**63 - 1, 1), (-(2**63), -1), (2**62, 2**62)]
)
def test_a_counter_beyond_64_bits_overflows_and_stays(
    cache: FastMmap, start: int, delta: int
) -> None:
    cache.set("n", start)
    with pytest.raises(OverflowError):
        cache.incr("n", delta)
    assert cache.get("n") == start


def test_a_counter_reaches_the_limits_of_64_bits(cache: FastMmap) -> None:
    assert cache.incr("up", 2**63 - 1) == 2**63 - 1
    assert cache.decr("down", 2**63 - 1) == -(2**63) + 1
    assert cache.decr("down") == -(2**63)


@pytest.mark.parametrize("delta", [2**63, -(2**63) - 1, 10**30])
def test_a_step_beyond_64_bits_overflows(cache: FastMmap, delta: int) -> None:
    with pytest.raises(OverflowError):
        cache.incr("n", delta)
    assert "n" not in cache


@pytest.mark.parametrize("delta", ["1", 1.5, None], ids=repr)
def test_a_step_that_is_no_int_is_refused(cache: FastMmap, delta: Any) -> None:
    with pytest.raises(TypeError):
        cache.incr("n", delta)


def test_a_counter_in_a_full_cache_keeps_counting(one_page: FastMmap) -> None:
    for number in range(3000):
        one_page.set(f"key {number}", b"x" * 100)
        one_page.incr("n")
    assert one_page.get("n", 0) > 0
    assert one_page.check().ok


@pytest.mark.parametrize("serializer", ["pickle", "json", "msgpack"])
def test_an_int_beyond_64_bits_is_an_int_in_every_cache(
    make_cache: MakeCache, serializer: str
) -> None:
    cache = make_cache(serializer=serializer)
    assert cache.set("key", 2**200)
    assert cache.get("key") == 2**200
    with pytest.raises(OverflowError):
        cache.incr("key")
