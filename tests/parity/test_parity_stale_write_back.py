"""Races between an invalidation and an older value on its way in.

One process reads version 1 from the source and is slow to store it; meanwhile
the source changes and everybody is told. Without tombstones the slow one
would bring the old version back.
"""

from __future__ import annotations

import os
import random

import pytest
from support import MakeCache, run_scenario

from fastmmap import FastMmap


@pytest.mark.quick
def test_a_slow_reader_does_not_bring_an_old_version_back(
    make_cache: MakeCache,
) -> None:
    slow, fast = make_cache(), make_cache()
    version, value = 1, "old"  # the slow one has read this
    fast.remove("key", modseq=2)  # and the source moved on
    assert slow.set("key", value, modseq=version) is False
    assert fast.get("key") is None
    assert slow.set("key", "new", modseq=2) is True
    assert fast.get("key") == "new"


def test_without_modseqs_the_old_version_comes_back(make_cache: MakeCache) -> None:
    slow, fast = make_cache(), make_cache()
    fast.remove("key")
    assert slow.set("key", "old") is True
    assert fast.get("key") == "old"


def test_a_late_invalidation_does_not_drop_a_newer_value(
    make_cache: MakeCache,
) -> None:
    cache = make_cache()
    cache.set("key", "version 3", modseq=3)
    assert cache.remove("key", modseq=2) is True
    assert cache.get("key") == "version 3"


def test_changes_in_any_order_end_with_the_newest(make_cache: MakeCache) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    dice = random.Random(seed)
    cache = make_cache()
    for turn in range(200):
        key = f"key {turn}"
        changes = list(range(1, 8))
        dice.shuffle(changes)
        for modseq in changes:
            if modseq % 2:
                cache.set(key, modseq, modseq=modseq)
            else:
                cache.remove(key, modseq=modseq)
        assert cache.get(key) == 7


def race(path: str, seed: int) -> list[object]:
    """Let processes apply the same numbered changes, each in its own order."""
    cache = FastMmap(path, page_size="64k", num_pages=1)
    children = []
    for number in range(4):
        pid = os.fork()
        if pid == 0:
            changes = list(range(1, 402))
            random.Random(seed + number).shuffle(changes)
            for modseq in changes:
                if modseq % 2:
                    cache.set("key", modseq, modseq=modseq)
                else:
                    cache.remove("key", modseq=modseq)
            os._exit(0)
        children.append(pid)
    for pid in children:
        assert os.waitpid(pid, 0)[1] == 0
    entry = cache.get_entry("key")
    assert entry is not None
    return [entry.value, entry.modseq]


def test_processes_that_race_end_with_the_newest(path: str) -> None:
    seed = random.randrange(2**31)
    print("seed", seed)
    assert run_scenario(race, path, seed) == [401, 401]


def test_a_changed_value_of_write_back_is_dropped_by_a_newer_tombstone(
    make_cache: MakeCache,
) -> None:
    written: list[object] = []
    cache = make_cache(
        write_action="write_back",
        write_cb=lambda context, key, value, expire_on: written.append(value),
    )
    cache.set("key", "stale", modseq=1)
    cache.remove("key", modseq=2)
    cache.empty()
    assert written == []
    assert cache.get("key") is None


def test_a_conditional_store_refused_by_a_newer_value_is_not_written(
    make_cache: MakeCache,
) -> None:
    written: list[object] = []
    cache = make_cache(
        write_cb=lambda context, key, value, expire_on: written.append(value)
    )
    cache.set("key", "new", modseq=2)
    cache.set("key", "stale", modseq=1)
    assert written == ["new"]
