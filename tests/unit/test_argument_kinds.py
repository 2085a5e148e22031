"""Arguments of other libraries' types: equal ones one key, different ones two."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import subprocess
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import attrs
import numpy
import pandas
import pydantic
import pytest

import fastmmap
from fastmmap import registered
from fastmmap.argument_keys import ArgumentKeys, Speller

spell = Speller(typed=False).spell


@attrs.define
class Attrs:
    x: int
    note: str = attrs.field(default="", eq=False)


class Model(pydantic.BaseModel):
    x: int
    _secret: int = 0


class OtherModel(pydantic.BaseModel):
    x: int


class Open(pydantic.BaseModel, extra="allow"):
    x: int


def with_secret(secret: int) -> Model:
    made = Model(x=1)
    made._secret = secret
    return made


def frame(**columns: Any) -> Any:
    return pandas.DataFrame(columns)


RECORD = numpy.dtype([("a", "i4"), ("b", "f8")])
SQUARE = numpy.arange(6).reshape(2, 3)
TEXTS = pandas.Index(["a", "b"])

DIFFERENT: list[Any] = [
    *(range(3), range(4), range(1, 3), range(0, 6, 2), range(0)),
    *(Fraction(1, 3), Fraction(2, 3), 1j, 2j),
    ipaddress.ip_address("10.0.0.1"),
    ipaddress.ip_address("::1"),
    ipaddress.ip_network("10.0.0.0/8"),
    ipaddress.ip_interface("10.0.0.1/8"),
    *(re.compile("a"), re.compile(b"a"), re.compile("a", re.I), re.compile("a" * 500)),
    re.compile("a" * 499 + "b"),
    *(OrderedDict(a=1, b=2), OrderedDict(b=2, a=1), {"a": 1, "b": 2}),
    *(defaultdict(int, a=1), defaultdict(list, a=1), defaultdict(None, a=1)),
    *(Counter("aab"), deque([1]), deque([1], 5)),
    *(len, print, json.dumps, json.loads, numpy.mean, numpy.sum),
    *(numpy.int8(1), numpy.int64(1), numpy.float64(1.5), numpy.float32(1.5)),
    *(numpy.bool_(True), numpy.datetime64("2024-01-01"), numpy.str_("a")),
    *(numpy.array(1), numpy.array([1]), numpy.array([[1]]), numpy.array([1.0])),
    *(numpy.array([1], "i4"), numpy.array([1], ">i4"), SQUARE, SQUARE.T),
    *(numpy.zeros((0, 3)), numpy.zeros((3, 0)), numpy.array(["a"]), RECORD),
    *(numpy.array([1, "a"], object), numpy.array(["1", "a"], object)),
    *(numpy.array([(1, 2)], RECORD), numpy.array(["2024"], "M8[Y]")),
    numpy.ma.array([1, 2], mask=[False, True]),
    numpy.ma.array([1, 2], mask=[True, False]),
    pandas.Timestamp("2024-01-01 00:00:00.000000001"),
    pandas.Timestamp("2024-01-01", tz="Europe/Berlin"),
    *(pandas.Timedelta("1ns"), pandas.Period("2024-01"), pandas.Interval(0, 1)),
    *(pandas.NaT, pandas.NA, TEXTS, TEXTS.rename("name"), pandas.Index([1, 2])),
    pandas.MultiIndex.from_tuples([(1, "a"), (2, "b")]),
    pandas.date_range("2024", periods=2),
    pandas.date_range("2024", periods=2, tz="UTC"),
    *(pandas.Series([1, 2]), pandas.Series([1.0, 2.0]), pandas.Series([1, 2], TEXTS)),
    *(pandas.Series([1, 2], name="n"), pandas.Series([1, 2], dtype="Int64")),
    pandas.Series([1, "a"], dtype=object),
    pandas.Series(["1", "a"], dtype=object),
    pandas.Series(["1", "a"], dtype="category"),
    pandas.Series(pandas.Categorical(["1", "a"], ["a", "1"])),
    pandas.Series(pandas.Categorical(["1", "a"], ["1", "a"], ordered=True)),
    *(frame(), frame(a=[1, 2]), frame(b=[1, 2]), frame(a=[2, 1]), frame(a=["1", "2"])),
    *(frame(a=[1], b=[2]), frame(b=[2], a=[1]), frame(a=[1, 2]).set_index(TEXTS)),
    *(Attrs(1), Attrs(2), Model(x=1), Model(x=2), OtherModel(x=1), with_secret(5)),
    *(Open(x=1), Open(x=1, y=2)),  # type: ignore[call-arg]  # it takes more
]


@pytest.mark.quick
def test_different_values_are_spelled_differently() -> None:
    texts = [spell(value) for value in DIFFERENT]
    assert len(set(texts)) == len(DIFFERENT)
    assert all(len(text) < 1000 for text in texts)


@pytest.mark.quick
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (range(0, 3, 2), range(0, 4, 2)),
        (Fraction(2, 6), Fraction(1, 3)),
        (defaultdict(int, a=1, b=2), defaultdict(int, b=2, a=1)),
        (numpy.asfortranarray(SQUARE), SQUARE),
        (numpy.arange(6)[::2], numpy.array([0, 2, 4])),
        (numpy.array(["a", "b"])[:1], numpy.array(["a"])),
        (pandas.Timestamp("2024-01-01"), datetime(2024, 1, 1)),
        (pandas.Timedelta("1s"), timedelta(seconds=1)),
        (pandas.RangeIndex(2), pandas.Index([0, 1])),
        (pandas.Series([1, 2, 3])[:2], pandas.Series([1, 2])),
        (frame(a=[3, 1, 2]).sort_values("a"), frame(a=[1, 2, 3]).set_axis([1, 2, 0])),
        (Attrs(1, note="a"), Attrs(1, note="b")),
        (Model(x=1), Model.model_validate({"x": "1"})),
    ],
    ids=lambda value: type(value).__name__,
)
def test_equal_values_are_spelled_the_same(one: Any, other: Any) -> None:
    assert spell(one) == spell(other)


class Length(numpy.ndarray[Any, Any]):
    """An array with a unit, which its data does not tell."""


@dataclass
class Wrapped:
    inner: Any


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (numpy.zeros(2).view(Length), "test_argument_kinds.Length"),
        (numpy.array([object()]), "type object"),
        (defaultdict(lambda: 1), "type function"),
        (Wrapped(pandas.Series([object()])), "type object"),
        (frame(a=[1]).groupby("a"), "pandas.*DataFrameGroupBy"),
    ],
    ids=["subclass", "objects", "lambda", "series", "groups"],
)
def test_what_tells_too_little_is_refused_by_its_full_name(
    value: Any, name: str
) -> None:
    def function(x: Any) -> None:
        """Take anything."""

    with pytest.raises(TypeError, match=f"argument 'x' holds .*{name}: it has no key"):
        ArgumentKeys(function, "name", (), False)(value)


# -------------------------------------------------- libraries that are not here


def stand_in(library: str, name: str, **members: Any) -> Any:
    """Return an object of a class that has the name of another."""
    return type(name, (), {"__module__": f"{library}.inner", **members})()


def sent(data: bytes) -> Any:
    return lambda *args, **kwargs: SimpleNamespace(getvalue=lambda: data)


def polars_frame(data: bytes) -> Any:
    members = {"rechunk": lambda self: self, "write_ipc": sent(data)}
    return stand_in("polars", "DataFrame", **members)


def test_frames_of_polars_are_told_apart_by_what_they_would_send() -> None:
    assert spell(polars_frame(b"a")) == spell(polars_frame(b"a"))
    assert spell(polars_frame(b"a")) != spell(polars_frame(b"b"))
    series = stand_in("polars", "Series", to_frame=lambda self: polars_frame(b"a"))
    assert spell(series) != spell(polars_frame(b"a"))


class Stream:
    """A writer of pyarrow's: the sink gets what the tables are made of."""

    def __init__(self, sink: list[bytes], schema: object) -> None:
        self._sink = sink

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close nothing."""

    def write_table(self, table: Any) -> None:
        self._sink.append(table.data)


class Sink(list[bytes]):
    def getvalue(self) -> bytes:
        return b"".join(self)


def arrow_table(data: bytes) -> Any:
    members = {"schema": None, "data": data, "combine_chunks": lambda self: self}
    return stand_in("pyarrow", "Table", **members)


def test_tables_and_arrays_of_pyarrow_are_too(monkeypatch: pytest.MonkeyPatch) -> None:
    pyarrow = SimpleNamespace(
        BufferOutputStream=Sink,
        ipc=SimpleNamespace(new_stream=Stream),
        table=lambda arrays, names: arrow_table(arrays[0].data),
    )
    monkeypatch.setitem(sys.modules, "pyarrow", pyarrow)
    arrays = [stand_in("pyarrow", "Array", data=data) for data in (b"a", b"a", b"b")]
    texts = [spell(value) for value in (*arrays, arrow_table(b"a"), arrow_table(b"b"))]
    assert texts[0] == texts[1]
    assert len(set(texts)) == 4


# ------------------------------------------------------------ register_argument


class Connection:
    def __init__(self, url: str) -> None:
        self.url = url


class Pool(Connection):
    """A kind of connection."""


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registered, "_functions", {})


@pytest.mark.quick
def test_a_type_can_be_registered_for_itself_and_its_subclasses() -> None:
    fastmmap.register_argument(Connection, lambda made: ("url", made.url))
    assert spell(Connection("a")) == spell(Connection("a"))
    texts = [spell(value) for value in (Connection("a"), Connection("b"), Pool("a"))]
    assert len(set(texts)) == 3
    fastmmap.register_argument(Pool, lambda made: "any")
    assert spell(Pool("a")) == spell(Pool("b"))


def test_what_was_registered_comes_before_what_is_known() -> None:
    fastmmap.register_argument(numpy.ndarray, lambda array: array.shape)
    assert spell(numpy.zeros(2)) == spell(numpy.ones(2))


@pytest.mark.parametrize(
    ("kind", "function", "error"),
    [
        ("Connection", str, TypeError),
        (Connection, "url", TypeError),
        (str, len, ValueError),
        (datetime, str, ValueError),
    ],
)
def test_what_cannot_be_registered_says_so(
    kind: Any, function: Any, error: Any
) -> None:
    with pytest.raises(error, match="register"):
        fastmmap.register_argument(kind, function)


def test_no_library_is_imported_for_its_arguments() -> None:
    program = (
        "import sys, fastmmap.memoize\n"
        "print([name for name in ('numpy', 'pandas', 'attrs', 'attr', 'pydantic', "
        "'pyarrow', 'polars') if name in sys.modules])"
    )
    places = os.pathsep.join(filter(None, sys.path))
    shown = subprocess.check_output(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": places},
        text=True,
        timeout=120,
    )
    assert shown.split("\n")[0] == "[]"
