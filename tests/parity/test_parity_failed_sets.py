"""A set that fails keeps the old value, whatever the reason."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support import MakeCache

from fastmmap import FastMmap
from fastmmap.testing import time_travel

TOO_LARGE = b"x" * 70_000


def assign_in_lock(cache: FastMmap, key: str) -> None:
    with cache.lock(key) as item:
        item.value = TOO_LARGE


WAYS: dict[str, Callable[[FastMmap], object]] = {
    "set": lambda cache: cache.set("key", TOO_LARGE),
    "set with modseq": lambda cache: cache.set("key", TOO_LARGE, modseq=9),
    "replace": lambda cache: cache.replace("key", TOO_LARGE),
    "set_many": lambda cache: cache.set_many({"key": TOO_LARGE}),
    "get_and_set": lambda cache: cache.get_and_set("key", lambda *_: TOO_LARGE),
    "item": lambda cache: cache.__setitem__("key", TOO_LARGE),
    "update": lambda cache: cache.update(key=TOO_LARGE),
    "lock": lambda cache: assign_in_lock(cache, "key"),
    "expiry": lambda cache: cache.set("key", "new", expire_time="12x"),
    "modseq": lambda cache: cache.set("key", "new", modseq=1),
}


@pytest.mark.quick
@pytest.mark.parametrize("name", WAYS)
def test_the_old_value_stays_with_its_lifetime(
    make_cache: MakeCache, name: str
) -> None:
    cache = make_cache(page_size="64k", num_pages=1)
    cache.set("key", "old", expire_time=100, modseq=5)
    try:
        outcome = WAYS[name](cache)
    except ValueError:
        outcome = False
    assert (
        outcome in (False, ["key"])
        or outcome == (TOO_LARGE, False)
        or (isinstance(outcome, tuple) and outcome[1] is False)
    )
    entry = cache.get_entry("key")
    assert entry is not None
    assert (entry.value, entry.modseq) == ("old", 5)
    with time_travel(110):
        assert "key" not in cache


def test_a_refused_set_evicts_nobody(make_cache: MakeCache) -> None:
    cache = make_cache(page_size="64k", num_pages=1)
    cache.update({f"key {number}": number for number in range(100)})
    assert cache.set("key", TOO_LARGE) is False
    assert len(cache) == 100
