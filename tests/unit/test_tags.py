"""Tags: values that are dropped together, however many they are."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from support import BackingStore, MakeCache

from fastmmap import FastMmap, Store
from fastmmap.testing import time_travel


@pytest.mark.quick
def test_a_value_goes_with_any_of_its_tags(cache: FastMmap) -> None:
    for tag in ("a", "b"):
        assert cache.set("key", 1, tags=["a", "b"])
        cache.set("other", 2, tags=["c"])
        assert cache["key"] == 1
        assert cache.invalidate_tag(tag) is True
        assert "key" not in cache and cache["other"] == 2


def test_a_tag_that_nothing_has_drops_nothing(cache: FastMmap) -> None:
    cache.set("key", 1, tags=["a"])
    cache["plain"] = 2
    assert cache.invalidate_tag("b") is True  # values may have had it
    assert dict(cache) == {"key": 1, "plain": 2}


def test_a_tag_can_be_used_again(cache: FastMmap) -> None:
    cache.set("key", "old", tags=["a"])
    cache.invalidate_tag("a")
    cache.set("other", "new", tags=["a"])
    assert "key" not in cache and cache["other"] == "new"


def test_text_and_bytes_are_two_tags(cache: FastMmap) -> None:
    cache.set("key", 1, tags=["a"])
    cache.set(b"key", 2, tags=[b"a"])
    assert cache.invalidate_tag(b"a")
    assert dict(cache) == {"key": 1}


def test_a_tag_and_a_key_of_a_name_are_two_things(cache: FastMmap) -> None:
    cache.set("a", 1, tags=["a"])
    cache.namespace("a")["a"] = 2
    assert cache.invalidate_tag("a")
    assert "a" not in cache and cache.namespace("a")["a"] == 2


STORES: list[Callable[[FastMmap], Any]] = [
    lambda c: c.set("key", 1, tags=["a"]),
    lambda c: c.add("key", 1, tags={"a"}),
    lambda c: c.replace("key", 1, tags=("a",)) or c.set("key", 1, tags=["a"]),
    lambda c: c.set_many({"key": 1}, tags=["a"]),
    lambda c: c.set_many([("key", 1)], "1h", tags=iter(["a"])),
    lambda c: c.get_or_set("key", lambda: 1, tags=["a"]),
    lambda c: c.get_or_set("key", 1, tags=(tag for tag in ["a"])),
    lambda c: c.memoize(key=lambda: "key", tags=["a"])(lambda: 1)(),
    lambda c: c.memoize(key=lambda: "key", tags=lambda: ["a"])(lambda: 1)(),
    lambda c: c.memoize("1h", key=lambda: "key", tags=["a"], stale=5)(lambda: 1)(),
]


@pytest.mark.parametrize("store", STORES, ids=range(len(STORES)))
def test_every_store_takes_tags(
    cache: FastMmap, store: Callable[[FastMmap], Any]
) -> None:
    store(cache)
    assert "key" in cache
    assert cache.invalidate_tag("a")
    assert "key" not in cache


def test_replace_takes_tags_and_refuses_what_is_void(cache: FastMmap) -> None:
    cache["key"] = 1
    assert cache.replace("key", 2, tags=["a"])
    cache.invalidate_tag("a")
    assert not cache.replace("key", 3, tags=["a"])
    assert cache.add("key", 4)


#: What each call says of a value whose tag was invalidated.
READS: list[tuple[Callable[[FastMmap], Any], Any]] = [
    (lambda c: c.get("key", "none"), "none"),
    (lambda c: c.get_entry("key"), None),
    (lambda c: c.get_many(["key"]), {}),
    (lambda c: c.exists("key"), False),
    (lambda c: "key" in c, False),
    (lambda c: len(c), 0),
    (lambda c: list(c), []),
    (lambda c: list(c.items()), []),
    (lambda c: c.get_keys(2), []),
    (lambda c: c.touch("key", "1h"), False),
    (lambda c: c.remove("key"), False),
    (lambda c: c.pop("key", "none"), "none"),
    (lambda c: c.get_and_remove("key"), (None, False)),
    (lambda c: c.expire("key"), False),
    (lambda c: c.delete_many(["key"]), 0),
    (lambda c: c.incr("key"), 1),
    (lambda c: c.setdefault("key", "new"), "new"),
    (lambda c: c.get_and_set("key", lambda k, v, e: (v, e)).value, (None, None)),
    (lambda c: c.get_or_set("key", lambda: "computed"), "computed"),
    (lambda c: c.purge(), 1),
]


@pytest.mark.parametrize(("call", "result"), READS, ids=range(len(READS)))
def test_every_call_takes_a_void_value_for_none(
    cache: FastMmap, call: Callable[[FastMmap], Any], result: Any
) -> None:
    cache.set("key", 41, tags=["a"])
    cache.invalidate_tag("a")
    assert call(cache) == result


def test_a_lock_finds_no_void_value(cache: FastMmap) -> None:
    cache.set("key", 41, tags=["a"])
    cache.invalidate_tag("a")
    with cache.lock("key") as item:
        assert not item.exists and item.value is None


def test_a_value_of_its_own_has_no_tags_any_more(cache: FastMmap) -> None:
    cache.set("key", "old", tags=["a"])
    cache["key"] = "new"
    cache.invalidate_tag("a")
    assert cache["key"] == "new"


CHANGES: list[Callable[[FastMmap], Any]] = [
    lambda c: c.incr("key"),
    lambda c: c.touch("key", "1h"),
    lambda c: c.get_and_set("key", lambda key, value, entry: value + 1),
    lambda c: c.get_and_set("key", lambda key, value, entry: Store(1, "1h")),
]


@pytest.mark.parametrize("modseq", [None, 5])
@pytest.mark.parametrize("change", CHANGES, ids=range(len(CHANGES)))
def test_a_changed_value_keeps_its_tags(
    cache: FastMmap, change: Callable[[FastMmap], Any], modseq: Any
) -> None:
    cache.set("key", 41, tags=["a"], modseq=modseq)
    change(cache)
    assert "key" in cache
    cache.invalidate_tag("a")
    assert "key" not in cache


def test_a_value_changed_under_a_lock_keeps_its_tags(cache: FastMmap) -> None:
    cache.set("key", "old", tags=["a"])
    with cache.lock("key") as item:
        item.value = "new"
    assert cache["key"] == "new"
    cache.invalidate_tag("a")
    assert "key" not in cache


# ------------------------------------------------------------------ arguments


@pytest.mark.parametrize("tags", [(), [], None, iter(())])
def test_no_tags_are_none(cache: FastMmap, tags: Any) -> None:
    assert cache.set("key", 1, tags=() if tags is None else tags)
    assert cache["key"] == 1


def test_a_value_has_sixteen_tags_at_most(cache: FastMmap) -> None:
    tags = [f"tag {number}" for number in range(17)]
    assert cache.set("key", 1, tags=tags[:16])
    for tag in tags[:16]:
        assert cache["key"] == 1
        assert cache.invalidate_tag(tag) and "key" not in cache
        cache.set("key", 1, tags=tags[:16])
    with pytest.raises(ValueError, match="17 tags: a value has at most 16"):
        cache.set("key", 2, tags=tags)
    assert cache["key"] == 1


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ("abc", r"tags is 'abc': expected an iterable of tags, such as \['abc'\]"),
        (b"abc", "tags is b'abc'"),
        ([1], "a tag must be str or bytes, not int"),
        (5, "not iterable"),
        (["\ud800"], "surrogates"),
    ],
)
def test_other_things_are_no_tags(cache: FastMmap, tags: Any, said: str) -> None:
    for call in (
        lambda: cache.set("key", 1, tags=tags),
        lambda: cache.add("key", 1, tags=tags),
        lambda: cache.set_many({"key": 1}, tags=tags),
        lambda: cache.get_or_set("key", 1, tags=tags),
        lambda: cache.memoize(key=lambda: "key", tags=tags)(lambda: 1)(),
    ):
        with pytest.raises((TypeError, UnicodeEncodeError), match=said):
            call()
        assert "key" not in cache
    assert cache.get_or_set("key", 1) == 1  # no lease was left


@pytest.mark.parametrize("tag", [1, None, ["a"]])
def test_invalidating_what_is_no_tag_is_refused(cache: FastMmap, tag: Any) -> None:
    with pytest.raises(TypeError, match="a tag must be str or bytes, not"):
        cache.invalidate_tag(tag)


# ------------------------------------------------------------------ computing


@pytest.mark.quick
def test_an_invalidation_during_the_computation_keeps_the_value_out(
    cache: FastMmap,
) -> None:
    def compute() -> str:
        cache.invalidate_tag("a")
        return "stale"

    assert cache.get_or_set("key", compute, tags=["a"]) == "stale"
    assert "key" not in cache
    assert cache.get_or_set("key", lambda: "new", tags=["a"]) == "new"
    assert cache["key"] == "new"


@pytest.mark.parametrize("options", [{}, {"early": 1.0}, {"stale": 10}])
def test_so_it_is_with_memoized_functions(
    cache: FastMmap, options: dict[str, Any]
) -> None:
    calls = []

    @cache.memoize(
        "1h", tags=lambda number: [f"number {number}"], **options, name="compute"
    )
    def compute(number: int) -> int:
        calls.append(number)
        if len(calls) == 1:
            cache.invalidate_tag(f"number {number}")
        return number

    assert [compute(1), compute(1), compute(1), compute(2)] == [1, 1, 1, 2]
    assert calls == [1, 1, 2]
    cache.invalidate_tag("number 1")
    assert compute(2) == 2 and compute(1) == 1
    assert calls == [1, 1, 2, 1]


def test_so_it_is_with_coroutines(cache: FastMmap) -> None:
    async def compute() -> str:
        await asyncio.sleep(0)
        cache.invalidate_tag("a")
        return "stale"

    kept = cache.memoize(key=lambda: "other", tags=["a"])(compute)
    assert asyncio.run(cache.get_or_set("key", compute, tags=["a"])) == "stale"
    assert asyncio.run(kept()) == "stale"
    assert "key" not in cache and "other" not in cache


def test_an_exception_that_is_kept_goes_with_the_tags(cache: FastMmap) -> None:
    calls: list[int] = []

    @cache.memoize("1h", tags=["a"], cache_exceptions=ValueError, name="fail")
    def fail() -> None:
        calls.append(1)
        raise ValueError

    for invalidate, wanted in ((False, 1), (False, 1), (True, 2)):
        if invalidate:
            cache.invalidate_tag("a")
        with pytest.raises(ValueError):
            fail()
        assert len(calls) == wanted


def test_a_refresh_of_before_an_invalidation_is_void(cache: FastMmap) -> None:
    values = iter(["old", "stale", "new"])
    meanwhile: list[Callable[[], Any]] = []

    @cache.memoize(10, tags=["a"], stale=100, name="compute")
    def compute() -> str:
        for call in meanwhile:
            call()
        return next(values)

    assert compute() == "old"
    meanwhile.append(lambda: cache.invalidate_tag("a"))
    with time_travel(11):
        assert compute() == "stale"
        meanwhile.clear()
        assert compute() == "new" == compute()


def test_those_who_wait_for_a_void_value_compute_it_anew(cache: FastMmap) -> None:
    started, go = threading.Event(), threading.Event()
    results = []

    def slowly() -> str:
        started.set()
        go.wait(10)
        return "stale"

    def first() -> None:
        results.append(cache.get_or_set("key", slowly, tags=["a"]))

    def second() -> None:
        results.append(cache.get_or_set("key", lambda: "new", tags=["a"]))

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    assert started.wait(10)
    threads[1].start()
    cache.invalidate_tag("a")
    go.set()
    for thread in threads:
        thread.join(30)
    assert sorted(results) == ["new", "stale"]
    assert cache["key"] == "new"


# ----------------------------------------------------------------- namespaces


def test_a_namespace_has_tags_of_its_own(cache: FastMmap) -> None:
    space, other = cache.namespace("a"), cache.namespace("b")
    for one in (cache, space, other):
        one.set("key", 1, tags=["a"])
    assert space.invalidate_tag("a")
    assert "key" not in space and "key" in other and "key" in cache
    assert cache.invalidate_tag("a")
    assert "key" in other
    other.clear()
    assert "key" not in other


# -------------------------------------------------------------------- callbacks


def test_a_changed_value_is_written_though_its_tag_is_gone(
    make_cache: MakeCache,
) -> None:
    store = BackingStore()
    cache = make_cache(**store.options(), write_action="write_back")
    cache.set("key", "changed", tags=["a"])
    cache.invalidate_tag("a")
    assert cache.get("key") == "changed"  # by way of the store
    assert store["key"] == "changed"


def test_what_cannot_be_read_now_is_not_put_back_without_its_tags(
    cache: FastMmap,
) -> None:
    cache.set("key", Unreadable(), tags=["a"])
    Unreadable.fails = True
    with pytest.raises(MemoryError):
        cache.pop("key")
    assert "key" not in cache


class Unreadable:
    """Fails when it is read."""

    fails = False

    def __reduce__(self) -> tuple[Any, ...]:
        return _unreadable, ()


def _unreadable() -> None:
    if Unreadable.fails:
        raise MemoryError("not to be read now")


# ---------------------------------------------------------------- large values


@pytest.mark.parametrize("size", [*range(48_600, 49_100, 36), 120_000])
def test_values_of_any_size_take_all_tags(make_cache: MakeCache, size: int) -> None:
    """In an entry, or in parts: also those that just fit without tags."""
    cache = make_cache(page_size="128k", num_pages=16, serializer="raw")
    tags = [f"tag {number}" for number in range(16)]
    value = (bytes(range(251)) * 500)[:size]
    assert cache.set("key", value, tags=tags)
    assert cache["key"] == value and dict(cache.items()) == {"key": value}
    cache.invalidate_tag("tag 15")
    assert "key" not in cache and cache.get("key") is None and not list(cache.items())
    assert cache.get_or_set("key", lambda: value, tags=tags) == cache["key"] == value
    assert cache.get_and_set("key", lambda *_: value + b"more").stored
    cache.invalidate_tag("tag 0")
    assert cache.get("key") is None and cache.check().ok
