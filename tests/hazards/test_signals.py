"""Signals: in the middle of operations, of waits, of user code."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest
from support import MakeCache, Scenario, heard, run_scenario, say

from fastmmap import FastMmap, LockError

PAGE: dict[str, Any] = {"page_size": "64k", "num_pages": 1}


def hold(path: str) -> None:
    cache = FastMmap(path)
    with cache.lock("key"):
        say("holding")
        heard()


def enter(cache: FastMmap) -> None:
    with cache.lock("key"):
        pass


#: What waits for a page that another process holds.
WAITS: dict[str, Callable[[FastMmap], object]] = {
    "set": lambda cache: cache.set("key", 1),
    "set_many": lambda cache: cache.set_many({"key": 1}),
    "incr": lambda cache: cache.incr("n"),
    "touch": lambda cache: cache.touch("key"),
    "remove": lambda cache: cache.remove("key"),
    "get_and_set": lambda cache: cache.get_and_set("key", lambda *_: 1),
    "lock": enter,
    "clear": lambda cache: cache.clear(),
    "empty": lambda cache: cache.empty(),
    "check": lambda cache: cache.check(),
    "iterate": lambda cache: list(cache.items()),
}


def interrupt_each(path: str) -> list[str]:
    """Press Ctrl-C during each kind of wait; return what went wrong."""
    cache = FastMmap(path)
    wrong: list[str] = []
    for name, wait in WAITS.items():
        say(name)
        timer = threading.Timer(0.1, signal.raise_signal, [signal.SIGINT])
        timer.start()
        try:
            wait(cache)
            wrong.append(f"{name} did not wait")
            timer.join()
        except KeyboardInterrupt:
            pass
        if cache.get("key") != "old":  # a LockError, were it still inside
            wrong.append(f"{name} left something")
    say("all interrupted")
    heard()
    return [*wrong, str(cache.set("key", "new")), str(cache.check().ok)]


def test_ctrl_c_ends_each_kind_of_wait_and_leaves_nothing(
    make_cache: MakeCache, path: str
) -> None:
    cache = make_cache(lock_timeout=10, **PAGE)
    cache.set("key", "old")
    with Scenario(hold, path) as holder, contextlib.ExitStack() as later:
        assert holder.hear() == "holding"
        waiter = later.enter_context(Scenario(interrupt_each, path))
        while (said := waiter.hear()) != "all interrupted":
            assert said in WAITS
        holder.tell("go")
        holder.result()
        waiter.tell("go")
        assert waiter.result() == ["True", "True"]
    assert cache.get("key") == "new"
    assert cache.set("key", "the page is free")


class Stop(Exception):
    """Raised by a signal handler, at any moment."""


def interrupt_at_random(path: str) -> list[object]:
    """Raise in the middle of whatever runs, hundreds of times."""
    cache = FastMmap(path, lock_timeout=5, **PAGE)
    other = FastMmap(path, lock_timeout=5)

    def stop(*_: object) -> None:
        raise Stop

    def add(key: Any, value: Any, entry: object) -> Any:
        return (value or 0) + 1

    signal.signal(signal.SIGALRM, stop)
    stopped = finished = 0
    while stopped < 500:
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.0001 + stopped % 37 * 0.00001)
            for number in range(50):
                with cache.lock("n") as item:
                    item.value = (item.value or 0) + 1
                cache.get_and_set("n", add)
                cache.set(f"key {number}", [number] * 10)
                cache.get(f"key {number}")
            list(cache.items())
            finished += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
        except Stop:
            stopped += 1
        # Nothing may be held: another object of this file would wait.
        other.set("free", stopped)
    signal.setitimer(signal.ITIMER_REAL, 0)
    return [cache.get("free"), cache.check().ok]


def test_an_exception_at_any_moment_leaves_no_page_held(path: str) -> None:
    assert run_scenario(interrupt_at_random, path) == [500, True]


def use_in_handlers(path: str) -> list[object]:
    """Handlers use the cache while all operations run: each is whole."""
    cache = FastMmap(path, **PAGE)
    counts = {"handled": 0, "refused": 0}

    def handle(*_: object) -> None:
        try:
            cache.incr("by handler")
            assert cache.get("stable") == "value"
            counts["handled"] += 1
        except LockError:
            counts["refused"] += 1  # it came inside a block or a function

    cache.set("stable", "value")
    signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    added = 0
    while counts["handled"] < 100 or counts["refused"] < 20:
        cache.incr("by main")
        with cache.lock("by lock") as item:
            item.value = sum(range(200)) and (item.value or 0) + 1
        cache.get_and_set("by lock", lambda _k, v, _e: sum(range(200)) and v + 1)
        assert dict(cache.items())["stable"] == "value"
        added += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    return [
        cache.get("by handler") == counts["handled"],
        cache.get("by main") == added,
        cache.get("by lock") == 2 * added,
    ]


def test_handlers_may_use_the_cache_and_are_refused_inside(path: str) -> None:
    assert run_scenario(use_in_handlers, path) == [True, True, True]


def handle_in_wait(path: str) -> list[object]:
    """During a wait a handler reads, writes elsewhere, and is never refused."""
    cache = FastMmap(path)
    elsewhere = FastMmap(path + ".other", page_size="4k", num_pages=1)
    seen: list[object] = []

    def handle(*_: object) -> None:
        seen.append([cache.get("key"), elsewhere.incr("n")])
        if len(seen) == 3:
            say("handled")
        else:
            signal.setitimer(signal.ITIMER_REAL, 0.05)  # after this one, not in it

    signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    result = cache.get_and_set("key", lambda *_: "waited")
    return [seen, tuple(result)]


def test_handlers_use_caches_during_a_wait(make_cache: MakeCache, path: str) -> None:
    make_cache(**PAGE).set("key", "old")
    with Scenario(hold, path) as holder, contextlib.ExitStack() as later:
        assert holder.hear() == "holding"
        waiter = later.enter_context(Scenario(handle_in_wait, path))
        assert waiter.hear() == "handled"
        holder.tell("go")
        seen, result = waiter.result()
    assert seen == [["old", 1], ["old", 2], ["old", 3]]
    assert result == ("waited", True)


def handle_in_function(path: str, what: str) -> list[object]:
    """A signal arrives while `func` runs with the page held."""
    cache = FastMmap(path, **PAGE)
    cache.set("key", "old")
    outcome = "stored"

    def handle(*_: object) -> None:
        if what == "use":
            cache.get("key")
        raise Stop

    def func(*_: object) -> str:
        signal.raise_signal(signal.SIGALRM)
        return "new"

    signal.signal(signal.SIGALRM, handle)
    try:
        cache.get_and_set("key", func)
    except (Stop, LockError) as error:
        outcome = type(error).__name__
    with FastMmap(path, lock_timeout=5) as other:
        return [outcome, cache.get("key"), other.set("key", "newer")]


@pytest.mark.parametrize(("what", "error"), [("use", "LockError"), ("raise", "Stop")])
def test_a_handler_inside_a_function(path: str, what: str, error: str) -> None:
    assert run_scenario(handle_in_function, path, what) == [error, "old", True]
