"""User code that raises: the page is free and the old value in place."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from support import MakeCache, run_scenario

from fastmmap import FastMmap


class Mine(Exception):
    """An error that only user code raises."""


class Trap:
    """A value that raises when it is pickled."""

    def __reduce__(self) -> str:
        raise Mine


class Bomb:
    """A value that raises when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[()]]:
        return explode, ()


def explode(*_: object) -> Any:
    raise Mine


def exploding_keys() -> Iterator[str]:
    yield "key"
    raise Mine


def explode_in_lock(cache: FastMmap) -> None:
    with cache.lock("key") as item:
        item.value = "new"
        raise Mine


def assign_trap_in_lock(cache: FastMmap) -> None:
    with cache.lock("key") as item:
        item.value = Trap()


class ExplodingItems(dict[str, Any]):
    def items(self) -> Any:
        yield "other", 1
        raise Mine

    def __iter__(self) -> Any:
        yield "other"
        raise Mine

    keys = __iter__


PATHS: dict[str, Callable[[FastMmap], object]] = {
    "set": lambda cache: cache.set("key", Trap()),
    "set item": lambda cache: cache.__setitem__("key", Trap()),
    "replace": lambda cache: cache.replace("key", Trap()),
    "add": lambda cache: cache.add("absent", Trap()),
    "setdefault": lambda cache: cache.setdefault("absent", Trap()),
    "get_and_set, function": lambda cache: cache.get_and_set("key", explode),
    "get_and_set, result": lambda cache: cache.get_and_set("key", lambda *_: Trap()),
    "get_and_set, old value": lambda cache: cache.get_and_set("bomb", lambda *_: 1),
    "lock, block": explode_in_lock,
    "lock, value": assign_trap_in_lock,
    "get": lambda cache: cache.get("bomb"),
    "get item": lambda cache: cache["bomb"],
    "get_entry": lambda cache: cache.get_entry("bomb"),
    "get_many, keys": lambda cache: cache.get_many(exploding_keys()),
    "delete_many, keys": lambda cache: cache.delete_many(
        key.replace("key", "absent") for key in exploding_keys()
    ),
    "set_many, value": lambda cache: cache.set_many({"key": Trap()}),
    "set_many, mapping": lambda cache: cache.set_many(ExplodingItems()),
    "multi_set, value": lambda cache: cache.multi_set("page", {"key": Trap()}),
    "multi_set, mapping": lambda cache: cache.multi_set("page", ExplodingItems()),
    "multi_get, keys": lambda cache: cache.multi_get("page", exploding_keys()),
    "read_cb": lambda cache: cache.get("explode on reading"),
    "read_cb, item": lambda cache: cache["explode on reading"],
}


def read(context: object, key: object) -> object:
    return explode() if key == "explode on reading" else None


@pytest.mark.quick
@pytest.mark.parametrize("name", PATHS)
def test_the_error_comes_out_and_nothing_changed(
    make_cache: MakeCache, name: str
) -> None:
    cache = make_cache(page_size="64k", num_pages=1, read_cb=read)
    cache.set("key", "old")
    cache.set("bomb", Bomb())
    with pytest.raises(Mine):
        PATHS[name](cache)
    assert cache.get("key") == "old"
    assert "bomb" in cache
    # Another object of the same thread would meet a lock left behind.
    with FastMmap(cache.share_file, lock_timeout=5) as other:
        assert other.set("key", "new")
    assert cache.get("key") == "new"
    assert cache.check().ok


@pytest.mark.parametrize("option", ["serializer", "compressor"])
@pytest.mark.parametrize("broken", ["into the cache", "out of the cache"])
def test_errors_of_custom_functions_leave_the_page_free(
    make_cache: MakeCache, option: str, broken: str
) -> None:
    fail = {"now": False}

    def inward(value: Any) -> bytes:
        if fail["now"] and broken == "into the cache":
            raise Mine
        return repr(value).encode() if option == "serializer" else bytes(value[200:])

    def outward(data: bytes) -> Any:
        if fail["now"] and broken == "out of the cache":
            raise Mine
        return eval(data) if option == "serializer" else b"x" * 200 + data

    pair: Any = (inward, outward)
    cache = make_cache(page_size="64k", num_pages=1, **{option: pair})
    value: Any = ["x"] if option == "serializer" else b"x" * 400
    cache.set("key", value)
    fail["now"] = True
    with pytest.raises(Mine):
        cache.set("key", value) if broken == "into the cache" else cache.get("key")
    fail["now"] = False
    assert cache.get("key") == value
    assert cache.set("key", value)


@pytest.mark.parametrize("option", ["serializer", "compressor"])
def test_an_interrupt_in_a_custom_function_comes_out(
    make_cache: MakeCache, option: str
) -> None:
    def interrupt(data: bytes) -> Any:
        raise KeyboardInterrupt

    pair: Any = (lambda value: b"packed", interrupt)
    cache = make_cache(page_size="64k", num_pages=1, **{option: pair})
    cache.set("key", ["x"] * 500)
    with pytest.raises(KeyboardInterrupt):
        cache.get("key")
    assert "key" in cache
    assert cache.set("key", ["y"])


@pytest.mark.parametrize("how", ["evict", "expire", "empty"])
def test_errors_of_write_back_leave_the_page_free(
    make_cache: MakeCache, how: str
) -> None:
    cache = make_cache(
        page_size="4k", num_pages=1, write_action="write_back", write_cb=explode
    )
    cache.set("key", "old")
    if how == "evict":
        for number in range(100):
            cache.set(f"key {number}", b"x" * 50)
    elif how == "expire":
        cache.expire("key")
    else:
        cache.empty()
    assert cache.get("key") == "old"
    cache.clear()
    with FastMmap(cache.share_file, lock_timeout=5) as other:
        assert other.set("key", "new")


def exit_inside_user_code(path: str) -> list[object]:
    """Leave user code by SystemExit and by a generator that is closed."""
    cache = FastMmap(path, page_size="64k", num_pages=1)
    cache.set("key", "old")

    def leave(*_: object) -> None:
        raise SystemExit

    def hold() -> Generator[None, None, None]:
        with cache.lock("key") as item:
            item.value = "new"
            yield

    try:
        cache.get_and_set("key", leave)
    except SystemExit:
        pass
    holder = hold()
    next(holder)
    holder.close()
    return [cache.get("key"), cache.set("other", 1)]


def test_every_way_out_of_user_code_frees_the_page(path: str) -> None:
    assert run_scenario(exit_inside_user_code, path) == ["old", True]
