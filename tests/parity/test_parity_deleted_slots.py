"""Deleted slots are used again: a page does not wear out."""

from __future__ import annotations

import pytest
from support import MakeCache


@pytest.mark.quick
def test_a_page_takes_new_keys_after_all_were_removed(make_cache: MakeCache) -> None:
    cache = make_cache(page_size="64k", num_pages=1, start_slots=256)
    for turn in range(200):
        keys = [f"turn {turn} key {number}" for number in range(50)]
        for key in keys:
            assert cache.set(key, turn)
        assert [cache.get(key) for key in keys] == [turn] * 50
        for key in keys:
            assert cache.remove(key)
        assert len(cache) == 0
    assert cache.stats().slot_evictions == 0
    assert cache.stats().evictions == 0
    assert cache.check().ok


def test_one_key_set_and_removed_for_ever(make_cache: MakeCache) -> None:
    cache = make_cache(page_size="4k", num_pages=1)
    cache.set("neighbour", "stays")
    for number in range(20_000):
        assert cache.set("key", number)
        assert cache.remove("key")
    assert cache.get("neighbour") == "stays"
    assert cache.stats().evictions == 0


def test_keys_are_found_although_others_were_removed_before_them(
    make_cache: MakeCache,
) -> None:
    cache = make_cache(page_size="64k", num_pages=1)
    for number in range(150):
        cache.set(f"key {number}", number)
    for number in range(0, 150, 2):
        cache.remove(f"key {number}")
    for number in range(1, 150, 2):
        assert cache.get(f"key {number}") == number
    assert len(cache) == 75
