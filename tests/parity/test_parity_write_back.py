"""Write-back: changed values reach the store when they leave, not before."""

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
    """Return a small write-back cache that is tied to `store`."""
    return make_cache(
        page_size="4k", num_pages=1, write_action="write_back", **store.options()
    )


def writes(store: BackingStore) -> dict[Any, Any]:
    """Return what was written, and forget the calls."""
    found = {call[1]: call[2] for call in store.calls if call[0] == "write"}
    store.calls.clear()
    return found


@pytest.mark.quick
def test_a_set_does_not_write(tied: FastMmap, store: BackingStore) -> None:
    tied.set("key", 1)
    tied.set("key", 2)
    assert tied.get("key") == 2
    assert store.calls == []


@pytest.mark.quick
def test_nothing_is_lost_by_eviction(tied: FastMmap, store: BackingStore) -> None:
    for number in range(500):
        assert tied.set(f"key {number}", number)
        for earlier in (0, number // 2, number):
            key = f"key {earlier}"
            assert key in store or key in tied
    assert tied.stats().evictions > 0
    assert [tied.get(f"key {number}") for number in range(500)] == list(range(500))


def test_expire_writes_back_what_was_changed(
    tied: FastMmap, store: BackingStore
) -> None:
    tied.set("key", [1])
    assert tied.expire("key") is True
    assert store.calls == [("write", "key", [1], None)]
    assert "key" not in tied


def test_a_value_is_written_once(tied: FastMmap, store: BackingStore) -> None:
    tied.set("key", 1)
    tied.empty()
    assert writes(store) == {"key": 1}
    tied.get("key")
    tied.expire("key")
    tied.empty()
    assert writes(store) == {}


def test_empty_writes_everything_back(tied: FastMmap, store: BackingStore) -> None:
    model = {f"key {number}": number for number in range(10)}
    tied.update(model)
    assert tied.empty() == 10
    assert writes(store) == model
    assert len(tied) == 0


def test_empty_of_the_expired_writes_those_back(
    tied: FastMmap, store: BackingStore
) -> None:
    tied.set("short", 1, expire_time=50)
    tied.set("long", 2)
    with time_travel(60):
        assert tied.empty(only_expired=True) == 1
    assert writes(store) == {"short": 1}
    assert tied.get_keys() == ["long"]


@pytest.mark.quick
def test_an_expired_value_is_written_before_it_is_read_anew(
    tied: FastMmap, store: BackingStore
) -> None:
    tied.set("key", "changed", expire_time=50)
    with time_travel(60):
        assert tied.get("key") == "changed"
    assert [call[:2] for call in store.calls] == [("write", "key"), ("read", "key")]


def test_write_cb_can_tell_an_expired_value(
    tied: FastMmap, store: BackingStore
) -> None:
    tied.set("key", 1, expire_on=4102444800)
    tied.empty()
    assert store.calls == [("write", "key", 1, 4102444800)]


def test_an_expired_changed_value_is_not_lost_to_a_set(
    tied: FastMmap, store: BackingStore
) -> None:
    # Overwritten by the same key it need not be written; by others it must.
    tied.set("key", "changed", expire_time=50)
    with time_travel(60):
        for number in range(500):
            tied.set(f"key {number}", number)
        tied.empty()  # if it is still there, it is written now
    assert store["key"] == "changed"


def test_purge_and_clear_write_nothing(tied: FastMmap, store: BackingStore) -> None:
    tied.set("short", 1, expire_time=50)
    tied.set("long", 2)
    with time_travel(60):
        tied.purge()
    tied.clear()
    assert writes(store) == {}


def test_remove_of_a_changed_value_calls_no_delete_cb(
    tied: FastMmap, store: BackingStore
) -> None:
    tied.set("key", 1)
    tied.remove("key")
    assert store.calls == []


def test_remove_of_a_clean_value_calls_delete_cb(
    tied: FastMmap, store: BackingStore
) -> None:
    store["key"] = 1
    tied.get("key")
    tied.remove("key")
    assert store.calls == [("read", "key"), ("delete", "key")]
    assert store == {}


def test_a_value_that_does_not_fit_is_written_at_once(
    tied: FastMmap, store: BackingStore
) -> None:
    assert tied.set("key", b"x" * 5000) is False
    assert writes(store) == {"key": b"x" * 5000}


def test_every_way_of_changing_is_written_back(
    tied: FastMmap, store: BackingStore
) -> None:
    tied.set("a", 1)
    tied.empty()
    store.calls.clear()
    tied.get("a")
    tied.incr("a")
    tied.add("b", 2)
    tied.get_and_set("c", lambda key, value, entry: 3)
    with tied.lock("d") as item:
        item.value = 4
    tied["e"] = 5
    tied.set_many({"f": 6})
    tied.empty()
    assert writes(store) == {"a": 2, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6}


def test_a_touched_changed_value_stays_changed(
    tied: FastMmap, store: BackingStore
) -> None:
    tied.set("key", 1)
    tied.touch("key", 1000)
    tied.empty()
    assert writes(store) == {"key": 1}


@pytest.mark.quick
def test_a_value_whose_write_failed_stays_changed(
    make_cache: MakeCache, caplog: pytest.LogCaptureFixture
) -> None:
    store: dict[object, object] = {}
    broken = True

    def write(context: object, key: object, value: object, expire_on: object) -> None:
        if broken:
            raise OSError("no connection")
        store[key] = value

    cache = make_cache(write_action="write_back", write_cb=write)
    cache.set("key", 1)
    with caplog.at_level(logging.ERROR, "fastmmap"):
        cache.expire("key")
        cache.empty()
    entry = cache.get_entry("key")
    assert entry is not None and (entry.value, entry.dirty) == (1, True)
    assert caplog.records
    broken = False
    assert cache.empty() == 1
    assert store == {"key": 1}


def test_a_set_that_finds_no_room_but_unwritten_values_is_refused(
    make_cache: MakeCache, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError("no connection")

    cache = make_cache(
        page_size="4k", num_pages=1, write_action="write_back", write_cb=fail
    )
    with caplog.at_level(logging.CRITICAL, "fastmmap"):
        stored = [
            key
            for key in (f"key {number}" for number in range(300))
            if cache.set(key, b"x" * 50)
        ]
    assert 10 < len(stored) < 300
    assert set(cache.get_keys()) == set(stored)


@pytest.mark.parametrize("serializer", ["pickle", "json"])
def test_write_cb_gets_the_value_not_its_bytes(
    make_cache: MakeCache, store: BackingStore, serializer: str
) -> None:
    cache = make_cache(
        write_action="write_back",
        serializer=serializer,
        compressor="zlib",
        **store.options(),
    )
    value = {"list": ["long"] * 1000}
    cache.set("key", value)
    cache.set(b"key", "short")
    cache.empty()
    assert writes(store) == {"key": value, b"key": "short"}


def test_whoever_evicts_writes_back(make_cache: MakeCache) -> None:
    first, second = BackingStore(), BackingStore()
    options: dict[str, Any] = {"write_action": "write_back"}
    make_cache(page_size="4k", num_pages=1, **options, **first.options()).set("k", 1)
    make_cache(**options, **second.options()).empty()
    assert (first, second) == ({}, {"k": 1})


def test_an_object_without_write_cb_drops_no_changed_value(
    make_cache: MakeCache, store: BackingStore
) -> None:
    tied = make_cache(
        page_size="4k", num_pages=1, write_action="write_back", **store.options()
    )
    tied.set("key", "changed")
    stranger = make_cache()
    for number in range(300):
        stranger.set(f"key {number}", number)
    assert stranger.get("key") == "changed"
    tied.empty()
    assert store["key"] == "changed"


def test_a_read_value_that_is_changed_becomes_dirty(
    tied: FastMmap, store: BackingStore
) -> None:
    store["key"] = 1
    assert tied.get("key") == 1
    tied.set("key", 2)
    tied.empty()
    assert store["key"] == 2


def test_read_values_are_evicted_without_a_write(
    tied: FastMmap, store: BackingStore
) -> None:
    store.update({f"key {number}": number for number in range(300)})
    for number in range(300):
        assert tied.get(f"key {number}") == number
    assert writes(store) == {}
