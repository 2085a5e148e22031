"""Finished objects kept near: the same ones again, and never an old one."""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from fastmmap import FastMmap, Store
from fastmmap.testing import time_travel
from tests.support import MakeCache

FIXED = [b"x" * 30, "text", "größer", 2.5, 10**30, 70000, True, None]
ASKS = 4  # until a key is near: noted, kept, had
Read = Callable[[FastMmap, Any], Any]

READS: dict[str, Read] = {
    "get": lambda cache, key: cache.get(key),
    "getitem": lambda cache, key: cache[key],
    "get_many": lambda cache, key: cache.get_many([key])[key],
    "get_or_set": lambda cache, key: cache.get_or_set(key, b"not there"),
    "setdefault": lambda cache, key: cache.setdefault(key, b"not there"),
}


class Thing:
    """What only `copy=False` keeps."""

    def __init__(self) -> None:
        self.other: Any = None


def warm(cache: Any, key: Any) -> Any:
    """Ask often enough for a key to be near."""
    for _ in range(ASKS):
        value = cache.get(key)
    return value


def is_near(cache: Any, key: Any) -> bool:
    """Tell whether the same object comes again; of kinds that are made anew."""
    warm(cache, key)
    return cache.get(key) is cache.get(key)


@pytest.fixture
def near(make_cache: MakeCache) -> FastMmap:
    """Return a cache that keeps what it can."""
    return make_cache(near="1m")


@pytest.fixture
def shared(make_cache: MakeCache) -> FastMmap:
    """Return one whose values nobody changes."""
    return make_cache(copy=False)


# ------------------------------------------------------------------ what is kept


@pytest.mark.parametrize("value", FIXED, ids=repr)
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_what_nobody_can_change_comes_back_as_it_was(
    near: FastMmap, read: Read, value: Any
) -> None:
    near["key"] = value
    for _ in range(8):
        found = read(near, "key")
        assert found == value
        assert type(found) is type(value)


@pytest.mark.parametrize("key", ["key", "ключ", b"key", "", "k" * 500])
def test_a_key_that_is_asked_for_again_has_the_same_object(
    near: FastMmap, key: Any
) -> None:
    near[key] = b"some value"
    assert is_near(near, key)


def test_a_key_whose_text_was_made_anew_is_near(near: FastMmap) -> None:
    near["user:1"] = b"some value"
    found = [near.get(f"user:{int('1')}") for _ in range(8)]
    assert found[-1] is found[-2]


def test_text_and_bytes_are_two_keys_near_as_well(near: FastMmap) -> None:
    near["key"], near[b"key"] = "text", b"bytes"
    assert (warm(near, "key"), warm(near, b"key")) == ("text", b"bytes")
    assert (warm(near, "key"), warm(near, b"key")) == ("text", b"bytes")


def test_nothing_is_near_where_it_is_off(make_cache: MakeCache) -> None:
    for options in ({}, {"near": 0}, {"near": 0, "copy": False}):
        cache = make_cache(**options)
        cache["key"] = b"some value"
        assert not is_near(cache, "key")
        cache.close()


def test_what_can_be_changed_is_made_anew_each_time(near: FastMmap) -> None:
    near["key"] = [1]
    for _ in range(8):
        found = near["key"]
        assert found == [1]
        found.append(2)


def test_large_values_are_not_kept(near: FastMmap) -> None:
    near["key"] = b"x" * 100_000
    assert not is_near(near, "key")


def test_values_in_parts_are_not_kept(make_cache: MakeCache) -> None:
    cache = make_cache(near="64m", cache_size="4m", page_size="64k")
    cache["key"] = b"x" * 200_000
    assert not is_near(cache, "key")


def test_subclasses_of_str_are_no_keys_to_be_kept(near: FastMmap) -> None:
    class Text(str):
        __slots__ = ()

        def __hash__(self) -> int:
            raise AssertionError("asked")

    near["key"] = b"some value"
    assert not is_near(near, Text("key"))


def test_keys_that_are_no_unicode_are_themselves(near: FastMmap) -> None:
    key = os.fsdecode(b"\xff\xfe")
    near[key] = b"some value"
    assert warm(near, key) == warm(near, key) == b"some value"


def test_the_budget_bounds_what_is_kept(make_cache: MakeCache) -> None:
    cache = make_cache(near="64k")
    keys = [f"key {i}" for i in range(250)]
    cache.set_many({key: os.urandom(200) for key in keys})
    for _ in range(100):
        kept = [cache.get(key) for key in keys]
    same = sum(cache.get(key) is value for key, value in zip(keys, kept, strict=True))
    table = 128 * (32 + 3 * 64)
    assert 0 < same * 240 < 65536 - table


@pytest.mark.parametrize("value", [-1, True, "much", 1.5])
def test_a_budget_that_is_none_is_refused(make_cache: MakeCache, value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="near"):
        make_cache(near=value)


# ----------------------------------------------------------- what is never served

CHANGES: dict[str, Callable[[FastMmap], object]] = {
    "set": lambda cache: cache.set("key", "new"),
    "set the same": lambda cache: cache.set("key", "old"),
    "remove": lambda cache: cache.remove("key"),
    "tombstone": lambda cache: cache.remove("key", modseq=5),
    "expire": lambda cache: cache.expire("key"),
    "touch": lambda cache: cache.touch("key", "now"),
    "clear": lambda cache: cache.clear(),
    "empty": lambda cache: cache.empty(),
    "incr": lambda cache: cache.set("key", 5) and cache.incr("key"),
    "get_and_set": lambda cache: cache.get_and_set("key", lambda *_: Store("new")),
    "pop": lambda cache: cache.pop("key"),
    "replace": lambda cache: cache.replace("key", "new"),
    "set_many": lambda cache: cache.set_many({"key": "new"}),
    "delete_many": lambda cache: cache.delete_many(["key"]),
    "get_or_set anew": lambda cache: (cache.remove("key"), cache.add("key", "new")),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("options", [{"near": "1m"}, {"copy": False}], ids=str)
def test_a_change_by_another_is_seen_at_once(
    make_cache: MakeCache, change: Callable[[FastMmap], object], options: Any
) -> None:
    cache, other, plain = make_cache(**options), make_cache(), make_cache(near=0)
    for _ in range(3):
        cache["key"] = "old"
        assert warm(cache, "key") == "old"
        change(other)
        assert cache.get("key", "absent") == plain.get("key", "absent")
        other.remove("key")
        cache.clear()


def test_a_number_that_was_changed_in_place_is_read_anew(
    near: FastMmap, make_cache: MakeCache
) -> None:
    other = make_cache()
    near["key"] = 70000
    for number in range(70001, 70100):
        warm(near, "key")
        other.incr("key")
        assert near["key"] == number


def test_a_number_that_is_kept_is_the_same_object(near: FastMmap) -> None:
    near["key"] = 123456789
    assert is_near(near, "key")


def test_keys_in_turn_do_not_drive_each_other_out(make_cache: MakeCache) -> None:
    cache = make_cache(near="16k")
    keys = [f"key {i}" for i in range(100)]
    cache.set_many({key: b"some value" for key in keys})
    laps = [[cache.get(key) for key in keys] for _ in range(40)]
    same = [old is new for old, new in zip(laps[-2], laps[-1], strict=True)]
    assert sum(same) > 40


def test_a_lifetime_ends_near_as_well(near: FastMmap) -> None:
    near.set("key", b"some value", 60)
    warm(near, "key")
    with time_travel(59):
        assert near.get("key") == b"some value"
        near.touch("key", 60)
    with time_travel(90):
        assert near.get("key") == b"some value"
    with time_travel(120):
        assert near.get("key") is None


def test_a_tag_that_ended_takes_what_is_near_along(
    near: FastMmap, make_cache: MakeCache
) -> None:
    near.set("key", b"some value", tags=["red", "blue"])
    assert is_near(near, "key")
    make_cache().invalidate_tag("blue")
    assert near.get("key") is None


def test_namespaces_have_their_own_and_are_cleared(
    near: FastMmap, make_cache: MakeCache
) -> None:
    spaces = [near, near.namespace("a"), near.namespace("a").namespace("b")]
    for number, space in enumerate(spaces):
        space["key"] = f"number {number}"
    for number, space in enumerate(spaces):
        assert is_near(space, "key")
        assert space["key"] == f"number {number}"
    make_cache().namespace("a").clear()
    assert [space.get("key") for space in spaces] == ["number 0", None, None]


def test_a_file_that_was_replaced_takes_what_is_near_along(
    near: FastMmap, make_cache: MakeCache
) -> None:
    near["key"] = b"some value"
    warm(near, "key")
    other = make_cache(init_file=True)
    assert near.get("key") is None
    other["key"] = b"another"
    assert warm(near, "key") == b"another"


def test_a_closed_cache_serves_nothing_and_keeps_nothing(shared: FastMmap) -> None:
    shared["key"] = Thing()
    thing = weakref.ref(warm(shared, "key"))
    assert thing() is not None
    shared.close()
    gc.collect()
    assert thing() is None
    with pytest.raises(ValueError, match="closed"):
        shared.get("key")


def test_a_section_refuses_what_is_near_as_well(near: FastMmap) -> None:
    near["key"] = b"some value"
    warm(near, "key")
    with near.lock("other"), pytest.raises(RuntimeError):
        near.get("key")


def test_a_miss_that_is_known_stays_one(make_cache: MakeCache) -> None:
    asked: list[object] = []
    cache = make_cache(
        near="1m", cache_not_found=True, read_cb=lambda _, key: asked.append(key)
    )
    assert warm(cache, "key") is None
    assert asked == ["key"]


def test_values_to_be_written_back_are_near_and_written(make_cache: MakeCache) -> None:
    written: dict[Any, Any] = {}
    cache = make_cache(
        near="1m",
        write_action="write_back",
        write_cb=lambda _, key, value, __: written.update({key: value}),
    )
    cache["key"] = b"some value"
    assert is_near(cache, "key")
    cache.flush()
    assert written == {"key": b"some value"}
    assert warm(cache, "key") == b"some value"


def test_one_who_may_only_read_sees_changes(
    cache: FastMmap, make_cache: MakeCache
) -> None:
    cache["key"] = "old"
    reader = make_cache(read_only=True, near="1m")
    assert warm(reader, "key") == "old"
    cache["key"] = "new"
    assert warm(reader, "key") == "new"


def test_a_guarded_file_keeps_nothing(make_cache: MakeCache) -> None:
    cache = make_cache(near="1m", sigbus_guard=True)
    cache["key"] = b"some value"
    assert not is_near(cache, "key")


def test_hits_count_and_earn_credit(make_cache: MakeCache) -> None:
    cache = make_cache(near="1m", enable_stats=True)
    cache["key"] = b"some value"
    warm(cache, "key")
    before, reads = cache.stats(), cache.get_statistics()
    with time_travel(100):
        assert [cache.get("key") for _ in range(5)] == [b"some value"] * 5
        entry = cache.get_entry("key")
    after = cache.stats()
    assert (after.hits - before.hits, after.misses) == (6, before.misses)
    assert cache.get_statistics()[0] >= reads[0] + 5
    assert entry is not None
    assert entry.last_access >= entry.stored_on + 90


# -------------------------------------------------------------- objects are shared


def test_who_promised_not_to_change_it_gets_the_same_object(shared: FastMmap) -> None:
    shared["key"] = {"list": [1]}
    assert is_near(shared, "key")
    space = shared.namespace("space")
    space["key"] = {"list": [2]}
    assert is_near(space, "key")


def test_a_shared_object_is_for_those_who_promised(near: FastMmap) -> None:
    @near.memoize(copy=False)
    def compute(number: int) -> list[int]:
        return [number]

    for _ in range(ASKS):
        compute(1)
    assert compute(1) is compute(1)
    key = compute.cache_key(1)
    for _ in range(ASKS):
        near[key].append(2)
    assert near[key] == compute(1) == [1]


def test_memoize_shares_in_a_cache_where_nothing_was_said(cache: FastMmap) -> None:
    @cache.memoize(copy=False)
    def compute(number: int) -> list[int]:
        return [number]

    for _ in range(ASKS):
        compute(1)
    assert compute(1) is compute(1)
    compute.invalidate(1)
    assert compute(1) == [1]


def test_memoize_shares_nothing_where_it_is_off(make_cache: MakeCache) -> None:
    cache = make_cache(near=0)

    @cache.memoize(copy=False)
    def compute(number: int) -> list[int]:
        return [number]

    for _ in range(ASKS):
        compute(1)
    assert compute(1) is not compute(1)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_circles_through_what_is_kept_are_collected(path: str) -> None:
    cache = FastMmap(path, copy=False)
    cache["key"] = Thing()
    thing = warm(cache, "key")
    thing.other = cache
    gone = weakref.ref(thing)
    del thing, cache
    gc.collect()
    assert gone() is None


class Meddler:
    """Uses the cache when it goes."""

    cache: Any = None

    def __del__(self) -> None:
        cache = Meddler.cache
        if cache is not None and not cache.closed:
            cache["key"] = cache.get("other")
            for number in range(20):
                warm(cache, f"other {number % 3}")


def test_what_runs_when_an_object_goes_may_use_the_cache(shared: FastMmap) -> None:
    Meddler.cache = shared
    for number in range(50):
        shared[f"other {number % 3}"] = [number]
        shared["key"] = Meddler()
        warm(shared, "key")
        shared["key"] = number
        assert shared.get("key") in (number, None)
    shared["key"] = Meddler()
    warm(shared, "key")
    shared.close()
    Meddler.cache = None
