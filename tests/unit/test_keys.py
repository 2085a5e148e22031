"""Keys: text and bytes, short and long, and what is no key."""

from __future__ import annotations

import itertools
import os
import random
import tracemalloc
from typing import Any

import pytest
from support import MakeCache

from fastmmap import FastMmap


@pytest.mark.parametrize(
    "key",
    ["", b"", "a", b"a", "a" * 10000, "Grüße", "世界", "\x00", b"\xff\xfe", " "],
    ids=lambda key: ascii(key)[:20],
)
def test_a_key_comes_back_as_it_went_in(cache: FastMmap, key: str | bytes) -> None:
    assert cache.set(key, "value")
    assert cache.get(key) == "value"
    assert cache.get_keys() == [key]
    assert list(cache) == [key]
    assert type(next(iter(cache))) is type(key)


@pytest.mark.quick
def test_text_and_bytes_are_two_keys(cache: FastMmap) -> None:
    cache.set("a", "text")
    cache.set(b"a", "bytes")
    assert (cache.get("a"), cache.get(b"a")) == ("text", "bytes")
    assert set(cache.get_keys()) == {"a", b"a"}
    cache.remove("a")
    assert (cache.get("a"), cache.get(b"a")) == (None, "bytes")


def test_keys_that_differ_in_a_trailing_zero_are_two(cache: FastMmap) -> None:
    cache.set("a", 1)
    cache.set("a\x00", 2)
    assert (cache.get("a"), cache.get("a\x00")) == (1, 2)


def test_text_in_different_normal_forms_is_two_keys(cache: FastMmap) -> None:
    cache.set("\u00e9", "one code point")
    assert cache.get("e\u0301") is None


def test_a_subclass_of_str_is_the_same_key(cache: FastMmap) -> None:
    class Name(str):
        pass

    cache.set(Name("key"), 1)
    assert cache.get("key") == 1


@pytest.mark.parametrize(
    "key", [1, 1.5, None, ("a",), ["a"], bytearray(b"a"), Ellipsis], ids=repr
)
def test_other_keys_are_refused_by_name_of_their_type(
    cache: FastMmap, key: Any
) -> None:
    name = type(key).__name__
    with pytest.raises(TypeError, match=name):
        cache.get(key)
    with pytest.raises(TypeError, match=name):
        cache.set(key, 1)
    with pytest.raises(TypeError, match=name):
        cache[key]
    with pytest.raises(TypeError, match=name):
        cache.remove(key)
    assert len(cache) == 0


UNDECODABLE = os.fsdecode(b"caf\xe9/\xff")


@pytest.mark.quick
def test_an_undecodable_file_name_is_a_key_like_any_other(cache: FastMmap) -> None:
    calls = itertools.count()
    assert cache.set(UNDECODABLE, 1) and cache[UNDECODABLE] == 1
    assert (list(cache), cache.get_keys()) == ([UNDECODABLE], [UNDECODABLE])
    assert os.fsencode(next(iter(cache))) == b"caf\xe9/\xff"
    assert cache.get_many([UNDECODABLE, "other"]) == {UNDECODABLE: 1}
    assert cache.get(os.fsencode(UNDECODABLE)) is None
    assert cache.incr(UNDECODABLE) == 2 and cache.pop(UNDECODABLE) == 2
    assert cache.get_or_set(UNDECODABLE, lambda: next(calls)) == 0
    assert cache.get_or_set(UNDECODABLE, lambda: next(calls)) == 0
    with cache.lock(UNDECODABLE) as item:
        item.value = "changed"
    assert cache.multi_set(UNDECODABLE, {UNDECODABLE: 5})
    assert cache.multi_get(UNDECODABLE, [UNDECODABLE]) == {UNDECODABLE: 5}
    space = cache.namespace("space")
    space.set(UNDECODABLE, "there", tags=[UNDECODABLE])
    assert space[UNDECODABLE] == "there" and cache[UNDECODABLE] == "changed"
    space.invalidate_tag(UNDECODABLE)
    assert UNDECODABLE not in space
    assert cache.delete_many([UNDECODABLE]) == 1


def test_undecodable_names_reach_read_cb_and_write_cb(make_cache: MakeCache) -> None:
    told: list[object] = []
    cache = make_cache(
        read_cb=lambda context, key: told.append(key) or "read",
        write_cb=lambda context, key, value, expire_on: told.append(key),
        write_action="write_back",
    )
    assert cache.get(UNDECODABLE) == "read"
    cache.set(UNDECODABLE, "new")
    cache.flush()
    assert told == [UNDECODABLE, UNDECODABLE]


def test_many_undecodable_names_leave_nothing_behind(cache: FastMmap) -> None:
    held = [f"held {number} \udcff" for number in range(300)]
    for key in held:
        cache.set(key, key)
    for number in range(5000):
        assert cache.get(f"{number} \udc80") is None
    assert cache.get_many(held) == {key: key for key in held}
    tracemalloc.start()
    for number in range(20_000):
        cache.exists(f"{number} \udc80")
    left, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert left < 500_000


@pytest.mark.quick
@pytest.mark.parametrize("key", ["\ud800", "a\udfffb", "\udcc3\udca9"], ids=ascii)
def test_a_lone_surrogate_is_refused(cache: FastMmap, key: str) -> None:
    with pytest.raises(ValueError, match="surrogate"):
        cache.set(key, 1)
    with pytest.raises(ValueError, match="surrogate"):
        cache.get(key)
    assert len(cache) == 0


def test_a_key_that_does_not_fit_is_a_refused_set(one_page: FastMmap) -> None:
    key = "k" * 65536
    assert one_page.set(key, 1) is False
    assert one_page.get(key) is None
    assert one_page.remove(key) is False
    assert key not in one_page
    assert one_page.add(key, 1) is False


def test_a_key_longer_than_any_page_is_just_absent(cache: FastMmap) -> None:
    key = b"k" * (3 << 20)
    assert cache.get(key) is None
    assert cache.set(key, 1) is False


def test_many_random_keys_are_told_apart(make_cache: MakeCache) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    dice = random.Random(seed)
    cache = make_cache(cache_size="2m", entry_size=64)
    model = {dice.randbytes(dice.randrange(1, 40)): number for number in range(5000)}
    for key, number in model.items():
        assert cache.set(key, number)
    assert cache.stats().evictions == 0
    assert {key: cache.get(key) for key in model} == model
