"""Arrays and frames: their buffers lie beside their pickle, and are copied once."""

from __future__ import annotations

import mmap
import pickle
import random
import struct
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support import MakeCache

from fastmmap import CorruptError, FastMmap

MIB = 1 << 20
FIRST = 24  # bytes of the header of a value with one buffer


@pytest.fixture
def cache(make_cache: MakeCache) -> FastMmap:
    """Return a cache that takes some MiB."""
    return make_cache(cache_size=64 * MIB)


def numbers(count: int = 100_000) -> np.ndarray[Any, Any]:
    """Return an array that looks like nothing else."""
    return np.random.default_rng(count).random(count)


def frame(rows: int = 20_000) -> pd.DataFrame:
    """Return a frame of several kinds of columns."""
    return pd.DataFrame(
        {
            "a": numbers(rows),
            "b": np.arange(rows),
            "when": pd.date_range("2020", periods=rows, freq="s"),
            "text": [str(row) for row in range(rows)],
        }
    )


@dataclass
class Model:
    """Something of the user's that has an array inside."""

    name: str
    weights: np.ndarray[Any, Any]


class Rows:
    """Rows that can be read once, like those of a cursor."""

    def __init__(self, rows: list[str]) -> None:
        self.rows = iter(rows)

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (list(self.rows),)


class Packed:
    """A class that gives its bytes to pickle as a buffer."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return Packed, (pickle.PickleBuffer(self.data),)


def is_beside(cache: FastMmap, array: np.ndarray[Any, Any]) -> bool:
    """Tell whether the file has a value with the array as its only buffer."""
    with open(cache.share_file, "rb") as file:
        return bool(headers(file.read(), array.nbytes))


def headers(data: bytes, length: int) -> list[int]:
    """Return where values with one buffer of that length may begin."""
    wanted = struct.pack("<Q", length)
    found = (at - 16 for at in occurrences(data, wanted) if at >= 16)
    return [at for at in found if data[at : at + 8] == struct.pack("<Q", 1)]


def occurrences(data: bytes, wanted: bytes) -> Iterator[int]:
    """Yield where some bytes are."""
    at = data.find(wanted)
    while at >= 0:
        yield at
        at = data.find(wanted, at + 1)


# ------------------------------------------------------------------ round trips


@pytest.mark.quick
def test_an_array_comes_back_as_it_was(cache: FastMmap) -> None:
    for array in (
        numbers(),
        numbers(MIB),
        np.asfortranarray(numbers().reshape(100, 1000)),
        numbers()[::2],
        np.arange(50_000).astype("datetime64[s]"),
        np.zeros((0, 3)),
        np.float32(numbers()),
    ):
        assert cache.set("key", array)
        found = cache["key"]
        assert np.array_equal(found, array) and found.dtype == array.dtype
        assert found.flags.writeable and found.flags.aligned
        found[...] = np.zeros_like(found)  # it is nobody else's
        assert np.array_equal(cache["key"], array)


def test_an_array_that_was_read_only_is_read_only(cache: FastMmap) -> None:
    array = numbers()
    array.flags.writeable = False
    cache["key"] = array
    assert not cache["key"].flags.writeable


def test_a_frame_comes_back_as_it_was(cache: FastMmap) -> None:
    table = frame()
    cache["key"] = table
    pd.testing.assert_frame_equal(cache["key"], table)
    cache["key"].loc[0, "a"] = 7.0
    pd.testing.assert_frame_equal(cache["key"], table)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda array: array,
        lambda array: {"array": array},
        lambda array: [1, 2, array],
        lambda array: ("name", array),
        lambda array: Model("name", array),
        lambda array: {"name": "first", "deep": [{"array": array}]},
        lambda array: ("name", {"shape": (1, 2), "array": array}),
    ],
    ids=["array", "dict", "list", "tuple", "dataclass", "deep", "later"],
)
def test_the_buffer_of_an_array_is_beside_the_pickle(
    cache: FastMmap, wrap: Any
) -> None:
    array = numbers()
    assert cache.set("key", wrap(array))
    assert is_beside(cache, array)
    assert repr(cache["key"]) == repr(wrap(array))


def test_small_arrays_are_in_their_pickle(cache: FastMmap) -> None:
    array = numbers(1000)
    cache["key"] = array
    assert not is_beside(cache, array)
    assert np.array_equal(cache["key"], array)


def test_a_buffer_without_bytes_next_to_each_other_is_an_error(cache: FastMmap) -> None:
    class Odd:
        def __reduce__(self) -> Any:
            return bytes, (pickle.PickleBuffer(memoryview(bytes(MIB))[::2]),)

    with pytest.raises(Exception, match="contiguous"):
        cache["key"] = Odd()
    assert "key" not in cache


def test_an_array_that_is_not_seen_is_beside_the_pickle_the_second_time(
    cache: FastMmap,
) -> None:
    array = numbers()
    value = [*range(20), array]
    cache["key"] = value
    assert not is_beside(cache, array)
    assert np.array_equal(cache["key"][-1], array)
    cache["key"] = value
    assert is_beside(cache, array)
    assert np.array_equal(cache["key"][-1], array)


@pytest.mark.parametrize("before", [0, 20])
def test_a_large_object_is_pickled_once(cache: FastMmap, before: int) -> None:
    rows = [str(row).zfill(1000) for row in range(300)]
    assert cache.set("key", [0] * before + [Rows(rows)])
    assert cache["key"][-1] == rows


@pytest.mark.parametrize("kind", [bytes, bytearray])
@pytest.mark.parametrize("length", [1_000, 20_000])
def test_bytes_in_a_buffer_keep_their_type(
    cache: FastMmap, kind: Any, length: int
) -> None:
    cache["key"] = Packed(kind(length))
    found = cache["key"].data
    assert type(found) is kind and found == bytes(length)


@pytest.mark.parametrize(
    "read",
    [
        lambda cache: cache.get_many(["key"])["key"],
        lambda cache: dict(cache.items())["key"],
        lambda cache: cache.get_entry("key").value,
        lambda cache: cache.pop("key"),
        lambda cache: cache.get_or_set("key", lambda: 1),
        lambda cache: cache.get_and_set("key", lambda key, value, entry: value).value,
        lambda cache: cache.get_and_remove("key").value,
    ],
)
@pytest.mark.parametrize("count", [5_000, 500_000])
def test_every_way_of_reading_gives_the_array(
    cache: FastMmap, read: Any, count: int
) -> None:
    array = numbers(count)
    cache["key"] = array
    assert np.array_equal(read(cache), array)


def test_a_block_stores_what_was_given_to_it(cache: FastMmap) -> None:
    array = numbers()
    with cache.lock("key") as item:
        item.value = array
        array[0] = -1.0
    assert cache["key"][0] == numbers()[0]


def test_multi_set_and_multi_get_take_arrays(cache: FastMmap) -> None:
    array = numbers(5_000)
    assert cache.multi_set("page", {"key": array})
    assert np.array_equal(cache.multi_get("page", ["key"])["key"], array)


@pytest.mark.parametrize("compressor", ["zlib", "lz4"])
def test_a_compressor_takes_all_of_it(make_cache: MakeCache, compressor: str) -> None:
    cache = make_cache(cache_size="64m", compressor=compressor)
    array = np.zeros(MIB)
    cache["key"] = array
    assert np.array_equal(cache["key"], array)
    entry = cache.get_entry("key")
    assert entry is not None and entry.size < MIB


def test_a_changed_array_reaches_write_cb(make_cache: MakeCache) -> None:
    written = {}
    cache = make_cache(
        cache_size="64m",
        write_action="write_back",
        write_cb=lambda context, key, value, expire_on: written.update({key: value}),
    )
    cache.set("small", numbers(5_000))
    cache.set("large", numbers(500_000))
    cache.empty()
    assert np.array_equal(written["small"], numbers(5_000))
    assert np.array_equal(written["large"], numbers(500_000))


# -------------------------------------------------------------- memory, threads


def peak_of(call: Any) -> int:
    """Return how many bytes a call takes at its worst."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_set_makes_no_copy_and_get_makes_one(cache: FastMmap) -> None:
    array = numbers(MIB)
    cache["key"] = array  # what is imported once is there
    assert peak_of(lambda: cache.set("key", array)) < array.nbytes / 10
    assert peak_of(lambda: cache.get("key")) < array.nbytes * 1.1


def lets_others_run(call: Any) -> bool:
    """Tell whether another thread runs while a call does."""
    go, seen = threading.Lock(), threading.Event()
    go.acquire()

    def other() -> None:
        with go:
            seen.set()

    thread = threading.Thread(target=other)
    thread.start()
    go.release()
    call()
    ran = seen.is_set()
    thread.join()
    return ran


def test_other_threads_run_while_large_values_are_copied(cache: FastMmap) -> None:
    array = numbers(MIB)
    cache["key"] = array
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000.0)
    try:
        for call in (lambda: cache.set("key", array), lambda: cache.get("key")):
            assert any(lets_others_run(call) for _ in range(100))
    finally:
        sys.setswitchinterval(interval)


# ----------------------------------------------------------- what is in the file


def test_lengths_that_cannot_be_are_damage_and_nothing_worse(
    cache: FastMmap,
) -> None:
    array = numbers(4_000)
    cache["key"] = array
    with open(cache.share_file, "r+b") as file, mmap.mmap(file.fileno(), 0) as data:
        (at,) = headers(bytes(data), array.nbytes)
        good = data[at : at + FIRST]
        dice = random.Random(21)
        for _ in range(2_000):
            spoil(data, at, dice)
            with pytest.raises(Exception) as caught:
                raise_if_same(cache.get("key"), array)
            assert caught.type is not SystemError
            data[at : at + FIRST] = good
        for word in range(3):
            data[at + 8 * word : at + 8 * word + 8] = b"\xff" * 8
            with pytest.raises(CorruptError):
                cache.get("key")
            data[at : at + FIRST] = good
    assert np.array_equal(cache["key"], array)


def spoil(data: mmap.mmap, at: int, dice: random.Random) -> None:
    """Set one word of the header to another number."""
    place = at + 8 * dice.randrange(3)
    (old,) = struct.unpack_from("<Q", data, place)
    near, far = old + dice.randint(-70, 70), dice.getrandbits(dice.randint(1, 64))
    new = dice.choice([near, far]) % 2**64
    struct.pack_into("<Q", data, place, new if new != old else new ^ 1)


def raise_if_same(found: object, array: np.ndarray[Any, Any]) -> None:
    """Raise for what is no other value, too: a shorter buffer may be one."""
    raise ValueError(found is not None and np.array_equal(found, array))
