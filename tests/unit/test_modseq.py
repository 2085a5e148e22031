"""Modseqs and tombstones: an older change never hides a newer one."""

from __future__ import annotations

import pytest
from support import MakeCache

from fastmmap import FastMmap
from fastmmap.testing import time_travel


@pytest.mark.quick
def test_a_value_is_kept_against_an_older_one(cache: FastMmap) -> None:
    assert cache.set("key", "new", modseq=5) is True
    assert cache.set("key", "old", modseq=4) is False
    assert cache.get("key") == "new"


def test_an_equal_or_newer_modseq_is_stored(cache: FastMmap) -> None:
    cache.set("key", "a", modseq=5)
    assert cache.set("key", "b", modseq=5) is True
    assert cache.set("key", "c", modseq=6) is True
    assert cache.get("key") == "c"


def test_modseqs_compare_as_unsigned_64_bit_numbers(cache: FastMmap) -> None:
    cache.set("key", "large", modseq=2**64 - 1)
    assert cache.set("key", "small", modseq=2**63) is False
    assert cache.set("zero", 0, modseq=0) is True


def test_set_without_a_modseq_stores_over_a_value_and_clears_it(
    cache: FastMmap,
) -> None:
    cache.set("key", "new", modseq=5)
    assert cache.set("key", "plain") is True
    entry = cache.get_entry("key")
    assert entry is not None and entry.modseq is None
    assert cache.set("key", "any", modseq=1) is True


def test_a_modseq_is_stored_over_a_value_that_has_none(cache: FastMmap) -> None:
    cache.set("key", "plain")
    assert cache.set("key", "first", modseq=0) is True


@pytest.mark.quick
def test_a_tombstone_reads_as_a_miss(cache: FastMmap) -> None:
    cache.set("key", "value", modseq=1)
    assert cache.remove("key", modseq=2) is True
    assert cache.get("key", "default") == "default"
    assert "key" not in cache
    assert cache.get_entry("key") is None
    with pytest.raises(KeyError):
        cache["key"]


def test_a_tombstone_needs_no_value_to_be_there(cache: FastMmap) -> None:
    assert cache.remove("key", modseq=2) is False
    assert cache.set("key", "old", modseq=1) is False


def test_a_tombstone_refuses_older_values_and_takes_others(cache: FastMmap) -> None:
    cache.remove("key", modseq=5)
    assert cache.set("key", "old", modseq=4) is False
    assert "key" not in cache
    assert cache.set("key", "equal", modseq=5) is True
    assert cache.get("key") == "equal"


def test_a_tombstone_refuses_values_without_a_modseq(cache: FastMmap) -> None:
    cache.remove("key", modseq=5)
    assert cache.set("key", "plain") is False
    assert cache.get("key") is None


def test_the_modseq_of_a_tombstone_never_goes_down(cache: FastMmap) -> None:
    cache.remove("key", modseq=5)
    cache.remove("key", modseq=3)
    assert cache.set("key", "old", modseq=4) is False
    assert cache.set("key", "new", modseq=5) is True


def test_an_older_or_equal_tombstone_keeps_the_value(cache: FastMmap) -> None:
    for modseq in (4, 5):
        cache.set("key", "value", modseq=5)
        assert cache.remove("key", modseq=modseq) is True
        assert cache.get("key") == "value"


def test_a_tombstone_over_a_value_without_modseq_removes_it(cache: FastMmap) -> None:
    cache.set("key", "plain")
    assert cache.remove("key", modseq=0) is True
    assert "key" not in cache


def test_remove_without_a_modseq_deletes_a_tombstone(cache: FastMmap) -> None:
    cache.remove("key", modseq=5)
    cache.remove("key")
    assert cache.set("key", "plain") is True


def test_tombstones_are_hidden(cache: FastMmap) -> None:
    cache.set("value", 1)
    cache.remove("grave", modseq=5)
    assert len(cache) == 1
    assert list(cache) == ["value"]
    assert cache.get_keys() == ["value"]
    assert [entry["key"] for entry in cache.get_keys(2)] == ["value"]
    assert list(cache.items()) == [("value", 1)]


def test_a_tombstone_lives_as_long_as_it_is_told(cache: FastMmap) -> None:
    cache.remove("key", modseq=5, expire_time=100)
    with time_travel(90):
        assert cache.set("key", "old", modseq=1) is False
    with time_travel(110):
        assert cache.set("key", "old", modseq=1) is True


def test_a_tombstone_takes_a_moment(cache: FastMmap) -> None:
    cache.remove("key", modseq=5, expire_on=1)
    assert cache.set("key", "old", modseq=1) is True


def test_tombstones_have_a_default_lifetime_of_their_own(
    make_cache: MakeCache,
) -> None:
    cache = make_cache(expire_time=1000, tombstone_expire_time=100)
    cache.remove("key", modseq=5)
    with time_travel(90):
        assert cache.set("key", "old", modseq=1) is False
    with time_travel(110):
        assert cache.set("key", "old", modseq=1) is True


def test_tombstones_live_as_long_as_values_by_default(make_cache: MakeCache) -> None:
    cache = make_cache(expire_time=1000)
    cache.remove("key", modseq=5)
    with time_travel(990):
        assert cache.set("key", "old", modseq=1) is False
    with time_travel(1010):
        assert cache.set("key", "old", modseq=1) is True


def test_an_expired_value_refuses_nothing(cache: FastMmap) -> None:
    cache.set("key", "new", modseq=5, expire_time=100)
    with time_travel(110):
        assert cache.set("key", "old", modseq=1) is True


def test_clear_takes_tombstones_away(cache: FastMmap) -> None:
    cache.remove("key", modseq=5)
    cache.clear()
    assert cache.set("key", "old", modseq=1) is True


@pytest.mark.parametrize("modseq", [-1, 2**64, 10**30])
def test_a_modseq_outside_64_bits_is_a_value_error(
    cache: FastMmap, modseq: int
) -> None:
    with pytest.raises(ValueError):
        cache.set("key", 1, modseq=modseq)
    with pytest.raises(ValueError):
        cache.remove("key", modseq=modseq)
    assert cache.set("key", 1)
