"""flush: changed values are written, and stay."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from support import BackingStore, MakeCache

from fastmmap import FastMmap
from fastmmap.testing import time_travel


@pytest.fixture
def store() -> BackingStore:
    return BackingStore()


@pytest.fixture
def tied(make_cache: MakeCache, store: BackingStore) -> FastMmap:
    """Return a write-back cache that is tied to `store`."""
    return make_cache(write_action="write_back", **store.options())


@pytest.mark.quick
def test_flush_writes_what_was_changed_and_keeps_it(
    tied: FastMmap, store: BackingStore
) -> None:
    model = {f"key {number}": [number] for number in range(100)}
    tied.update(model)
    assert tied.flush() is None
    assert store == model
    assert tied.get_many(model) == model


def test_flush_writes_a_value_once(tied: FastMmap, store: BackingStore) -> None:
    tied.set("key", 1)
    tied.flush()
    entry = tied.get_entry("key")
    assert entry is not None and not entry.dirty
    tied.flush()
    tied.empty()
    assert store.calls == [("write", "key", 1, None)]


def test_flush_writes_again_what_was_changed_again(
    tied: FastMmap, store: BackingStore
) -> None:
    tied.set("key", 1)
    tied.flush()
    tied.incr("key")
    tied.flush()
    assert store.calls == [("write", "key", 1, None), ("write", "key", 2, None)]


def test_flush_writes_what_has_expired(tied: FastMmap, store: BackingStore) -> None:
    tied.set("key", 1, "10s")
    with time_travel(20):
        tied.flush()
    assert store == {"key": 1}


def test_flush_writes_what_another_object_changed(
    make_cache: MakeCache, tied: FastMmap, store: BackingStore
) -> None:
    other = make_cache(write_action="write_back", **BackingStore().options())
    other.set("key", 1)
    tied.flush()
    assert store == {"key": 1}


def test_a_value_whose_write_failed_in_flush_stays_changed(
    make_cache: MakeCache, caplog: pytest.LogCaptureFixture
) -> None:
    def write(context: object, key: Any, value: object, expire_on: object) -> None:
        if key == "bad":
            raise OSError("no connection")
        written.append(key)

    written: list[object] = []
    cache = make_cache(write_action="write_back", write_cb=write)
    cache.update(dict.fromkeys(("bad", "good", "better"), 1))
    with caplog.at_level(logging.ERROR, "fastmmap"):
        cache.flush()
    assert sorted(written) == ["better", "good"]
    assert [key for key in cache if cache.get_entry(key).dirty] == ["bad"]  # type: ignore[union-attr]  # there
    assert caplog.records


def test_flush_without_changed_values_writes_nothing(
    make_cache: MakeCache, store: BackingStore
) -> None:
    cache = make_cache(**store.options())
    cache.set("key", 1)
    store.calls.clear()
    cache.flush()
    assert store.calls == []
