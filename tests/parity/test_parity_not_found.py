"""cache_not_found: what the store does not have is remembered as well."""

from __future__ import annotations

import pytest
from support import BackingStore, MakeCache

from fastmmap import FastMmap
from fastmmap.testing import time_travel


@pytest.fixture
def store() -> BackingStore:
    return BackingStore()


@pytest.fixture
def tied(make_cache: MakeCache, store: BackingStore) -> FastMmap:
    return make_cache(cache_not_found=True, expire_time=100, **store.options())


@pytest.mark.quick
def test_the_store_is_asked_once(tied: FastMmap, store: BackingStore) -> None:
    for _ in range(3):
        assert tied.get("absent", "default") == "default"
    assert store.calls == [("read", "absent")]


def test_the_store_is_asked_again_after_expiry(
    tied: FastMmap, store: BackingStore
) -> None:
    tied.get("key")
    store["key"] = "arrived"
    assert tied.get("key") is None
    with time_travel(110):
        assert tied.get("key") == "arrived"


def test_a_set_replaces_the_memory(tied: FastMmap) -> None:
    tied.get("key")
    tied.set("key", 1)
    assert tied.get("key") == 1


def test_add_takes_it_for_absent(tied: FastMmap) -> None:
    tied.get("key")
    assert tied.add("key", 1) is True
    assert tied.get("key") == 1


def test_replace_takes_it_for_absent(tied: FastMmap) -> None:
    tied.get("key")
    assert tied.replace("key", 1) is False


def test_incr_starts_anew(tied: FastMmap) -> None:
    tied.get("n")
    assert tied.incr("n") == 1


def test_a_remove_forgets_it(tied: FastMmap, store: BackingStore) -> None:
    tied.get("key")
    tied.remove("key")
    tied.get("key")
    assert [call for call in store.calls if call[0] == "read"] == [("read", "key")] * 2


def test_it_reads_as_absent_everywhere(tied: FastMmap) -> None:
    tied.get("key")
    assert "key" not in tied
    assert not tied.exists("key")
    assert tied.get_entry("key") is None
    assert tied.get_and_remove("key", "default") == ("default", False)
    with pytest.raises(KeyError):
        tied["key"]


def test_it_is_hidden_from_lists(tied: FastMmap) -> None:
    tied.get("absent")
    tied.set("present", 1)
    assert len(tied) == 1
    assert list(tied) == tied.get_keys() == ["present"]
    assert list(tied.items()) == [("present", 1)]


def test_get_and_set_sees_it_as_absent(tied: FastMmap) -> None:
    tied.get("key")
    result = tied.get_and_set("key", lambda key, value, entry: [value, entry])
    assert result.value == [None, None]


def test_it_is_never_written_back(make_cache: MakeCache, store: BackingStore) -> None:
    cache = make_cache(
        cache_not_found=True, write_action="write_back", **store.options()
    )
    cache.get("absent")
    cache.empty()
    assert store.calls == [("read", "absent")]


def test_without_the_option_the_store_is_asked_each_time(
    make_cache: MakeCache, store: BackingStore
) -> None:
    cache = make_cache(**store.options())
    cache.get("absent")
    cache.get("absent")
    assert store.calls == [("read", "absent")] * 2


def test_what_was_not_found_is_no_value_for_an_object_that_keeps_no_such_marks(
    make_cache: MakeCache,
) -> None:
    """The file has the marks, whoever made them."""
    store = BackingStore()
    marking = make_cache(cache_not_found=True, **store.options())
    other = make_cache()
    keys = ["add", "setdefault", "incr", "replace"]
    assert [marking.get(key) for key in keys] == [None] * 4
    assert other.add("add", 1)
    assert other.setdefault("setdefault", 1) == 1
    assert other.incr("incr") == 1
    assert not other.replace("replace", 1)
    assert [other.get(key) for key in keys] == [1, 1, 1, None]
