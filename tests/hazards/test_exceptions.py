"""An exception at any moment leaves nothing held.

The storm is tests/stress/exceptions.py; here it runs for a moment. Beside it each
event of the profiler in the package's own frames raises, one after the other.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import LONG, MakeCache, Scenario, run_scenario

import fastmmap
from fastmmap import Error, FastMmap, LockError
from fastmmap.sync import Lock, LockLost, RLock, Semaphore

STORM = Path(__file__).resolve().parents[1] / "stress" / "exceptions.py"
PACKAGE = os.path.dirname(os.path.abspath(fastmmap.__file__))
KINDS = {"Lock": Lock, "RLock": RLock, "Semaphore": Semaphore}


def run_storm(kind: str, operations: int) -> None:
    """Run the storm in a process of its own; it says what was left."""
    arguments = ["--operations", str(operations * LONG), "--only", kind]
    place = os.path.dirname(PACKAGE)
    done = subprocess.run(
        [sys.executable, str(STORM), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": place},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
def test_signals_that_raise_leave_nothing_held() -> None:
    run_storm("signal", 20)


@pytest.mark.long
def test_cancelled_tasks_hold_nothing() -> None:
    run_storm("cancel", 40)


@pytest.mark.long
def test_exceptions_of_the_profiler_leave_nothing_held() -> None:
    run_storm("profile", 5)


@pytest.mark.long
def test_exceptions_between_instructions_leave_nothing_held() -> None:
    run_storm("trace", 8)


@pytest.mark.long
def test_exceptions_of_another_thread_leave_nothing_held() -> None:
    run_storm("thread", 5)


# ------------------------------------------------- one event after the other


class Boom(Exception):
    """What comes in the middle."""


def in_package(frame: Any) -> bool:
    return bool(frame.f_code.co_filename.startswith(PACKAGE))


def raise_at(number: int, call: Callable[[], object]) -> bool:
    """Let the event of that number in the package's frames raise; was there one?"""
    left = number

    def see(frame: Any, event: str, what: object) -> None:
        nonlocal left
        if in_package(frame):
            left -= 1
            if left < 0:
                sys.setprofile(None)
                raise Boom

    came = False
    sys.setprofile(see)
    try:
        call()
    except Boom:
        came = True
    finally:
        sys.setprofile(None)
    return came


def leases_of(cache: FastMmap) -> list[str]:
    keys = ["key", *Lock(cache, "a")._keys, *Semaphore(cache, "a", 2)._keys]
    return [key for key in keys if cache._lease_peek(key)]


def wait_for(cache: FastMmap, kind: str) -> None:
    """Want a lock that another thread has for a moment."""
    taken, other = threading.Event(), KINDS[kind](FastMmap(cache.share_file), "a")

    def hold() -> None:
        with other:
            taken.set()
            time.sleep(0.004)

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait()
    try:
        with KINDS[kind](cache, "a", timeout=20):
            pass
    finally:
        thread.join()


async def compute_async() -> int:
    await asyncio.sleep(0)
    return 1


def uses_of(cache: FastMmap) -> dict[str, Callable[[], object]]:
    cache["early"] = 0
    early = cache.memoize(60, early=1e9, key=lambda: "key")(lambda: 1)
    return {
        "get_or_set": lambda: cache.get_or_set("key", lambda: 1),
        "get_or_set, async": lambda: asyncio.run(
            cache.get_or_set("key", compute_async)
        ),
        "memoize": early,
        "Lock": lambda: wait_for(cache, "Lock"),
        "RLock": lambda: wait_for(cache, "RLock"),
        "Semaphore": lambda: wait_for(cache, "Semaphore"),
    }


def raise_at_each(path: str, name: str) -> list[object]:
    """Return how many events there were, and after which something was held."""
    cache, number, left = FastMmap(path), 0, []
    use = uses_of(cache)[name]
    while raise_at(number, use):
        if "async" in name:
            # Where a coroutine yields, an exception of the profiler runs no `finally`
            # of anybody: only the end of the coroutine itself helps.
            gc.collect()
        if leases_of(cache):
            left.append(number)
            break
        if name != "memoize":
            cache.remove("key")
        number += 1
    return [number, left]


@pytest.mark.parametrize("name", ["get_or_set", "get_or_set, async", "memoize", *KINDS])
def test_an_exception_at_each_event_in_the_package_leaves_nothing_held(
    cache: FastMmap, path: str, name: str
) -> None:
    count, left = run_scenario(raise_at_each, path, name, timeout=120)
    assert left == []
    assert count > (2 if name in KINDS else 20)


# --------------------------------------------------------------- while it waits


def interrupted_while_it_waits(path: str, name: str) -> list[object]:
    """A soft time limit comes to one who waits for a lock."""
    cache = FastMmap(path)
    held, wanted = KINDS[name](cache, "a"), KINDS[name](FastMmap(path), "a")
    held.acquire()

    def limit(*_: object) -> None:
        raise Boom

    signal.signal(signal.SIGALRM, limit)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        wanted.acquire()
    except Boom:
        held.release()
        return [leases_of(cache), wanted.acquire(timeout=1)]
    return []


@pytest.mark.parametrize("name", KINDS)
def test_a_soft_time_limit_ends_the_waiting(
    cache: FastMmap, path: str, name: str
) -> None:
    assert run_scenario(interrupted_while_it_waits, path, name) == [[], True]


def raised_by_another_thread(path: str) -> list[object]:
    cache, boom = FastMmap(path), ctypes.py_object(Boom)
    main = ctypes.c_ulong(threading.get_ident())

    def compute() -> None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(main, boom)
        for _ in range(1000):
            pass

    try:
        cache.get_or_set("key", compute)
    except Boom:
        return [leases_of(cache), cache.get_or_set("key", lambda: "next")]
    return []


def test_an_exception_of_another_thread_ends_a_computation(
    cache: FastMmap, path: str
) -> None:
    assert run_scenario(raised_by_another_thread, path) == [[], "next"]


# ------------------------------------------------- a release always releases


def hold_page(path: str, word: str) -> None:
    """Hold the only page until told to go on."""
    from support import heard, say

    with FastMmap(path).lock("other"):
        say(word)
        heard()


@pytest.mark.parametrize("name", KINDS)
def test_a_release_does_not_wait_for_a_busy_page(
    make_cache: MakeCache, path: str, name: str
) -> None:
    cache = make_cache(page_size="64k", num_pages=1, lock_timeout=0.2)
    lock = KINDS[name](cache, "a")
    lock.acquire()
    with Scenario(hold_page, path, "held") as other:
        assert other.hear() == "held"
        began = time.monotonic()
        lock.release()
        assert time.monotonic() - began < 0.1
        assert leases_of(cache) == []
        other.tell("go on")
    assert lock.acquire(False)


def test_a_computation_that_meets_a_busy_page_ends_its_lease(
    make_cache: MakeCache, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    cache = make_cache(page_size="64k", num_pages=1, lock_timeout=0.1)
    running: list[Any] = []

    def compute() -> int:
        running.append(Scenario(hold_page, path, "held"))
        assert running[0].hear() == "held"
        return 1

    assert cache.get_or_set("key", compute) == 1
    with running[0] as other:
        assert cache._lease_peek("key") is None
        other.tell("go on")
        assert other.exit_code() == 0
    assert "storing a computed value failed for key 'key'" in caplog.text
    assert cache.get_or_set("key", lambda: 2) == 2


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("where", ["lock", "get_and_set", "read_cb"])
def test_what_is_forgotten_inside_the_cache_is_free(
    make_cache: MakeCache, name: str, where: str
) -> None:
    held: list[Any] = []

    def forget(*_: object) -> int:
        held.clear()
        gc.collect()
        return 1

    cache = make_cache(page_size="64k", num_pages=1, read_cb=forget)
    held.append(KINDS[name](cache, "a"))
    held[0].acquire()
    held[0].itself = held[0]  # only the collector finds it
    if where == "lock":
        with cache.lock("other"):
            forget()
    elif where == "get_and_set":
        cache.get_and_set("other", forget)
    else:
        cache.get("other")
    assert held == [] and leases_of(cache) == []


@pytest.mark.parametrize("name", KINDS)
def test_a_release_inside_the_cache_releases(make_cache: MakeCache, name: str) -> None:
    cache, other = make_cache(page_size="64k", num_pages=1), make_cache()
    lock = KINDS[name](cache, "a")
    lock.acquire()
    with cache.lock("other"):
        lock.release()
        assert leases_of(other) == []
    assert lock.acquire(False)


@pytest.mark.parametrize("name", KINDS)
def test_a_release_after_the_cache_was_closed_releases(
    make_cache: MakeCache, name: str
) -> None:
    cache, other = make_cache(), make_cache()
    lock = KINDS[name](cache, "a")
    lock.acquire()
    cache.close()
    lock.release()
    assert leases_of(other) == []


# --------------------------------------------------------------------- forks


def leave_in_a_child(path: str, name: str, end: str) -> list[object]:
    """A child is forked inside the block of a lock, and leaves it."""
    cache, main = FastMmap(path), os.getpid()
    found: list[object] = []
    try:
        with KINDS[name](cache, "a"):
            child = os.fork()
            if child == 0 and end == "raise":
                raise Boom
            if child != 0:
                found.append(os.waitpid(child, 0)[1])
                found.append(len(leases_of(cache)))
    except (Error, Boom, ValueError) as error:
        if os.getpid() == main:
            raise
        expected = Boom if end == "raise" else LockError
        os._exit(0 if isinstance(error, expected) else 1)
    if os.getpid() != main:
        os._exit(2)
    return [*found, leases_of(cache)]


@pytest.mark.parametrize("end", ["return", "raise"])
@pytest.mark.parametrize("name", KINDS)
def test_a_child_leaves_the_block_of_its_parents_lock_with_a_lock_error(
    cache: FastMmap, path: str, name: str, end: str
) -> None:
    assert run_scenario(leave_in_a_child, path, name, end) == [0, 1, []]


def test_a_lock_that_was_lost_is_told_though_the_page_is_busy(
    one_page: FastMmap,
) -> None:
    lock = Lock(one_page, "a")
    lock.acquire()
    one_page.remove(lock._keys[0])
    with one_page.lock("other"), pytest.raises(LockLost):
        lock.release()


# ------------------------------------------------------------ inside a callback


class SoftLimit(Exception):
    """What a task queue raises out of a signal handler."""


def interrupt_a_callback(path: str, action: str, way: str) -> tuple[Any, ...]:
    def on_alarm(*args: object) -> None:
        raise SoftLimit

    def slow(*args: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        time.sleep(10)

    signal.signal(signal.SIGALRM, on_alarm)
    cache = FastMmap(
        path,
        write_action=action,
        write_cb=slow,
        delete_cb=slow,
        page_size="64k",
        num_pages=1,
    )
    ways: dict[str, Callable[[], object]] = {
        "set": lambda: cache.set("key", 1),
        "multi_set": lambda: cache.multi_set("page", {"key": 1}),
        "remove": lambda: cache.remove("key"),
        "flush": lambda: (cache.set("key", 1), cache.flush()),
        "too large": lambda: cache.set("key", b"x" * (1 << 21)),
    }
    try:
        ways[way]()
    except SoftLimit:
        entry = cache.get_entry("key")
        return True, entry is not None and entry.dirty
    return (False,)


@pytest.mark.parametrize(
    ("action", "way", "dirty"),
    [
        ("write_through", "set", False),
        ("write_through", "multi_set", False),
        ("write_through", "remove", False),
        ("write_back", "flush", True),
        ("write_back", "too large", False),
    ],
)
def test_what_a_signal_handler_raises_in_a_callback_reaches_the_caller(
    path: str, action: str, way: str, dirty: bool
) -> None:
    assert run_scenario(interrupt_a_callback, path, action, way) == (True, dirty)
