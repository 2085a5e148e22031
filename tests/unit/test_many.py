"""get_many(), set_many(), delete_many(), multi_get() and multi_set()."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from support import MakeCache

from fastmmap import ClosedError, FastMmap
from fastmmap.testing import time_travel

MODEL = {f"key {number}": [number] for number in range(200)}


@pytest.mark.quick
def test_set_many_stores_everything(cache: FastMmap) -> None:
    assert cache.set_many(MODEL) == []
    assert dict(cache) == MODEL


def test_get_many_returns_those_found(cache: FastMmap) -> None:
    cache.set_many(MODEL)
    assert cache.get_many(MODEL) == MODEL
    assert cache.get_many(["key 1", "absent", b"key 2"]) == {"key 1": [1]}
    assert cache.get_many([]) == {}


def test_get_many_takes_any_iterable(cache: FastMmap) -> None:
    cache.set_many(MODEL)
    assert cache.get_many(key for key in MODEL) == MODEL
    assert cache.get_many({"key 1"}) == {"key 1": [1]}


def test_get_many_reads_no_key_before_it_is_asked_for(cache: FastMmap) -> None:
    def keys() -> Iterator[str]:
        for key, value in MODEL.items():
            cache.set(key, value)
            yield key

    assert cache.get_many(keys()) == MODEL


def test_get_many_follows_a_file_that_was_made_again(make_cache: MakeCache) -> None:
    cache = make_cache(unlink_on_exit=False)
    cache.set_many(dict.fromkeys(MODEL, "old"))

    def keys() -> Iterator[str]:
        for number, key in enumerate(MODEL):
            if number == 100:
                make_cache(cache_size="256k", init_file=True).set_many(MODEL)
            yield key

    found = list(cache.get_many(keys()).items())
    assert [value for _, value in found[:90]] == ["old"] * 90
    assert found[100:] == list(MODEL.items())[100:]


def test_get_many_of_a_cache_that_is_closed_meanwhile(cache: FastMmap) -> None:
    cache.set_many(MODEL)

    def keys() -> Iterator[str]:
        for number, key in enumerate(MODEL):
            if number == 50:
                cache.close()
            yield key

    with pytest.raises(ClosedError):
        cache.get_many(keys())


def test_get_many_finds_a_stored_none(cache: FastMmap) -> None:
    cache.set("key", None)
    assert cache.get_many(["key", "absent"]) == {"key": None}


def test_set_many_names_what_was_not_stored(one_page: FastMmap) -> None:
    one_page.set("large", "old")
    refused = one_page.set_many({"a": 1, "large": b"x" * 65536, "b": 2})
    assert refused == ["large"]
    assert one_page.get_many(["a", "b", "large"]) == {"a": 1, "b": 2, "large": "old"}


def test_set_many_takes_a_lifetime(cache: FastMmap) -> None:
    cache.set_many(MODEL, expire_time=50)
    with time_travel(60):
        assert cache.get_many(MODEL) == {}


def test_delete_many_counts_what_was_there(cache: FastMmap) -> None:
    cache.set_many(MODEL)
    assert cache.delete_many(["key 1", "key 2", "absent", "key 1"]) == 2
    assert len(cache) == 198


def test_a_bad_key_among_many_is_a_type_error(cache: FastMmap) -> None:
    with pytest.raises(TypeError, match="int"):
        cache.get_many(["a", 1])  # type: ignore[list-item]  # on purpose
    with pytest.raises(TypeError, match="int"):
        cache.get_many([*MODEL, 1])  # type: ignore[list-item]  # on purpose
    with pytest.raises(TypeError, match="int"):
        cache.delete_many(["a", 1])  # type: ignore[list-item]  # on purpose
    with pytest.raises(TypeError, match="int"):
        cache.set_many({1: 1})  # type: ignore[arg-type]  # on purpose


def test_an_iterable_that_raises_passes_its_error_on(one_page: FastMmap) -> None:
    def keys() -> Iterator[str]:
        yield "a"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        one_page.get_many(keys())
    assert one_page.set("a", 1)


def test_an_iterable_may_use_the_cache(one_page: FastMmap) -> None:
    one_page.set_many({"a": "b", "b": "c"})

    def keys() -> Iterator[str]:
        yield "a"
        yield one_page["a"]

    assert one_page.get_many(keys()) == {"a": "b", "b": "c"}


@pytest.mark.quick
def test_multi_set_and_multi_get_go_together(cache: FastMmap) -> None:
    person: dict[str | bytes, object] = {"name": "Ann", b"age": 30}
    assert cache.multi_set("user", person) is True
    assert cache.multi_get("user", ["name", b"age", "shoe"]) == person
    assert cache.multi_get("stranger", []) == {}


def test_each_page_key_has_keys_of_its_own(one_page: FastMmap) -> None:
    for number in range(20):
        assert one_page.multi_set(f"user {number}", {"name": number})
    for number in range(20):
        assert one_page.multi_get(f"user {number}", ["name"]) == {"name": number}
    assert one_page.get("name") is None
    assert one_page.check().ok


@pytest.mark.parametrize("page_key", ["page", b"page", "a", ""])
@pytest.mark.parametrize("name", ["", "space"])
def test_mapping_calls_show_only_what_get_finds(
    one_page: FastMmap, name: str, page_key: str | bytes
) -> None:
    space = one_page.namespace(name) if name else one_page
    assert space.multi_set(page_key, {"a": 1, b"a": 2, "": 3})
    assert (len(space), list(space), list(space.keys())) == (0, [], [])
    space["a"] = 4
    assert (len(space), list(space), list(space.values())) == (1, ["a"], [4])
    assert list(space.iter_prefix("")) == ["a"]
    assert space.popitem() == ("a", 4)
    with pytest.raises(KeyError):
        space.popitem()
    assert sorted(map(repr, space.get_keys())) == ["''", "'a'", "b'a'"]
    assert space.multi_get(page_key, ["a", b"a", ""]) == {"a": 1, b"a": 2, "": 3}


def test_multi_set_says_when_not_all_were_stored(one_page: FastMmap) -> None:
    assert one_page.multi_set("p", {"a": 1, "b": b"x" * 65536}) is False
    assert one_page.multi_get("p", ["a", "b"]) == {"a": 1}


def test_multi_set_takes_a_lifetime(cache: FastMmap) -> None:
    cache.multi_set("p", {"a": 1}, expire_time=50)
    cache.multi_set("p", {"b": 1}, 1000)
    with time_travel(60):
        assert cache.multi_get("p", ["a", "b"]) == {"b": 1}


def test_multi_set_takes_a_moment(cache: FastMmap) -> None:
    cache.multi_set("p", {"a": 1}, expire_on=1)
    assert cache.multi_get("p", ["a"]) == {}


# ------------------------------------------------------- multi_set and write_cb


class Told:
    """A store that notes what it is told; it may refuse."""

    def __init__(self, refuses: bool = False) -> None:
        self.refuses = refuses
        self.calls: list[tuple[Any, ...]] = []

    def write(self, *call: Any) -> None:
        if self.refuses:
            raise OSError("no connection")
        self.calls.append(call)


def opened(path: str, told: Told, action: str, **options: Any) -> FastMmap:
    return FastMmap(
        path,
        page_size="4k",
        num_pages=1,
        context="store",
        write_cb=told.write,
        write_action=action,
        **options,
    )


def set_one(cache: FastMmap, key: str, value: object, expire_on: int) -> bool:
    return cache.set(key, value, expire_on=expire_on)


def set_by_multi(cache: FastMmap, key: str, value: object, expire_on: int) -> bool:
    return cache.multi_set("page", {key: value}, expire_on=expire_on)


@pytest.mark.parametrize("store", [set_one, set_by_multi])
@pytest.mark.parametrize("action", ["write_through", "write_back"])
@pytest.mark.parametrize(("size", "fits"), [(10, True), (10_000, False)])
def test_multi_set_tells_the_store_as_set_does(
    path: str, store: Any, action: str, size: int, fits: bool
) -> None:
    told, later = Told(), 2**32
    with opened(path, told, action) as cache:
        assert store(cache, "key", b"x" * size, later) is fits
        first = len(told.calls)
        cache.flush()
    assert told.calls == [("store", "key", b"x" * size, float(later))]
    assert first == (action == "write_through" or not fits)


def test_a_value_of_multi_set_that_found_no_room_takes_the_older_along(
    path: str,
) -> None:
    told = Told()
    with opened(path, told, "write_back") as cache:
        cache.multi_set("page", {"key": "old", "other": 1})
        assert cache.multi_set("page", {"key": b"x" * 10_000, "third": 3}) is False
        assert cache.multi_get("page", ["key", "other", "third"]) == {
            "other": 1,
            "third": 3,
        }
    values = [value for _, key, value, _ in told.calls if key == "key"]
    assert values == ["old", b"x" * 10_000]


def test_a_value_of_multi_set_that_write_cb_refuses_leaves_the_older(
    path: str,
) -> None:
    told = Told(refuses=True)
    with opened(path, told, "write_back") as cache:
        cache.multi_set("page", {"key": "old"})
        assert cache.multi_set("page", {"key": b"x" * 10_000}) is False
        assert cache.multi_get("page", ["key"]) == {"key": "old"}
        told.refuses = False
        cache.empty()
    assert [call[2] for call in told.calls] == ["old"]


def test_one_value_without_room_keeps_no_other_out_of_multi_set(path: str) -> None:
    told = Told(refuses=True)
    with opened(path, told, "write_back") as cache:
        number = 0
        while cache.set(f"dirty {number}", b"x" * 100):
            number += 1
        pairs = [(f"key {n}", b"y" * (200 if n == 0 else 1)) for n in range(3)]
        assert cache.multi_set("page", pairs) is False
        stored = cache.multi_get("page", [key for key, _ in pairs])
        told.refuses = False
        cache.empty()
    written = {call[1] for call in told.calls}
    assert stored.keys() <= written
