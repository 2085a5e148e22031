"""Calls of memoized functions: what is known of arguments that came before."""

from __future__ import annotations

import asyncio
import copy
import gc
import inspect
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from fastmmap import FastMmap
from fastmmap.argument_keys import ArgumentKeys

Calls = list[Any]


@pytest.fixture
def calls() -> Calls:
    return []


@pytest.fixture
def spelled(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Arguments of calls whose keys were spelled."""
    calls, spell = Calls(), ArgumentKeys.__call__

    def note(self: ArgumentKeys, *args: Any, **kwargs: Any) -> str:
        calls.append((args, kwargs))
        return spell(self, *args, **kwargs)

    monkeypatch.setattr(ArgumentKeys, "__call__", note)
    return calls


def echo(*args: Any, **kwargs: Any) -> str:
    return repr((args, sorted(kwargs.items())))


def test_the_key_of_a_call_that_was_made_before_is_known(
    cache: FastMmap, spelled: Calls
) -> None:
    kept = cache.memoize(name="echo")(echo)
    for _ in range(3):
        assert kept(1, "a", b=2.5) == "((1, 'a'), [('b', 2.5)])"
    assert spelled == [((1, "a"), {"b": 2.5})]


def test_a_known_call_sees_what_became_of_its_value(
    cache: FastMmap, calls: Calls
) -> None:
    @cache.memoize(name="count")
    def count(x: int) -> int:
        calls.append(x)
        return len(calls)

    assert [count(1), count(1)] == [1, 1]
    count.invalidate(1)
    assert [count(1), count(1)] == [2, 2]
    cache[count.cache_key(1)] = "another's"
    assert count(1) == "another's"  # type: ignore[comparison-overlap]
    cache.clear()
    assert count(1) == 3


#: Calls that are equal to one another by ``==`` and are not the same.
ALIKE: list[tuple[Any, ...]] = [
    (1,),
    (1.0,),
    (True,),
    ("1",),
    (b"1",),
    ((1,),),
    ((1.0,),),
    ((True,),),
    (((1, "a"),),),
    (((True, "a"),),),
    (1, None),
    (None, 1),
    (),
]


@pytest.mark.parametrize("typed", [False, True])
def test_known_calls_are_told_apart_as_their_keys_are(
    cache: FastMmap, typed: bool
) -> None:
    kept = cache.memoize(name="echo", typed=typed)(echo)
    first = {kept.cache_key(*args): kept(*args) for args in reversed(ALIKE)}
    first.update({kept.cache_key(*args): kept(*args) for args in ALIKE})
    for _ in range(2):
        for args in ALIKE:
            assert kept(*args) == first[kept.cache_key(*args)]
    if typed:
        assert [kept(*args) for args in ALIKE] == [echo(*args) for args in ALIKE]


def test_names_and_places_of_arguments_are_told_apart(cache: FastMmap) -> None:
    kept = cache.memoize(name="echo")(echo)
    for _ in range(2):
        for call in (
            lambda f: f(1, 2),
            lambda f: f(1, a=2),
            lambda f: f(1, b=2),
            lambda f: f(a=1, b=2),
            lambda f: f(b=1, a=2),
            lambda f: f(b=2, a=1),
        ):
            assert call(kept) == call(echo)


def test_more_calls_than_are_kept_in_mind_are_right(cache: FastMmap) -> None:
    kept = cache.memoize(name="echo")(echo)
    for _ in range(2):
        assert all(kept(n) == echo(n) for n in range(6000))


class Number(int):
    """Spelled as the int that it is, whatever it says of itself."""

    def __eq__(self, other: object) -> bool:
        raise AssertionError("nobody is to ask")

    __hash__ = int.__hash__


@pytest.mark.parametrize("value", [[1], {"a": 1}, {1}, Number(1), (1, [2])], ids=repr)
def test_arguments_of_other_types_are_spelled_each_time(
    cache: FastMmap, spelled: Calls, value: Any
) -> None:
    kept = cache.memoize(name="echo")(lambda x: repr(x))
    assert kept(value) == kept(value)
    assert len(spelled) == 2


def test_long_arguments_are_not_kept_alive(cache: FastMmap, spelled: Calls) -> None:
    kept = cache.memoize(name="len")(lambda x: str(len(repr(x))))
    for value in ("x" * 5000, b"x" * 5000, 1 << 5000, ("x" * 5000,)):
        kept(value)
        kept(value)
    assert len(spelled) == 8


def test_a_default_that_changes_is_spelled_each_time(cache: FastMmap) -> None:
    default: list[int] = []

    def size(x: int, of: list[int] = default) -> int:
        return len(of)

    kept = cache.memoize(name="size")(size)
    assert kept(1) == 0
    default.append(1)
    assert kept(1) == 1


def test_a_key_function_is_asked_each_time(cache: FastMmap) -> None:
    user = "a"
    kept = cache.memoize(key=lambda x: f"{user}:{x}")(lambda x: f"{user}={x}")
    assert kept(1) == "a=1"
    user = "b"
    assert kept(1) == "b=1"


def test_what_is_ignored_has_no_say(cache: FastMmap, spelled: Calls) -> None:
    class Thing:
        @cache.memoize(name="method", ignore=("self", "log"))
        def method(self, x: int, log: object = None) -> str:
            return f"{type(self).__name__} {x}"

    assert Thing().method(1) == Thing().method(1, object()) == "Thing 1"
    assert Thing().method(1) == "Thing 1"
    assert Thing().method(2, []) == "Thing 2"
    assert len(spelled) == 3  # two ways to call it, and another number


def test_errors_of_a_call_are_those_of_the_function(cache: FastMmap) -> None:
    kept: Callable[..., Any] = cache.memoize(name="one")(lambda x: x)
    kept(1)
    for _ in range(2):
        with pytest.raises(TypeError, match="argument"):
            kept(1, 2)
        with pytest.raises(TypeError, match="argument"):
            kept(y=1)


@pytest.mark.parametrize("value", [[], [1] * 5, ["a"] * 5, [None], list("abcde")])
def test_results_that_are_lists_are_hits(
    cache: FastMmap, calls: Calls, value: list[Any]
) -> None:
    @cache.memoize(name="list")
    def make() -> list[Any]:
        calls.append(1)
        return value

    assert [make(), make(), make()] == [value] * 3
    assert make.cache_info()[:2] == (2, 1)
    assert calls == [1]


# ---------------------------------------------------------------- like a function

shared = FastMmap()


@shared.memoize
def plus_one(x: int) -> int:
    """Add one."""
    return x + 1


def test_it_is_pickled_and_copied_by_name() -> None:
    assert pickle.loads(pickle.dumps(plus_one)) is plus_one
    assert copy.copy(plus_one) is copy.deepcopy(plus_one) is plus_one
    assert "plus_one" in repr(plus_one)


def test_tools_see_a_function(cache: FastMmap) -> None:
    assert inspect.isroutine(plus_one) and callable(plus_one)
    assert inspect.getdoc(plus_one) == "Add one."
    assert inspect.unwrap(plus_one)(1) == 2
    plus_one.note = "attributes are fine"  # type: ignore[attr-defined]
    assert vars(plus_one).pop("note") == "attributes are fine"


class Point:
    """Has methods of all kinds."""

    @shared.memoize(ignore="self")
    def method(self, x: int) -> int:
        return x

    @classmethod
    @shared.memoize
    def of_class(cls, x: int) -> str:
        return f"{cls.__name__} {x}"

    @staticmethod
    @shared.memoize
    def static(x: int) -> int:
        return -x


def test_methods_are_bound() -> None:
    point = Point()
    for _ in range(2):
        assert [point.method(1), Point.method(point, 1)] == [1, 1]
        assert [Point.of_class(1), point.of_class(2)] == ["Point 1", "Point 2"]
        assert [Point.static(1), point.static(2)] == [-1, -2]
    assert inspect.ismethod(point.method)
    assert point.method.__self__ is point  # type: ignore[attr-defined]
    assert str(inspect.signature(point.method)) == "(x: 'int') -> 'int'"
    assert point.method.cache_key(point, 1) in shared  # type: ignore[attr-defined]


def test_a_forgotten_function_is_collected(cache: FastMmap) -> None:
    kept = cache.memoize(name="echo")(echo)
    kept.me = kept  # type: ignore[attr-defined]
    seen = weakref.ref(kept)
    del kept
    gc.collect()
    assert seen() is None


def test_a_coroutine_function_makes_coroutines(cache: FastMmap, calls: Calls) -> None:
    @cache.memoize(name="double")
    async def double(x: int) -> int:
        calls.append(x)
        return 2 * x

    async def main() -> list[int]:
        waits = [double(2) for _ in range(3)]
        assert all(map(inspect.iscoroutine, waits))
        assert calls == []
        return [await one for one in waits]

    assert asyncio.run(main()) == [4, 4, 4]
    assert calls == [2]
    assert double.cache_info()[:2] == (2, 1)
