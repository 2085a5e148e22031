"""memoize(stale_on_error=): an old result while a new one cannot be computed."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from fastmmap import FastMmap
from fastmmap.testing import time_travel


class Source:
    """What is computed next: values to return, exceptions to raise."""

    def __init__(self, *results: Any) -> None:
        self.results = list(results)

    def __call__(self) -> Any:
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result


def memoized(cache: FastMmap, source: Source, way: str, **options: Any) -> Any:
    """Return a memoized function, or one that runs a coroutine function."""
    decorate: Callable[..., Any] = cache.memoize("10s", name="source", **options)
    if way == "def":
        return decorate(lambda: source())

    async def later() -> Any:
        await asyncio.sleep(0)
        return source()

    kept = decorate(later)
    return lambda: asyncio.run(kept())


WAYS = pytest.mark.parametrize("way", ["def", "async def"])


@pytest.mark.quick
@WAYS
def test_an_old_result_is_served_while_the_computation_fails(
    cache: FastMmap, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    source = Source("old", OSError("down"), OSError("down"), "new")
    ask = memoized(cache, source, way, stale_on_error="1h")
    assert ask() == "old"
    with time_travel(60), caplog.at_level(logging.WARNING, "fastmmap"):
        assert (ask(), ask()) == ("old", "old")
        assert (ask(), ask()) == ("new", "new")
    assert [record.message for record in caplog.records] == [
        f"computing key 'source()' of {cache.share_file} failed: "
        "its old value is returned"
    ] * 2
    assert all(record.exc_info for record in caplog.records)


@WAYS
def test_for_as_long_as_was_asked(cache: FastMmap, way: str) -> None:
    ask = memoized(cache, Source("old", OSError("down")), way, stale_on_error="1h")
    ask()
    with time_travel(3611), pytest.raises(OSError, match="down"):
        ask()


@pytest.mark.parametrize("stale", ["2h", "1m"])
def test_no_longer_even_if_it_is_there_for_others(cache: FastMmap, stale: str) -> None:
    source = Source("old", OSError("down"), OSError("down"))
    ask = memoized(cache, source, "def", stale=stale, stale_on_error="1h")
    ask()
    with time_travel(1800):
        assert ask() == "old"
    with time_travel(3700), pytest.raises(OSError):
        ask()


def test_a_kept_exception_is_no_old_result(cache: FastMmap) -> None:
    source = Source(KeyError("first"), OSError("down"))
    ask = memoized(cache, source, "def", stale_on_error="1h", cache_exceptions=KeyError)
    for error in (KeyError, KeyError):
        with pytest.raises(error):
            ask()
    with time_travel(60), pytest.raises(OSError):
        ask()


def test_an_exception_that_would_be_kept_gives_way_to_an_old_result(
    cache: FastMmap,
) -> None:
    source = Source("old", KeyError("now"), "new")
    ask = memoized(cache, source, "def", stale_on_error="1h", cache_exceptions=KeyError)
    ask()
    with time_travel(60):
        assert (ask(), ask()) == ("old", "new")


@pytest.mark.quick
@pytest.mark.parametrize(("outcome", "got"), [("new", "new"), (OSError(), "old")])
def test_others_wait_for_what_comes_of_it(
    cache: FastMmap, outcome: Any, got: str
) -> None:
    entered, leave = threading.Event(), threading.Event()
    source, found = Source("old", outcome), []

    @cache.memoize("10s", name="source", stale_on_error="1h")
    def ask() -> Any:
        if len(source.results) == 1:
            entered.set()
            assert leave.wait(30)
        return source()

    assert ask() == "old"
    with time_travel(60):
        threads = [
            threading.Thread(target=lambda: found.append(ask())) for _ in range(4)
        ]
        threads[0].start()
        assert entered.wait(30)
        for thread in threads[1:]:
            thread.start()
        time.sleep(0.1)
        assert found == []
        leave.set()
        for thread in threads:
            thread.join(30)
    assert found == [got] * 4
    assert source.results == []


def test_tasks_wait_for_it_too(cache: FastMmap) -> None:
    source = Source("old", "new")

    @cache.memoize("10s", name="source", stale_on_error="1h")
    async def ask() -> Any:
        await asyncio.sleep(0.05)
        return source()

    async def main() -> Any:
        await ask()
        with time_travel(60):
            return await asyncio.gather(*(ask() for _ in range(5)))

    assert asyncio.run(main()) == ["new"] * 5


def test_it_needs_a_lifetime(cache: FastMmap) -> None:
    with pytest.raises(ValueError, match="need an expire_time"):
        cache.memoize(stale_on_error="1h")
    with pytest.raises(ValueError, match="lifetime"):
        cache.memoize("1h", stale_on_error="soon")
