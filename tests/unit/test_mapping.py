"""The mapping protocol: a cache is used as a dict is."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

import pytest
from support import MakeCache

from fastmmap import FastMmap
from fastmmap.testing import time_travel


@pytest.mark.quick
def test_items_are_set_got_and_deleted(cache: FastMmap) -> None:
    cache["key"] = [1, 2]
    assert cache["key"] == [1, 2]
    del cache["key"]
    assert "key" not in cache


def test_a_missing_key_is_a_key_error_with_the_key(cache: FastMmap) -> None:
    with pytest.raises(KeyError) as caught:
        cache["missing"]
    assert caught.value.args == ("missing",)
    with pytest.raises(KeyError) as caught:
        del cache[b"missing"]
    assert caught.value.args == (b"missing",)


def test_an_expired_key_is_a_key_error(cache: FastMmap) -> None:
    cache.set("key", 1, expire_time=50)
    with time_travel(60):
        with pytest.raises(KeyError):
            cache["key"]
        with pytest.raises(KeyError):
            del cache["key"]


def test_a_value_that_does_not_fit_is_a_value_error(one_page: FastMmap) -> None:
    one_page["key"] = "old"
    with pytest.raises(ValueError, match="fit"):
        one_page["key"] = b"x" * 65536
    assert one_page["key"] == "old"


def test_items_take_the_default_lifetime(make_cache: MakeCache) -> None:
    cache = make_cache(expire_time=100)
    cache["key"] = 1
    with time_travel(110):
        assert "key" not in cache


@pytest.mark.quick
def test_it_is_a_mutable_mapping(cache: FastMmap) -> None:
    assert isinstance(cache, MutableMapping)
    assert issubclass(FastMmap, Mapping)
    for name in dir(MutableMapping):
        if not name.startswith("_"):
            assert callable(getattr(cache, name)), name


def test_len_counts_what_is_alive(cache: FastMmap) -> None:
    assert len(cache) == 0
    cache.update({f"key {number}": number for number in range(100)})
    cache.set("short", 1, expire_time=50)
    assert len(cache) == 101
    with time_travel(60):
        assert len(cache) == 100


def test_an_empty_cache_is_false_as_a_dict_is(cache: FastMmap) -> None:
    assert not cache
    cache["key"] = 0
    assert cache


def test_iteration_yields_each_key_once(cache: FastMmap) -> None:
    model = {f"key {number}": number for number in range(500)}
    cache.update(model)
    assert sorted(cache) == sorted(model)
    assert sorted(cache.keys()) == sorted(model)
    assert sorted(cache.values()) == sorted(model.values())
    assert dict(cache.items()) == model
    assert dict(cache) == model


def test_views_know_their_length_and_members(cache: FastMmap) -> None:
    cache.update(a=1, b=2)
    assert len(cache.keys()) == len(cache.values()) == len(cache.items()) == 2
    keys = cache.keys()
    assert "a" in keys and "z" not in keys
    assert ("b", 2) in cache.items()
    assert ("b", 3) not in cache.items()
    assert 2 in cache.values()


def test_iteration_hides_what_has_expired(cache: FastMmap) -> None:
    cache.set("short", 1, expire_time=50)
    cache.set("long", 2)
    with time_travel(60):
        assert list(cache) == ["long"]
        assert list(cache.items()) == [("long", 2)]


def test_iteration_holds_no_lock_between_steps(make_cache: MakeCache) -> None:
    cache = make_cache(page_size="64k", num_pages=1, lock_timeout=5)
    cache.update({f"key {number}": number for number in range(50)})
    seen = []
    for key in cache:
        seen.append(key)
        cache[key] = "changed meanwhile"
        cache.get_and_set("other", lambda key, value, entry: 1)
    assert set(seen) >= {f"key {number}" for number in range(50)}


def test_a_key_removed_meanwhile_does_not_stop_the_iteration(cache: FastMmap) -> None:
    cache.update({f"key {number}": number for number in range(100)})
    for key in cache:
        cache.clear()
        assert isinstance(key, str)
    for _ in cache.items():
        raise AssertionError("nothing is left")


def test_items_survive_removal_during_iteration(one_page: FastMmap) -> None:
    one_page.update({f"key {number}": number for number in range(100)})
    for item in one_page.items():
        one_page.clear()
        assert item[0] == f"key {item[1]}"


def test_pop_removes_and_returns(cache: FastMmap) -> None:
    cache["key"] = 1
    assert cache.pop("key") == 1
    assert cache.pop("key", "default") == "default"
    with pytest.raises(KeyError):
        cache.pop("key")


def test_popitem_empties_the_cache(cache: FastMmap) -> None:
    model = {f"key {number}": number for number in range(20)}
    cache.update(model)
    popped = dict(cache.popitem() for _ in range(20))
    assert popped == model
    with pytest.raises(KeyError):
        cache.popitem()


def test_setdefault_keeps_what_is_there(cache: FastMmap) -> None:
    assert cache.setdefault("key", 1) == 1
    assert cache.setdefault("key", 2) == 1
    assert cache.setdefault("none") is None
    assert cache["none"] is None


def test_update_takes_mappings_pairs_and_names(cache: FastMmap) -> None:
    cache.update({"a": 1}, b=2)
    cache.update([("c", 3), (b"d", 4)])
    assert dict(cache) == {"a": 1, "b": 2, "c": 3, b"d": 4}


def test_clear_empties_it(cache: FastMmap) -> None:
    cache.update(a=1, b=2)
    cache.clear()
    assert len(cache) == 0
    assert list(cache) == []


def test_two_objects_are_not_equal_because_they_hold_the_same(
    cache: FastMmap, make_cache: MakeCache
) -> None:
    other = make_cache()
    assert cache != other
    assert {cache: 1, other: 2}[cache] == 1
