"""Waiting for a page that another process holds."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from support import MakeCache, Scenario, heard, say

from fastmmap import FastMmap, LockTimeout
from fastmmap.sync import Lock, RLock, Semaphore

PAGE: dict[str, Any] = {"page_size": "64k", "num_pages": 1}


def hold(path: str) -> None:
    """Hold the page of "key" until the test says go."""
    cache = FastMmap(path)
    with cache.lock("key") as item:
        say("holding")
        heard()
        item.value = "held"


@pytest.fixture
def cache(make_cache: MakeCache) -> FastMmap:
    cache = make_cache(lock_timeout=0.05, **PAGE)
    cache.set("key", "old")
    return cache


@pytest.mark.quick
def test_a_wait_ends_in_a_lock_timeout(cache: FastMmap, path: str) -> None:
    with Scenario(hold, path) as holder:
        assert holder.hear() == "holding"
        with pytest.raises(LockTimeout) as caught:
            cache.set("other", 1)
        assert path in str(caught.value)
        holder.tell("go")
        holder.result()
    assert cache.get("key") == "held"
    assert cache.get("other") is None
    assert cache.set("other", 1)


def test_each_operation_that_needs_the_page_times_out(
    cache: FastMmap, path: str
) -> None:
    with Scenario(hold, path) as holder:
        holder.hear()
        for use in (
            lambda: cache.remove("key"),
            lambda: cache.incr("n"),
            lambda: cache.touch("key"),
            lambda: cache.get_and_set("key", lambda *_: 1),
            lambda: cache.lock("key").__enter__(),
            lambda: cache.clear(),
            lambda: cache.expire("key"),
            lambda: cache.set_many({"key": 1}),
            lambda: cache.__setitem__("key", 1),
        ):
            with pytest.raises(LockTimeout):
                use()
        with pytest.raises(LockTimeout):
            cache.lock("key", timeout=0).__enter__()


KINDS = [Lock, RLock, Semaphore]


@pytest.mark.quick
@pytest.mark.parametrize("kind", KINDS)
def test_a_lock_waits_for_a_busy_page_no_longer_than_it_is_to(
    make_cache: MakeCache, path: str, kind: Any
) -> None:
    cache = make_cache(**PAGE)
    lock = kind(cache, "a")
    with Scenario(hold, path) as holder:
        holder.hear()
        assert lock.acquire(blocking=False) is False
        assert lock.acquire(timeout=0.1) is False
        assert not lock.locked()
        with pytest.raises(LockTimeout, match="not acquired within"):
            kind(cache, "a", timeout=0).__enter__()
        holder.tell("go")
        assert lock.acquire(timeout=20) is True
    lock.release()


#: A clock that goes on by 5 ms from each look at it to the next, from hurry() on:
#: what a process sees that gets little of its CPU. Nothing may look at it for long
#: before it matters: a sleep ends by the kernel's clock, and lasts so much longer.
HASTY_CLOCK = """
#define _GNU_SOURCE
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static atomic_int looks = -1;

void
hurry(void)
{
    looks = 0;
}

int
clock_gettime(clockid_t clock, struct timespec *now)
{
    long failed = syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_MONOTONIC && looks >= 0) {
        long ms = now->tv_nsec / 1000000 + 5L * ++looks;
        now->tv_sec += ms / 1000;
        now->tv_nsec = ms % 1000 * 1000000;
    }
    return (int)failed;
}
"""


def try_in_little_time(path: str) -> list[object]:
    cache = FastMmap(path)
    ctypes.CDLL(None).hurry()
    got: list[object] = [Lock(cache, "a").acquire(timeout=0.1)]
    try:
        cache.get_or_set("a", 1, timeout=0.1)
    except LockTimeout as error:
        got.append("on a page that another thread or" in str(error))
    return got


def test_one_whose_time_passes_at_once_looks_at_a_busy_page_all_the_same(
    make_cache: MakeCache, path: str, tmp_path: Path
) -> None:
    make_cache(**PAGE)
    source, shim = tmp_path / "clock.c", tmp_path / "clock.so"
    source.write_text(HASTY_CLOCK)
    build = ["cc", "-shared", "-fPIC", "-o", shim, source]
    subprocess.run(build, check=True, timeout=60)
    with Scenario(hold, path) as holder:
        holder.hear()
        # Behind what is there, which may be a sanitizer's: it has to be the first.
        others = os.environ.get("LD_PRELOAD", "")
        preload = ["env", f"LD_PRELOAD={others} {shim}"]
        with Scenario(try_in_little_time, path, prefix=preload) as hurried:
            assert hurried.result() == [False, True]


def test_many_permits_in_a_busy_page_are_looked_at_in_little_time(
    make_cache: MakeCache, path: str
) -> None:
    permits = Semaphore(make_cache(**PAGE), "a", 30)
    with Scenario(hold, path) as holder:
        holder.hear()
        began = time.monotonic()
        assert permits.acquire(blocking=False) is False
        assert time.monotonic() - began < 1  # it is 0.06 s; it was 1.5 s


def test_a_computation_waits_for_a_busy_page_no_longer_than_it_is_to(
    make_cache: MakeCache, path: str
) -> None:
    cache = make_cache(**PAGE)
    with Scenario(hold, path) as holder:
        holder.hear()
        with pytest.raises(LockTimeout, match="on a page that another thread or"):
            cache.get_or_set("a", 1, timeout=0.1)
        holder.tell("go")
        assert cache.get_or_set("a", 1, timeout=20) == 1


def test_tasks_go_on_while_one_waits_to_compute_in_a_busy_page(
    make_cache: MakeCache, path: str
) -> None:
    cache = make_cache(**PAGE)

    async def compute() -> str:
        return "value"

    async def waiting(holder: Scenario) -> None:
        wanted = asyncio.ensure_future(cache.get_or_set_async("a", compute))
        for _ in range(5):
            await asyncio.sleep(0.01)
        assert not wanted.done()
        holder.tell("go")
        assert await wanted == "value"

    with Scenario(hold, path) as holder:
        holder.hear()
        asyncio.run(waiting(holder))


@pytest.mark.parametrize("kind", KINDS)
def test_tasks_go_on_while_one_waits_for_a_lock_in_a_busy_page(
    make_cache: MakeCache, path: str, kind: Any
) -> None:
    lock = kind(make_cache(**PAGE), "a")

    async def waiting(holder: Scenario) -> None:
        acquiring = asyncio.ensure_future(lock.acquire_async())
        for _ in range(5):
            await asyncio.sleep(0.01)
        assert not acquiring.done()
        holder.tell("go")
        assert await acquiring is True

    with Scenario(hold, path) as holder:
        holder.hear()
        asyncio.run(waiting(holder))
    assert lock.locked()


@pytest.mark.quick
def test_readers_do_not_wait(cache: FastMmap, path: str) -> None:
    with Scenario(hold, path) as holder:
        holder.hear()
        assert cache.get("key") == "old"
        assert cache["key"] == "old"
        assert "key" in cache
        assert cache.get_many(["key"]) == {"key": "old"}
        assert cache.get("other") is None


def test_a_stopped_holder_stops_no_reader(cache: FastMmap, path: str) -> None:
    with Scenario(hold, path) as holder:
        holder.hear()
        holder.send(signal.SIGSTOP)
        assert cache.get("key") == "old"
        with pytest.raises(LockTimeout):
            cache.set("key", "new")
        holder.send(signal.SIGCONT)
        holder.tell("go")
        holder.result()
    assert cache.get("key") == "held"


def wait_with_a_busy_thread(path: str) -> list[object]:
    """Wait in one thread; report that another one goes on meanwhile."""
    cache = FastMmap(path)
    waiter = threading.Thread(target=cache.set, args=("key", "waited"))
    waiter.start()
    # If the waiter kept the interpreter, none of this would be reached.
    for _ in range(20):
        time.sleep(0.01)
        sum(range(1000))
    waited = waiter.is_alive()
    say("another thread made progress")
    waiter.join()
    return [waited, cache.get("key")]


def test_the_interpreter_is_free_while_a_thread_waits(
    cache: FastMmap, path: str
) -> None:
    with Scenario(hold, path) as holder:
        holder.hear()
        with Scenario(wait_with_a_busy_thread, path) as waiter:
            assert waiter.hear() == "another thread made progress"
            holder.tell("go")
            assert waiter.result() == [True, "waited"]


def wait_until_interrupted(path: str) -> list[object]:
    """Wait for ever, but for Ctrl-C."""
    cache = FastMmap(path)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        say("waiting")
        cache.set("key", "new")
    except KeyboardInterrupt:
        return ["interrupted", cache.get("key")]
    return ["not interrupted", cache.get("key")]


@pytest.mark.quick
def test_ctrl_c_ends_a_wait(cache: FastMmap, path: str) -> None:
    with Scenario(hold, path) as holder:
        holder.hear()
        with Scenario(wait_until_interrupted, path) as waiter:
            assert waiter.hear() == "waiting"
            time.sleep(0.2)
            waiter.send(signal.SIGINT)
            assert waiter.result() == ["interrupted", "old"]


def wait_through_signals(path: str) -> list[object]:
    """Wait while signals arrive; their handler does not raise."""
    cache = FastMmap(path)
    seen: list[int] = []

    def handle(*_: object) -> None:
        seen.append(1)
        if len(seen) == 10:
            say("ten signals handled")

    signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    stored = cache.set("key", "waited")
    signal.setitimer(signal.ITIMER_REAL, 0)
    return [stored, len(seen) >= 10]


def test_signals_run_their_handlers_during_a_wait(cache: FastMmap, path: str) -> None:
    with Scenario(hold, path) as holder:
        holder.hear()
        with Scenario(wait_through_signals, path) as waiter:
            assert waiter.hear() == "ten signals handled"
            holder.tell("go")
            assert waiter.result() == [True, True]
    assert cache.get("key") == "waited"


def wait_for_page(path: str) -> object:
    cache = FastMmap(path)
    say("waiting")
    return cache.incr("n")


def test_many_waiters_all_get_their_turn(cache: FastMmap, path: str) -> None:
    with Scenario(hold, path) as holder:
        holder.hear()
        with (
            Scenario(wait_for_page, path) as first,
            Scenario(wait_for_page, path) as second,
        ):
            assert first.hear() == second.hear() == "waiting"
            time.sleep(0.1)
            holder.tell("go")
            assert {first.result(), second.result()} == {1, 2}
