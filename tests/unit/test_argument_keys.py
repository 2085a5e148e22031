"""Arguments as keys: equal ones the same, different ones not, in any process."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastmmap.argument_keys import KEY_MAX, ArgumentKeys, Speller, Unstable

spell = Speller(typed=False).spell
spell_typed = Speller(typed=True).spell


class Color(Enum):
    RED = 1
    BLUE = "blue"


class Number(IntEnum):
    ONE = 1


@dataclass
class Point:
    x: int
    y: int = 0
    note: str = field(default="", compare=False)


class Pair(NamedTuple):
    a: int
    b: int


class Local(tzinfo):
    def utcoffset(self, when: datetime | None) -> timedelta:
        return timedelta(0)


BERLIN = ZoneInfo("Europe/Berlin")
DIFFERENT: list[Any] = [
    *(None, 0, 1, -1, 1.5, float("inf"), float("nan"), 2**70, 10**5000),
    *("", "None", "1", "a,b", "('a',)", "ä", "\ud800", b"", b"a", "b'a'"),
    *((), [], {}, set(), (1,), [1], (1, 2), ((1,), 2), (1, (2,)), {1}, {1, 2}),
    *({"a": 1}, {"a": 2}, {"a": {}}, {("a",): 1}, {1: 2}, [{1: 2}], ["a", "b"]),
    *(["a,b"], [["a"], "b"], Color.RED, Color.BLUE, Number.ONE, Point(1), Point(1, 2)),
    *(Pair(1, 2), Decimal("1"), Decimal("1.0"), UUID(int=1), Path("a"), Path("/a")),
    *(date(2024, 1, 1), datetime(2024, 1, 1), datetime(2024, 1, 1, fold=1)),
    datetime(2024, 1, 1, tzinfo=timezone.utc),
    datetime(2024, 1, 1, tzinfo=BERLIN),
    datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=1))),
    *(timedelta(1), timedelta(seconds=1), int, str, Color, Point),
]


@pytest.mark.quick
def test_different_values_are_spelled_differently() -> None:
    for spelling in (spell, spell_typed):
        texts = [spelling(value) for value in DIFFERENT]
        assert len(set(texts)) == len(DIFFERENT)
        assert all(text.isascii() for text in texts)


@pytest.mark.quick
@pytest.mark.parametrize(
    "equal",
    [
        (1, 1.0, True),
        (0, -0.0, False),
        (2**80, float(2**80)),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"x", "y", "z"}, {"z", "y", "x"}, frozenset("xyz")),
        (Point(1, note="a"), Point(1, note="b")),
        (PurePosixPath("a/b"), Path("a/b"), Path("a//b")),
        ((1, [2.0]), (True, [2])),
    ],
)
def test_equal_values_are_spelled_the_same(equal: tuple[Any, ...]) -> None:
    assert len({spell(value) for value in equal}) == 1


def test_typed_tells_equal_values_of_different_types_apart() -> None:
    assert len({spell_typed(value) for value in (1, 1.0, True)}) == 3
    assert spell_typed([1]) != spell_typed([1.0])
    assert spell_typed({"a": 1}) != spell_typed({"a": True})


def local_function() -> Any:
    def local() -> None:
        """Have no name that others find."""

    return local


class Text(str):
    def __repr__(self) -> str:
        return "no text"


class Count(int):
    pass


class Share(float):
    pass


class Data(bytes):
    pass


class Day(date):
    def isoformat(self) -> str:
        return "no date"


class Moment(datetime):
    pass


@pytest.mark.parametrize(
    ("made", "plain"),
    [
        (Text("a"), "a"),
        (Count(3), 3),
        (Share(1.5), 1.5),
        (Data(b"a"), b"a"),
        (Day(2024, 1, 2), date(2024, 1, 2)),
        (Moment(2024, 1, 2, 3), datetime(2024, 1, 2, 3)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_subclass_is_spelled_as_its_base_unless_typed(made: Any, plain: Any) -> None:
    assert spell(made) == spell(plain)
    assert spell([made]) == spell([plain])
    assert spell_typed(made) != spell_typed(plain)


def test_paths_of_two_systems_are_two_arguments() -> None:
    assert spell(PurePosixPath("a")) != spell(PureWindowsPath("a"))


@pytest.mark.parametrize(
    "value",
    [
        object(),
        lambda: 1,
        "".join,
        Text.upper,
        local_function(),
        functools.partial(int),
        iter([]),
        bytearray(b"a"),
        [1, object()],
        {"a": {1: {object()}}},
        datetime(2024, 1, 1, tzinfo=Local()),
        Point(object()),  # type: ignore[arg-type]  # on purpose
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_spelling_is_refused(value: Any) -> None:
    with pytest.raises(Unstable):
        spell(value)


_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
_values = st.recursive(
    _scalars
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.dates()
    | st.datetimes(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(), inner, max_size=3)
        | st.frozensets(st.integers() | st.text(), max_size=3)
    ),
    max_leaves=6,
)


@given(_values, _values)
def test_any_two_values_share_a_spelling_only_when_equal(one: Any, other: Any) -> None:
    if spell(one) == spell(other):
        assert one == other or repr(one) == repr(other)
    assert spell(one) == spell(one)


# ------------------------------------------------------------------------ calls


def function(a: Any, b: Any = 2, *rest: Any, c: Any = None, **more: Any) -> None:
    """Take all kinds of arguments."""


def simple(a: Any, b: Any = 2) -> None:
    """Take two."""


NAME = "shop.price"
keys = ArgumentKeys(function, NAME, (), False)


@pytest.mark.quick
def test_one_call_has_one_key_however_it_is_written() -> None:
    assert keys(1) == keys(a=1) == keys(1, 2) == keys(1, b=2) == keys(1, c=None)
    assert keys(1, x=1, y=2) == keys(1, y=2, x=1)
    simply = ArgumentKeys(simple, NAME, (), False)
    assert simply(1) == simply(1, 2) == simply(b=2, a=1)
    assert simply(1, 2) == "shop.price(a=1, b=2)"


def test_different_calls_have_different_keys() -> None:
    made = [
        *(keys(1), keys(2), keys(1, 3), keys(1, 2, 3), keys(1, 2, (3,))),
        *(keys(1, c=3), keys(1, x=3), keys(1, x={"y": 1}), keys(1, rest=(3,))),
        ArgumentKeys(function, "shop.tax", (), False)(1),
        ArgumentKeys(function, NAME, (), False, version=1)(1),
        ArgumentKeys(function, NAME, (), False, version="source")(1),
    ]
    assert len(set(made)) == len(made)


def test_a_call_that_the_function_would_not_take_is_a_type_error() -> None:
    simply = ArgumentKeys(simple, NAME, (), False)
    for args, more in [((), {}), ((1, 2, 3), {}), ((1,), {"c": 1})]:
        with pytest.raises(TypeError):
            simply(*args, **more)


def test_ignored_arguments_are_no_part_of_the_key() -> None:
    ignoring = ArgumentKeys(function, NAME, ("b", "debug"), False)
    assert ignoring(1) == ignoring(1, 99) == ignoring(1, b=object())
    assert ignoring(1, debug=object()) == ignoring(1)
    assert ignoring(1, other=1) != ignoring(1)
    ignoring = ArgumentKeys(simple, NAME, ["b"], False)
    assert ignoring(1, 5) == ignoring(1)
    with pytest.raises(ValueError, match="'c'"):
        ArgumentKeys(simple, NAME, ("c",), False)


def test_a_refusal_names_the_argument_and_the_way_out() -> None:
    with pytest.raises(
        TypeError, match=r"argument 'b' holds a value of type object.*key=.*'b'"
    ):
        keys(1, [object()])
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(TypeError, match="argument 'a' contains itself"):
        keys(endless)


def test_long_keys_are_shortened_and_stay_different() -> None:
    long = [keys("x" * 1000 + end) for end in ("a", "b")]
    assert len(set(long)) == 2
    for key in long:
        assert len(key.encode()) <= KEY_MAX
        assert key.startswith(f"{NAME}#")
    assert len(keys("x" * 50)) <= KEY_MAX and "#" not in keys("x" * 50)


PROGRAM = """
import datetime, decimal, enum, multiprocessing, sys
from fastmmap.argument_keys import ArgumentKeys

class Kind(enum.Enum):
    A = {"a", "b", "c"}

def func(*args): pass

def key():
    values = ({"x", "y", "z", 1, 2.5}, {"k": frozenset("abc")}, Kind.A, Kind,
              datetime.timedelta(1), decimal.Decimal("1.50"))
    return ArgumentKeys(func, "func", (), False)(*values)

if __name__ == "__main__":
    print(key())
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.apply(key))
"""


def test_keys_are_the_same_in_every_process(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    lines = set()
    for seed in ("0", "1", "2"):
        places = os.pathsep.join(filter(None, sys.path))
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": places}
        command = [sys.executable, str(program)]
        shown = subprocess.check_output(
            command, env=environment, text=True, timeout=120
        )
        lines.update(shown.splitlines())
    assert len(lines) == 1
