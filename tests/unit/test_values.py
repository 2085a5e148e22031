"""Values: what goes in comes out, with exactly its type."""

from __future__ import annotations

import array
import enum
import math
import pickle
from typing import Any

import pytest
from support import MakeCache

from fastmmap import FastMmap

TYPED = [
    b"",
    b"bytes \x00\xff",
    "",
    "text",
    "Grüße, 世界 \U0001f98a",
    "\x00",
    "lone \ud800 surrogate",
    0,
    1,
    -1,
    2**63 - 1,
    -(2**63),
    2**63,
    -(2**63) - 1,
    2**64,
    10**100,
    -(10**1000),
    0.0,
    1.5,
    5e-324,
    math.inf,
    True,
    False,
    None,
]


def type_name(value: object) -> str:
    """Name a parameter alike in every process, as xdist needs it."""
    return type(value).__name__


class Colour(enum.IntEnum):
    RED = 1


class Name(str):
    pass


class Point:
    def __init__(self, x: int, y: int) -> None:
        self.x, self.y = x, y

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and vars(self) == vars(other)


class Unpicklable:
    def __reduce__(self) -> str:
        raise pickle.PicklingError("not this one")


@pytest.mark.quick
@pytest.mark.parametrize("value", TYPED, ids=lambda value: ascii(value)[:24])
def test_simple_values_keep_value_and_type(cache: FastMmap, value: object) -> None:
    assert cache.set("key", value) is True
    found = cache.get("key", "default")
    assert found == value
    assert type(found) is type(value)


def test_minus_zero_and_nan_survive(cache: FastMmap) -> None:
    cache.set("zero", -0.0)
    cache.set("nan", math.nan)
    assert math.copysign(1, cache.get("zero")) == -1
    assert math.isnan(cache.get("nan"))


def test_simple_values_are_not_pickled(
    cache: FastMmap, monkeypatch: pytest.MonkeyPatch
) -> None:
    # "\x80" opens a pickle; nothing of the kind may be in the file.
    cache.set("unpickled marker", "plain text in the file")
    with open(cache.share_file, "rb") as file:
        content = file.read()
    at = content.index(b"plain text in the file")
    assert b"\x80\x05" not in content[at - 64 : at + 64]


@pytest.mark.parametrize(
    "value",
    [
        [],
        [1, "two", 3.0, None],
        (1, (2, (3,))),
        {"a": [1], 2: {"b"}},
        {1, 2, 3},
        1 + 2j,
        bytearray(b"mutable"),
        Colour.RED,
        Name("a subclass"),
        Point(1, 2),
        range(10),
    ],
    ids=type_name,
)
def test_other_values_are_pickled(cache: FastMmap, value: object) -> None:
    cache.set("key", value)
    found = cache.get("key")
    assert found == value
    assert type(found) is type(value)


def test_an_array_comes_back_as_an_array(cache: FastMmap) -> None:
    cache.set("key", array.array("d", [1.0, 2.5]))
    assert cache.get("key") == array.array("d", [1.0, 2.5])


def test_a_value_that_contains_itself_survives(cache: FastMmap) -> None:
    loop: list[Any] = []
    loop.append(loop)
    cache.set("key", loop)
    found = cache.get("key")
    assert found[0] is found


@pytest.mark.parametrize(
    "value", [lambda: None, Unpicklable(), (i for i in range(3))], ids=type_name
)
def test_an_unpicklable_value_raises_and_the_old_one_stays(
    cache: FastMmap, value: object
) -> None:
    cache.set("key", "old")
    with pytest.raises((pickle.PicklingError, TypeError, AttributeError)):
        cache.set("key", value)
    assert cache.get("key") == "old"


def test_an_unpicklable_value_raises_what_pickle_raises(cache: FastMmap) -> None:
    with pytest.raises(pickle.PicklingError, match="not this one"):
        cache.set("key", Unpicklable())


def test_a_subclass_of_int_does_not_turn_into_an_int(cache: FastMmap) -> None:
    cache.set("key", Colour.RED)
    assert cache.get("key") is Colour.RED


@pytest.mark.parametrize(
    ("value", "back"),
    [
        (b"bytes", b"bytes"),
        (bytearray(b"mutable"), b"mutable"),
        (memoryview(b"0123456789")[2:5], b"234"),
        (array.array("B", [1, 2, 3]), b"\x01\x02\x03"),
        ("text", "text"),
        (None, None),
    ],
    ids=type_name,
)
def test_raw_values_come_back_as_bytes_text_and_none(
    make_cache: MakeCache, value: object, back: object
) -> None:
    cache = make_cache(serializer="raw")
    assert cache.set("key", value) is True
    found = cache.get("key", "default")
    assert found == back
    assert type(found) is type(back)


def test_a_raw_view_with_strides_is_stored_as_its_bytes(make_cache: MakeCache) -> None:
    cache = make_cache(serializer="raw")
    assert cache.set("key", memoryview(b"0123456789")[::2])
    assert cache.get("key") == b"02468"


@pytest.mark.parametrize("value", [1, 1.5, [b"x"], Ellipsis], ids=repr)
def test_other_raw_values_are_refused(make_cache: MakeCache, value: object) -> None:
    cache = make_cache(serializer="raw")
    cache.set("key", b"old")
    with pytest.raises(TypeError, match=type(value).__name__):
        cache.set("key", value)
    assert cache.get("key") == b"old"
