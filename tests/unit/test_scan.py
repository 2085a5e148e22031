"""Whole-cache operations: get_keys(), purge(), empty() and clear()."""

from __future__ import annotations

import time
from typing import Any

import pytest
from support import MakeCache

from fastmmap import FastMmap, _core
from fastmmap.testing import time_travel


@pytest.mark.quick
def test_get_keys_lists_every_live_key(cache: FastMmap) -> None:
    keys: list[str | bytes] = [f"key {number}" for number in range(300)]
    keys += [b"bytes", ""]
    for key in keys:
        cache.set(key, 1)
    assert set(cache.get_keys()) == set(keys)
    assert len(cache.get_keys(0)) == len(keys)


def test_get_keys_of_an_empty_cache(cache: FastMmap) -> None:
    assert cache.get_keys() == []
    assert cache.get_keys(1) == []
    assert cache.get_keys(mode=2) == []


def test_get_keys_hides_what_has_expired(cache: FastMmap) -> None:
    cache.set("short", 1, expire_time=50)
    cache.set("long", 1)
    with time_travel(60):
        assert cache.get_keys() == ["long"]


def test_mode_1_describes_each_key(cache: FastMmap) -> None:
    cache.set("key", "value", expire_time=1000, modseq=3)
    (entry,) = cache.get_keys(1)
    assert set(entry) == {"key", "last_access", "expire_on", "flags", "modseq"}
    assert entry["key"] == "key"
    assert entry["expire_on"] == pytest.approx(time.time() + 1000, abs=2)
    assert entry["last_access"] == pytest.approx(time.time(), abs=2)
    assert entry["modseq"] == 3


def test_mode_2_gives_the_values_too(cache: FastMmap) -> None:
    cache.set("key", {"large": "x" * 5000})
    (entry,) = cache.get_keys(2)
    assert entry["value"] == {"large": "x" * 5000}
    assert entry["expire_on"] is None
    assert entry["modseq"] is None


@pytest.mark.parametrize("mode", [3, -1, "0"])
def test_another_mode_is_refused(cache: FastMmap, mode: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        cache.get_keys(mode)


@pytest.mark.quick
def test_purge_drops_what_has_expired(cache: FastMmap) -> None:
    for number in range(40):
        cache.set(f"short {number}", 1, expire_time=50)
        cache.set(f"long {number}", 1)
    assert cache.purge() == 0
    with time_travel(60):
        assert cache.purge() == 40
        assert cache.purge() == 0
    assert len(cache) == 40


def test_empty_drops_everything(cache: FastMmap) -> None:
    for number in range(40):
        cache.set(f"key {number}", 1)
    assert cache.empty() == 40
    assert cache.empty() == 0
    assert len(cache) == 0


def test_empty_can_drop_only_what_has_expired(cache: FastMmap) -> None:
    cache.set("short", 1, expire_time=50)
    cache.set("long", 1)
    with time_travel(60):
        assert cache.empty(only_expired=True) == 1
        assert cache.empty(True) == 0
    assert cache.get_keys() == ["long"]


@pytest.mark.quick
def test_clear_returns_nothing_and_leaves_nothing(cache: FastMmap) -> None:
    for number in range(300):
        cache.set(f"key {number}", 1, expire_time=number)
    cache.clear()
    assert len(cache) == 0
    assert cache.set("key 1", 2)
    assert cache.get("key 1") == 2


def test_a_cleared_cache_takes_as_much_as_a_new_one(make_cache: MakeCache) -> None:
    cache = make_cache(page_size="64k", num_pages=2)
    kept = []
    for _ in range(5):
        for number in range(300):
            cache.set(f"key {number}", b"x" * 300)
        kept.append(len(cache))
        cache.clear()
    assert min(kept) >= kept[0] * 0.9


def test_expired_values_make_room(one_page: FastMmap) -> None:
    for number in range(100):
        one_page.set(f"old {number}", b"x" * 500, expire_time=50)
    with time_travel(60):
        for number in range(100):
            one_page.set(f"new {number}", b"x" * 400)
        assert len(one_page) > 80


def test_a_record_tells_what_is_known_beside_the_value(make_cache: MakeCache) -> None:
    cache = make_cache(cache_size="4m", compressor="zlib")
    cache.set("plain", 1)
    cache.set(b"tagged", b"x" * 1000, expire_time=1000, tags=["tag"])
    cache.set("large", bytes(range(256)) * 1000)
    found = {record[0]: record for record in cache._scan(_core.SCAN_RECORDS)}
    entries = {entry[0]: entry for entry in cache._scan(_core.SCAN_ENTRIES)}
    flags = {key: record[5] for key, record in found.items()}
    assert flags == {"plain": 0, b"tagged": 2 | 8, "large": 2}
    for key, record in found.items():
        entry = cache.get_entry(key)
        assert entry is not None
        expected = (entry.size, entry.expire_on, entry.stored_on, entry.last_access)
        assert record[1:5] == expected
        assert record[6] == 0
    assert entries == {key: (*found[key], cache[key]) for key in found}


def test_a_record_tells_how_much_a_value_is_wanted(make_cache: MakeCache) -> None:
    cache = make_cache(cache_size="1m")
    cache.set("wanted", 1)
    cache.set("forgotten", 2)
    cache.get("wanted")
    found = {record[0]: record[6] for record in cache._scan(_core.SCAN_RECORDS)}
    assert found["wanted"] > found["forgotten"] == 0
