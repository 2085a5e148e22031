"""Exceptions that memoize keeps: they come back with cause and notes."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable

import pytest

from fastmmap import FastMmap


def kept(cache: FastMmap, fail: Callable[[], object]) -> BaseException:
    """Return the exception that a memoized function raises for the second time."""
    calls: list[int] = []

    @cache.memoize("1h", key=lambda: "key", cache_exceptions=Exception)
    def memoized() -> object:
        calls.append(1)
        return fail()

    for _ in range(2):
        with pytest.raises(LookupError) as caught:
            memoized()
    assert len(calls) == 1
    return caught.value


def with_cause() -> None:
    try:
        try:
            raise OSError(2, "no such file")
        except OSError as error:
            raise ValueError("no settings") from error
    except ValueError as error:
        raise LookupError("no colour") from error


def test_causes_come_back(cache: FastMmap) -> None:
    error = kept(cache, with_cause)
    assert repr(error.__cause__) == "ValueError('no settings')"
    assert repr(error.__cause__.__cause__) == repr(OSError(2, "no such file"))
    text = "".join(traceback.format_exception(error))
    assert text.count("The above exception was the direct cause") == 2


def test_from_none_hides_what_is_handled_when_it_is_raised_again(
    cache: FastMmap,
) -> None:
    def fail() -> None:
        raise LookupError("alone") from None

    assert kept(cache, fail).__suppress_context__ is True


def test_one_without_a_cause_shows_what_is_handled(cache: FastMmap) -> None:
    def fail() -> None:
        raise LookupError("plain")

    error = kept(cache, fail)
    assert (error.__cause__, error.__suppress_context__) == (None, False)


def test_notes_and_attributes_come_back(cache: FastMmap) -> None:
    def fail() -> None:
        error = LookupError("noted")
        error.__notes__ = ["while painting"]  # what add_note() of 3.11 does
        error.colour = "red"  # type: ignore[attr-defined]  # set at run time
        raise error

    error = kept(cache, fail)
    assert error.__notes__ == ["while painting"]
    assert error.colour == "red"  # type: ignore[attr-defined]  # set at run time


def test_a_cause_that_does_not_pickle_is_left_out(cache: FastMmap) -> None:
    def fail() -> None:
        raise LookupError("no lock") from ValueError(threading.Lock())

    error = kept(cache, fail)
    assert (str(error), error.__cause__) == ("no lock", None)
    assert error.__suppress_context__ is True


def test_a_cause_that_is_its_own_ends_somewhere(cache: FastMmap) -> None:
    def fail() -> None:
        first, second = LookupError("first"), ValueError("second")
        first.__cause__, second.__cause__ = second, first
        raise first

    assert repr(kept(cache, fail).__cause__) == "ValueError('second')"


def test_each_raise_is_an_exception_of_its_own(cache: FastMmap) -> None:
    @cache.memoize("1h", key=lambda: "key", cache_exceptions=LookupError)
    def fail() -> None:
        with_cause()

    caught = []
    for _ in range(3):
        with pytest.raises(LookupError) as info:
            fail()
        caught.append(info.value)
    assert len({id(error) for error in caught}) == 3
