"""get_entry(): a value with all that is known of it."""

from __future__ import annotations

import time
from typing import Any

import pytest
from support import MakeCache

from fastmmap import Entry, FastMmap
from fastmmap.testing import time_travel


def test_an_unknown_key_has_no_entry(cache: FastMmap) -> None:
    assert cache.get_entry("key") is None


@pytest.mark.quick
def test_an_entry_tells_value_and_times(cache: FastMmap) -> None:
    before = time.time()
    cache.set("key", {"a": 1}, expire_time=1000)
    entry = cache.get_entry("key")
    assert isinstance(entry, Entry)
    assert entry.value == {"a": 1}
    assert entry.expire_on == pytest.approx(before + 1000, abs=2)
    assert entry.stored_on == pytest.approx(before, abs=2)
    assert entry.last_access == pytest.approx(before, abs=2)
    assert entry.modseq is None
    assert entry.dirty is False


@pytest.mark.parametrize("never", [None, 0, "never"])
def test_a_value_that_never_expires_has_no_expire_on(
    cache: FastMmap, never: Any
) -> None:
    cache.set("key", 1, expire_time=never)
    entry = cache.get_entry("key")
    assert entry is not None and entry.expire_on is None


def test_an_entry_tells_its_modseq(cache: FastMmap) -> None:
    cache.set("key", 1, modseq=2**64 - 1)
    entry = cache.get_entry("key")
    assert entry is not None and entry.modseq == 2**64 - 1


def test_the_size_of_an_entry_grows_with_its_value(cache: FastMmap) -> None:
    cache.set("small", b"x")
    cache.set("large", b"x" * 1000)
    small, large = cache.get_entry("small"), cache.get_entry("large")
    assert small is not None and large is not None
    assert 0 < small.size < 200
    assert small.size + 900 < large.size < small.size + 1100


@pytest.mark.parametrize("years", [0, 8, 9, 20, 30])
def test_last_access_moves_with_get_however_old_the_file_is(
    cache: FastMmap, years: int
) -> None:
    cache.set("old", 1)
    with time_travel(years * 365 * 86_400):
        cache.set("key", 1)
        with time_travel(1000):
            cache.get("key")
            entry = cache.get_entry("key")
    assert entry is not None
    assert entry.last_access - entry.stored_on == pytest.approx(1000, abs=2)


def test_an_expired_value_has_no_entry(cache: FastMmap) -> None:
    cache.set("key", 1, expire_time=50)
    with time_travel(60):
        assert cache.get_entry("key") is None


def test_get_entry_calls_no_read_cb(make_cache: MakeCache) -> None:
    calls: list[object] = []
    cache = make_cache(read_cb=lambda context, key: calls.append(key))
    assert cache.get_entry("key") is None
    assert calls == []


def test_a_changed_value_not_yet_written_back_is_dirty(make_cache: MakeCache) -> None:
    cache = make_cache(write_action="write_back", write_cb=lambda *_: None)
    cache.set("key", 1)
    entry = cache.get_entry("key")
    assert entry is not None and entry.dirty is True
