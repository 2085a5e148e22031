"""get_and_set(): one function decides under the page's lock."""

from __future__ import annotations

import time
from pickle import PicklingError
from typing import Any

import pytest

from fastmmap import KEEP, Entry, FastMmap, LockError, Store
from fastmmap.testing import time_travel


def put(value: object) -> Any:
    """Return a function that ignores what is there."""
    return lambda key, old, entry: value


@pytest.mark.quick
def test_it_stores_what_the_function_returns(cache: FastMmap) -> None:
    cache.set("key", 1)
    result = cache.get_and_set("key", lambda key, value, entry: value + 1)
    assert (result.value, result.stored) == (2, True)
    assert result == (2, True)
    assert cache.get("key") == 2


def test_the_function_sees_key_value_and_entry(cache: FastMmap) -> None:
    cache.set("key", ["old"], expire_time=1000)
    seen: list[Any] = []
    cache.get_and_set("key", lambda *arguments: seen.append(arguments))
    ((key, value, entry),) = seen
    assert (key, value) == ("key", ["old"])
    assert isinstance(entry, Entry)
    assert entry.expire_on == pytest.approx(time.time() + 1000, abs=2)


def test_the_function_sees_none_for_an_absent_key(cache: FastMmap) -> None:
    seen: list[Any] = []
    cache.get_and_set(b"key", lambda *arguments: seen.append(arguments))
    assert seen == [(b"key", None, None)]


def test_the_entry_tells_a_stored_none_from_an_absent_key(cache: FastMmap) -> None:
    cache.set("key", None)
    cache.get_and_set("key", lambda key, value, entry: entry is not None)
    assert cache.get("key") is True


def test_an_expired_value_counts_as_absent(cache: FastMmap) -> None:
    cache.set("key", "old", expire_time=50)
    with time_travel(60):
        assert cache.get_and_set("key", lambda key, value, entry: value).value is None


def test_none_is_stored_like_any_value(cache: FastMmap) -> None:
    cache.set("key", 1)
    assert cache.get_and_set("key", put(None)) == (None, True)
    assert cache.get("key", "default") is None


@pytest.mark.quick
def test_keep_changes_nothing(cache: FastMmap) -> None:
    cache.set("key", "old", expire_time=100)
    result = cache.get_and_set("key", put(KEEP))
    assert result.stored is False
    assert cache.get("key") == "old"
    with time_travel(110):
        assert "key" not in cache


def test_keep_of_an_absent_key_stores_nothing(cache: FastMmap) -> None:
    cache.get_and_set("key", put(KEEP))
    assert "key" not in cache


def test_store_gives_a_lifetime(cache: FastMmap) -> None:
    result = cache.get_and_set("key", put(Store("value", expire_time=100)))
    assert result == ("value", True)
    with time_travel(110):
        assert "key" not in cache


def test_store_gives_a_moment(cache: FastMmap) -> None:
    cache.get_and_set("key", put(Store("value", expire_on=time.time() + 100)))
    with time_travel(110):
        assert "key" not in cache


def test_store_gives_a_modseq(cache: FastMmap) -> None:
    cache.get_and_set("key", put(Store("value", modseq=5)))
    assert cache.set("key", "older", modseq=4) is False


def test_store_with_an_older_modseq_is_refused(cache: FastMmap) -> None:
    cache.set("key", "newer", modseq=5)
    assert cache.get_and_set("key", put(Store("older", modseq=4))).stored is False
    assert cache.get("key") == "newer"


def test_too_large_a_value_is_not_stored(one_page: FastMmap) -> None:
    one_page.set("key", "old")
    assert one_page.get_and_set("key", put(b"x" * 65536)).stored is False
    assert one_page.get("key") == "old"


def test_large_values_go_in_and_out(cache: FastMmap) -> None:
    cache.set("key", b"x" * 10000)
    cache.get_and_set("key", lambda key, value, entry: value + b"y" * 10000)
    assert cache.get("key") == b"x" * 10000 + b"y" * 10000


@pytest.mark.quick
@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt()])
def test_an_error_of_the_function_comes_out_and_nothing_changed(
    one_page: FastMmap, error: BaseException
) -> None:
    def fail(key: Any, value: object, entry: object) -> object:
        raise error

    one_page.set("key", "old")
    with pytest.raises(type(error)) as caught:
        one_page.get_and_set("key", fail)
    assert caught.value is error
    assert one_page.get("key") == "old"
    assert one_page.set("key", "new")


def test_an_unpicklable_result_changes_nothing(one_page: FastMmap) -> None:
    one_page.set("key", "old")
    with pytest.raises((PicklingError, AttributeError)):
        one_page.get_and_set("key", put(lambda: None))
    assert one_page.get("key") == "old"
    assert one_page.set("key", "new")


@pytest.mark.parametrize("key", ["key", "another key of the same page"])
def test_using_the_cache_inside_is_a_lock_error(one_page: FastMmap, key: str) -> None:
    errors: list[BaseException] = []

    def misuse(_key: object, value: object, entry: object) -> str:
        for use in (one_page.get, one_page.remove, one_page.__contains__):
            try:
                use(key)
            except LockError as error:
                errors.append(error)
        return "new"

    assert one_page.get_and_set("key", misuse) == ("new", True)
    assert len(errors) == 3
    assert one_page.get("key") == "new"


class Longer(Store):
    """A Store with more than its fields."""


@pytest.mark.parametrize(
    "store",
    [
        tuple.__new__(Store, ()),
        tuple.__new__(Store, (1,)),
        tuple.__new__(Store, (1, None, None, None, "more")),
        tuple.__new__(Longer, (1, 2)),
    ],
    ids=len,
)
def test_a_store_without_its_fields_is_a_type_error(
    one_page: FastMmap, store: Store
) -> None:
    one_page.set("key", "old")
    with pytest.raises(TypeError, match="Store"):
        one_page.get_and_set("key", put(store))
    assert one_page.get("key") == "old"
    assert one_page.set("key", "new")


def test_a_subclass_of_store_with_its_fields_is_one(cache: FastMmap) -> None:
    assert cache.get_and_set("key", put(Longer("value"))) == ("value", True)
    assert cache.get("key") == "value"


def test_what_is_not_callable_is_refused(cache: FastMmap) -> None:
    with pytest.raises(TypeError, match="callable"):
        cache.get_and_set("key", 1)  # type: ignore[arg-type]  # on purpose
    assert cache.set("key", 1)


def test_it_repeats_nothing_when_others_use_the_page(one_page: FastMmap) -> None:
    calls: list[object] = []
    for number in range(100):
        one_page.get_and_set("key", lambda key, value, entry: calls.append(1))
        one_page.set(f"key {number}", b"x" * 3000)
    assert len(calls) == 100
