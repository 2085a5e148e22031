"""Namespaces: views of a cache with keys of their own, cleared in one step."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import pytest
from support import BackingStore, MakeCache

from fastmmap import (
    KEEP,
    ClosedError,
    FastMmap,
    LockError,
    Namespace,
    Store,
    _core,
)
from fastmmap.testing import time_travel


@pytest.fixture
def space(cache: FastMmap) -> Iterator[Namespace]:
    """Give a namespace; whatever is done there, the keys beside it stay."""
    beside = {"key": "of the cache", b"key": "of the cache"}
    cache.set_many(beside)
    cache.namespace("other")["key"] = "of another"
    yield cache.namespace("space")
    assert dict(cache) == beside
    assert dict(cache.namespace("other")) == {"key": "of another"}


@pytest.mark.quick
def test_a_namespace_begins_empty_and_keeps_what_is_set(space: Namespace) -> None:
    assert "key" not in space and len(space) == 0 and not list(space)
    assert space.set("key", 1)
    assert space["key"] == 1 and space.get("key") == 1 and space.exists("key")
    assert len(space) == 1 and list(space) == ["key"]


@pytest.mark.quick
def test_clear_drops_everything_of_the_namespace(space: Namespace) -> None:
    space.update({f"key {number}": number for number in range(1000)})
    assert len(space) == 1000
    assert space.clear() is None
    assert len(space) == 0 and space.get("key 1") is None
    space["key 1"] = "new"
    assert dict(space) == {"key 1": "new"}


def test_clearing_what_is_empty_or_was_never_used_is_fine(space: Namespace) -> None:
    space.clear()
    space["key"] = 1
    space.clear()
    space.clear()
    assert "key" not in space


def test_a_name_is_one_namespace_in_all_objects(
    make_cache: MakeCache, cache: FastMmap
) -> None:
    a, b = cache.namespace("n"), make_cache().namespace("n")
    a["key"] = 1
    assert b["key"] == 1
    b.clear()
    assert "key" not in a
    a["key"] = 2
    assert b["key"] == 2


def test_text_and_bytes_are_two_keys(space: Namespace) -> None:
    space["key"], space[b"key"] = "text", "bytes"
    assert space["key"] == "text" and space[b"key"] == "bytes"
    assert set(space) == {"key", b"key"}


#: Calls, and what is in a namespace that held {"key": 1} after each.
CALLS: list[tuple[str, Callable[[Namespace], Any], Any, dict[Any, Any]]] = [
    ("get", lambda n: n.get("no", 5), 5, {"key": 1}),
    ("get_many", lambda n: n.get_many(["key", "no"]), {"key": 1}, {"key": 1}),
    ("get_entry", lambda n: n.get_entry("key").value, 1, {"key": 1}),
    ("add", lambda n: n.add("key", 2), False, {"key": 1}),
    ("add new", lambda n: n.add("new", 2), True, {"key": 1, "new": 2}),
    ("replace", lambda n: n.replace("key", 2), True, {"key": 2}),
    ("replace none", lambda n: n.replace("new", 2), False, {"key": 1}),
    ("set_many", lambda n: n.set_many({"a": 2}), [], {"key": 1, "a": 2}),
    ("setdefault", lambda n: n.setdefault("a", 2), 2, {"key": 1, "a": 2}),
    ("incr", lambda n: n.incr("key", 2), 3, {"key": 3}),
    ("decr", lambda n: n.decr("new"), -1, {"key": 1, "new": -1}),
    ("touch", lambda n: n.touch("key", "1h"), True, {"key": 1}),
    ("remove", lambda n: n.remove("key"), True, {}),
    ("remove none", lambda n: n.remove("no"), False, {"key": 1}),
    ("expire", lambda n: n.expire("key"), True, {}),
    ("pop", lambda n: n.pop("key"), 1, {}),
    ("popitem", lambda n: n.popitem(), ("key", 1), {}),
    ("delete_many", lambda n: n.delete_many(["key", "no"]), 1, {}),
    ("get_and_remove", lambda n: n.get_and_remove("key"), (1, True), {}),
    (
        "get_and_set",
        lambda n: n.get_and_set("key", lambda key, value, entry: value + 1),
        (2, True),
        {"key": 2},
    ),
    ("keep", lambda n: n.get_and_set("key", lambda *_: KEEP), (1, False), {"key": 1}),
    (
        "store",
        lambda n: n.get_and_set("new", lambda *_: Store(3, "1h")),
        (3, True),
        {"key": 1, "new": 3},
    ),
    ("get_or_set", lambda n: n.get_or_set("key", lambda: 2), 1, {"key": 1}),
    ("compute", lambda n: n.get_or_set("a", lambda: 2), 2, {"key": 1, "a": 2}),
    ("get_keys", lambda n: n.get_keys(), ["key"], {"key": 1}),
    ("items", lambda n: list(n.items()), [("key", 1)], {"key": 1}),
    ("values", lambda n: list(n.values()), [1], {"key": 1}),
]


@pytest.mark.parametrize(("name", "call", "result", "left"), CALLS, ids=lambda c: None)
def test_calls_do_what_those_of_a_cache_do(
    space: Namespace,
    name: str,
    call: Callable[[Namespace], Any],
    result: Any,
    left: Any,
) -> None:
    space["key"] = 1
    assert call(space) == result, name
    assert dict(space) == left, name


def test_get_keys_tells_all_about_its_own_keys(space: Namespace) -> None:
    space.set("a", 1, modseq=5)
    (one,) = space.get_keys(2)
    assert (one["key"], one["value"], one["modseq"]) == ("a", 1, 5)


def test_keys_of_one_page_are_its_own(cache: FastMmap) -> None:
    space, other = cache.namespace("a"), cache.namespace("b")
    assert space.multi_set("page", {"key": 1})
    assert space.multi_get("page", ["key"]) == {"key": 1}
    assert other.multi_get("page", ["key"]) == cache.multi_get("page", ["key"]) == {}
    space.clear()
    assert space.multi_get("page", ["key"]) == {}


def test_a_lock_holds_a_key_of_the_namespace(space: Namespace) -> None:
    with space.lock("key") as item:
        assert not item.exists
        item.set("value", "1h")
    assert space["key"] == "value"
    with space.lock("key") as item:
        item.remove()
    assert "key" not in space


def test_a_value_locked_before_a_clear_does_not_show_after_it(
    make_cache: MakeCache,
) -> None:
    """Seen from a second object: the lock refuses a clear by its own."""
    space = make_cache(page_size="64k", num_pages=4).namespace("n")
    other = make_cache(lock_timeout=0.2).namespace("n")
    for number in range(8):
        key = f"key {number}"
        try:
            with space.lock(key) as item:
                other.clear()
                item.value = "of before"
        except LockError:  # the record is on the page of this key
            continue
        assert key not in space and key not in other
        return
    raise AssertionError("all keys are on the page of the record")


def test_tombstones_and_modseqs_are_its_own(space: Namespace) -> None:
    space.set("key", 1, modseq=5)
    assert space.remove("key", modseq=7)
    assert not space.set("key", 1, modseq=6)
    space.clear()
    assert space.set("key", 1, modseq=6)


def test_its_keys_count_as_entries_and_no_record_does(cache: FastMmap) -> None:
    space = cache.namespace("n")
    space["key"] = 1
    assert cache.stats().entries == 1
    assert len(cache) == 0 and not cache.get_keys()
    assert cache.check().ok


def test_clearing_the_cache_clears_its_namespaces(cache: FastMmap) -> None:
    space = cache.namespace("n")
    space["key"] = 1
    cache.clear()
    assert "key" not in space
    space["key"] = 2
    cache.empty()
    assert "key" not in space


def test_its_values_expire_like_others(make_cache: MakeCache) -> None:
    cache = make_cache(expire_time=10)
    space = cache.namespace("n")
    assert space.expire_time == 10
    space.set("key", 1)
    space.set("longer", 1, 30)
    with time_travel(11):
        assert list(space) == ["longer"]
        assert cache.purge() == 1


# ------------------------------------------------------------------- nesting


def test_a_namespace_in_another_is_cleared_with_it(cache: FastMmap) -> None:
    outer = cache.namespace("outer")
    inner, beside = outer.namespace("inner"), cache.namespace("inner")
    outer["key"], inner["key"], beside["key"] = 1, 2, 3
    assert (outer["key"], inner["key"], beside["key"]) == (1, 2, 3)
    inner.clear()
    assert "key" not in inner and outer["key"] == 1
    inner["key"] = 4
    outer.clear()
    assert "key" not in inner and "key" not in outer
    assert beside["key"] == 3


def test_namespaces_nest_up_to_a_limit(cache: FastMmap) -> None:
    space: Any = cache
    for depth in range(16):
        space = space.namespace(str(depth))
    space["key"] = 1
    assert space["key"] == 1
    with pytest.raises(ValueError, match="16"):
        space.namespace("deeper")


# --------------------------------------------------------------------- names


@pytest.mark.parametrize("name", ["", "n", "имя", "a\0b", "x" * 500])
def test_any_text_is_a_name(cache: FastMmap, name: str) -> None:
    space = cache.namespace(name)
    space["key"] = name
    assert cache.namespace(name)["key"] == name
    assert space.name == name and space.parent is cache


def test_a_name_too_long_or_no_text_is_refused(cache: FastMmap) -> None:
    with pytest.raises(ValueError, match="502 bytes: at most 500"):
        cache.namespace("ä" * 251)
    for name in (b"n", 1, None):
        with pytest.raises(TypeError, match="str"):
            cache.namespace(name)  # type: ignore[arg-type]  # on purpose
    with pytest.raises(UnicodeEncodeError):
        cache.namespace("\ud800")


def test_a_parent_is_a_cache_or_a_namespace() -> None:
    with pytest.raises(TypeError):
        Namespace({}, "n")  # type: ignore[arg-type]  # on purpose


def test_a_namespace_is_not_made_twice(cache: FastMmap) -> None:
    space = cache.namespace("n")
    with pytest.raises(TypeError, match="by now"):
        space.__init__(cache, "m")  # type: ignore[misc]  # on purpose
    with pytest.raises(TypeError, match="by now"):
        _core.Keyspace.__init__(cache, cache, "m")


def test_one_that_was_not_made_is_closed() -> None:
    space = Namespace.__new__(Namespace)
    assert space.closed
    for call in (lambda: space.get("key"), lambda: space.clear()):
        with pytest.raises(ClosedError):
            call()


def test_it_shows_what_it_is(cache: FastMmap, path: str) -> None:
    space = cache.namespace("a").namespace("b")
    assert repr(space) == f"<Namespace 'a/b' of {path!r}>"
    assert isinstance(space, MutableMapping)
    assert space.share_file == path and space.num_pages == cache.num_pages
    assert space.serializer == "pickle" and space.compressor is None
    assert space != cache.namespace("a").namespace("b") and hash(space)


def test_it_has_none_of_the_calls_about_the_whole_file(cache: FastMmap) -> None:
    space = cache.namespace("n")
    for name in ("close", "purge", "empty", "check", "resize", "get_statistics"):
        assert not hasattr(space, name)


# ------------------------------------------------------------------ lifetimes


def test_a_pickled_namespace_is_the_same_namespace(cache: FastMmap) -> None:
    space = cache.namespace("a").namespace("b")
    space["key"] = 1
    copy = pickle.loads(pickle.dumps(space))
    assert copy["key"] == 1 and copy.name == "b"
    copy.clear()
    assert "key" not in space


def test_it_keeps_its_cache_and_closes_with_it(make_cache: MakeCache) -> None:
    cache = make_cache()
    space = cache.namespace("n")
    space["key"] = 1
    cache.close()
    assert space.closed and "closed" in repr(space)
    for call in (lambda: space["key"], lambda: space.clear(), lambda: list(space)):
        with pytest.raises(ClosedError):
            call()


def test_a_private_cache_lives_as_long_as_its_namespaces() -> None:
    space = FastMmap(cache_size="512k").namespace("n")
    space["key"] = 1
    assert space["key"] == 1
    space.parent.close()  # type: ignore[attr-defined]  # the parent is a cache


def test_it_follows_a_file_that_was_replaced(make_cache: MakeCache) -> None:
    cache = make_cache()
    space = cache.namespace("n")
    space["key"] = 1
    make_cache(init_file=True, page_size="64k", num_pages=2)
    assert "key" not in space
    space["key"] = 2
    assert dict(make_cache().namespace("n")) == {"key": 2}
    assert space.num_pages == 2


# -------------------------------------------------------------------- options


def test_callbacks_know_nothing_of_namespaces(make_cache: MakeCache) -> None:
    store = BackingStore({"key": "stored"})
    for action in ("write_through", "write_back"):
        options = {**store.options(), "write_action": action, "cache_not_found": True}
        with make_cache(init_file=True, **options) as cache:
            space = cache.namespace("n")
            assert "key" not in space and space.get("key") is None
            space["key"] = "changed"
            assert space.pop("key") == "changed"
            space["key"] = "changed"
            space.remove("key")
            space["key"] = "changed"
            assert not space.get_entry("key").dirty
        assert store.calls == [] and store["key"] == "stored"


def test_changed_values_of_the_cache_make_room_for_a_namespace(
    make_cache: MakeCache,
) -> None:
    store = BackingStore()
    cache = make_cache(
        page_size=4096, num_pages=1, **store.options(), write_action="write_back"
    )
    space = cache.namespace("n")
    for number in range(40):
        cache[f"key {number}"] = "x" * 100
    for number in range(40):
        assert space.set(f"key {number}", "y" * 100)
        with space.lock(f"key {number}") as item:
            item.value = "z" * 100
    assert any(call[0] == "write" for call in store.calls)
    assert all(call[2] == "x" * 100 for call in store.calls)


def test_without_room_for_its_record_it_is_cleared_all_the_same(
    make_cache: MakeCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError("down")

    monkeypatch.setattr(logging.getLogger("fastmmap"), "disabled", True)
    cache = make_cache(
        page_size=4096, num_pages=1, write_cb=fail, write_action="write_back"
    )
    space = cache.namespace("n")
    assert space.set("key", 1)
    number = 0
    for length in (20, 0):  # until not even the smallest entry fits
        while cache.set(f"key {number}", "x" * length):
            number += 1
    space.clear()
    assert "key" not in space
    cache.clear()


def test_compression_and_serializers_are_those_of_the_cache(
    make_cache: MakeCache,
) -> None:
    space = make_cache(serializer="json", compressor="zlib").namespace("n")
    space["key"] = ["x" * 1000]
    assert space["key"] == ["x" * 1000]
    assert space.get_entry("key").size < 300
    with pytest.raises(TypeError):
        space["key"] = {1, 2}


def test_reads_are_counted_once(make_cache: MakeCache) -> None:
    cache = make_cache(enable_stats=True)
    space = cache.namespace("a").namespace("b")
    space["key"] = 1
    assert space["key"] == 1 and space.get("no") is None
    assert cache.get_statistics() == (2, 1)


# --------------------------------------------------------- computing, re-entry


def test_a_clear_while_a_value_is_computed_drops_it(cache: FastMmap) -> None:
    space = cache.namespace("n")

    def compute() -> str:
        space.clear()
        return "stale"

    assert space.get_or_set("key", compute) == "stale"
    assert "key" not in space
    assert space.get_or_set("key", lambda: "new") == "new"
    assert space["key"] == "new"


def test_the_same_key_is_computed_in_each_namespace(cache: FastMmap) -> None:
    a, b = cache.namespace("a"), cache.namespace("b")

    def outer() -> str:
        return "a" + b.get_or_set("key", lambda: "b") + cache.get_or_set("key", "c")

    assert a.get_or_set("key", outer) == "abc"
    with pytest.raises(LockError, match="wait for itself"):
        a.get_or_set("x", lambda: cache.namespace("a").get_or_set("x", "y"))


def test_memoized_results_are_in_the_namespace(cache: FastMmap) -> None:
    space = cache.namespace("n")
    calls = []

    @space.memoize("1h", name="double")
    def double(number: int) -> int:
        calls.append(number)
        return 2 * number

    assert double(2) == double(2) == 4 and calls == [2]
    assert len(space) == 1 and len(cache) == 0
    space.clear()
    assert double(2) == 4 and calls == [2, 2]
    assert double.invalidate(2) and len(space) == 0


def test_a_lock_of_the_cache_refuses_its_namespaces(cache: FastMmap) -> None:
    space = cache.namespace("n")
    with cache.lock("key"), pytest.raises(LockError):
        space.get("key")
    with space.lock("key"), pytest.raises(LockError):
        cache.get("key")
    with space.lock("key"), pytest.raises(LockError):
        cache.namespace("m").clear()


def test_what_cannot_be_read_now_is_put_back_into_its_own_generation(
    cache: FastMmap,
) -> None:
    space = cache.namespace("n")
    space["key"] = Unreadable(space.clear)
    Unreadable.fails = True
    with pytest.raises(MemoryError):
        space.pop("key")
    assert "key" in space
    Unreadable.before = space.clear
    with pytest.raises(MemoryError):
        space.pop("key")
    assert "key" not in space


class Unreadable:
    """Fails when it is read, after it has done something."""

    fails = False
    before: Callable[[], Any] = lambda: None

    def __init__(self, _: Any) -> None:
        pass

    def __reduce__(self) -> tuple[Any, ...]:
        return _unreadable, ()


def _unreadable() -> None:
    if Unreadable.fails:
        Unreadable.before()
        raise MemoryError("not to be read now")


def test_values_larger_than_a_page_are_its_own(make_cache: MakeCache) -> None:
    cache = make_cache(page_size="64k", num_pages=64, serializer="raw")
    space, other = cache.namespace("a"), cache.namespace("b")
    large, larger = b"x" * 100_000, b"y" * 200_000
    assert space.set("key", large) and other.set("key", larger)
    assert space["key"] == large and other["key"] == larger
    assert dict(space.items()) == {"key": large} and len(cache) == 0
    assert space.get_or_set("new", lambda: larger) == space["new"] == larger
    assert space.get_and_set("key", lambda *_: larger).stored
    assert space["key"] == larger and space.touch("key", "1h")
    space.clear()
    assert space.get("key") is None and not list(space.items())
    assert other.pop("key") == larger and cache.check().ok
