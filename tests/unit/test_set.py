"""set(): what is stored, for how long, and what is refused."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from support import MakeCache

from fastmmap import FastMmap
from fastmmap.testing import time_travel


@pytest.mark.quick
def test_set_says_that_it_stored(cache: FastMmap) -> None:
    assert cache.set("key", "value") is True


def test_set_replaces_the_old_value(cache: FastMmap) -> None:
    cache.set("key", "old")
    cache.set("key", ["new", "and", "longer"])
    assert cache.get("key") == ["new", "and", "longer"]
    assert len(cache) == 1


@pytest.mark.parametrize(
    "lifetime", [50, 50.0, "50s", "50000ms", timedelta(seconds=50)]
)
def test_set_with_a_lifetime(cache: FastMmap, lifetime: Any) -> None:
    cache.set("key", 1, expire_time=lifetime)
    with time_travel(40):
        assert "key" in cache
    with time_travel(60):
        assert "key" not in cache


def test_set_takes_the_lifetime_in_third_place(cache: FastMmap) -> None:
    cache.set("key", 1, 50)
    with time_travel(60):
        assert "key" not in cache


def test_set_without_a_lifetime_uses_that_of_the_object(make_cache: MakeCache) -> None:
    cache = make_cache(expire_time="100s")
    cache.set("key", 1)
    with time_travel(90):
        assert "key" in cache
    with time_travel(110):
        assert "key" not in cache


@pytest.mark.parametrize("never", [0, "never"])
def test_set_can_override_the_lifetime_by_never(
    make_cache: MakeCache, never: Any
) -> None:
    cache = make_cache(expire_time="100s")
    cache.set("key", 1, expire_time=never)
    with time_travel(10 * 365 * 86400):
        assert cache.get("key") == 1


def test_set_with_now_is_expired_at_once(cache: FastMmap) -> None:
    assert cache.set("key", 1, expire_time="now")
    assert "key" not in cache


def test_expire_on_is_a_moment_since_1970(cache: FastMmap) -> None:
    cache.set("key", 1, expire_on=time.time() + 1000)
    with time_travel(990):
        assert "key" in cache
    with time_travel(1010):
        assert "key" not in cache


def test_expire_on_wins_over_expire_time(cache: FastMmap) -> None:
    cache.set("key", 1, expire_time=50, expire_on=time.time() + 1000)
    with time_travel(500):
        assert "key" in cache


def test_expire_on_in_the_past_is_expired(cache: FastMmap) -> None:
    assert cache.set("key", 1, expire_on=time.time() - 1)
    assert cache.get("key") is None


def test_set_over_a_value_that_expires_sets_a_new_lifetime(cache: FastMmap) -> None:
    cache.set("key", 1, expire_time=50)
    cache.set("key", 2)
    with time_travel(60):
        assert cache.get("key") == 2


def test_set_of_too_large_a_value_is_refused(one_page: FastMmap) -> None:
    assert one_page.set("key", b"x" * 65536) is False
    assert one_page.get("key") is None


@pytest.mark.quick
def test_a_refused_set_keeps_the_old_value_and_its_lifetime(one_page: FastMmap) -> None:
    one_page.set("key", "old", expire_time=100)
    assert one_page.set("key", b"x" * 65536) is False
    assert one_page.get("key") == "old"
    with time_travel(110):
        assert one_page.get("key") is None


def test_the_largest_value_that_fits_is_stored(one_page: FastMmap) -> None:
    fits, too_large = 1, 65536
    while too_large - fits > 1:
        middle = (fits + too_large) // 2
        if one_page.set("key", b"x" * middle):
            fits = middle
        else:
            too_large = middle
    assert one_page.get("key") == b"x" * fits
    # A third of ring M, which is four fifths of what the first index leaves.
    assert 0.25 < fits / 65536 < 0.8 / 3


def test_set_goes_on_for_ever_in_a_full_cache(one_page: FastMmap) -> None:
    for number in range(5000):
        assert one_page.set(f"key {number}", b"v" * (number % 700))
        assert one_page.get(f"key {number}") == b"v" * (number % 700)
    assert one_page.stats().evictions > 0
    assert one_page.check().ok


def test_set_needs_key_and_value(cache: FastMmap) -> None:
    with pytest.raises(TypeError):
        cache.set("key")  # type: ignore[call-arg]  # on purpose


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"expire_time": -1}, ValueError),
        ({"expire_time": "soon"}, ValueError),
        ({"expire_time": float("nan")}, ValueError),
        ({"expire_time": timedelta(seconds=-1)}, ValueError),
        ({"expire_time": [1]}, TypeError),
        ({"expire_on": -1}, ValueError),
        ({"expire_on": float("nan")}, ValueError),
        ({"expire_on": 1e30}, ValueError),
        ({"expire_on": "tomorrow"}, (TypeError, ValueError)),
        ({"modseq": -1}, ValueError),
        ({"modseq": 2**64}, ValueError),
        ({"modseq": 1.5}, TypeError),
    ],
    ids=str,
)
def test_absurd_options_are_refused_and_nothing_is_lost(
    cache: FastMmap, options: dict[str, Any], error: type[Exception]
) -> None:
    cache.set("key", "old")
    with pytest.raises(error):
        cache.set("key", "new", **options)
    assert cache.get("key") == "old"


@pytest.mark.parametrize("zone", [None, timezone.utc])
def test_a_datetime_as_expire_on_is_a_type_error_that_helps(
    cache: FastMmap, zone: timezone | None
) -> None:
    """A naive one would be a guess at the time zone."""
    with pytest.raises(TypeError, match=r"not .*datetime: give its timestamp\(\)"):
        cache.set("key", 1, expire_on=datetime(2040, 1, 1, tzinfo=zone))  # type: ignore[arg-type]  # on purpose
    assert "key" not in cache
