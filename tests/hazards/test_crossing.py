"""Computations that wait for each other: one gets an error, the others go on."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest
from support import MakeCache, Scenario, heard, run_scenario, say

from fastmmap import FastMmap, LockError

TIMEOUT = 30


def cross(
    cache: FastMmap, keys: list[str], number: int, ready: threading.Barrier
) -> Any:
    """Compute a key, and for that want the next; return what came of it."""
    following = keys[(number + 1) % len(keys)]

    def compute() -> str:
        ready.wait(TIMEOUT)
        return str(cache.get_or_set(following, lambda: "anew", timeout=TIMEOUT))

    try:
        return cache.get_or_set(keys[number], compute, timeout=TIMEOUT)
    except LockError as error:
        return error


def cross_in_threads(path: str, length: int) -> list[object]:
    cache, keys = FastMmap(path), [f"key {number}" for number in range(length)]
    ready, found = threading.Barrier(length), [None] * length
    began = time.monotonic()

    def work(number: int) -> None:
        found[number] = cross(cache, keys, number, ready)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(length)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    errors = [str(one) for one in found if isinstance(one, LockError)]
    named = bool(errors) and "waits" in errors[0] and "key " in errors[0]
    return [len(errors), named, time.monotonic() - began, cache._lease_peek("key 0")]


@pytest.mark.parametrize("length", [2, 3, 7])
def test_threads_that_wait_in_a_circle_lose_one_of_them(
    cache: FastMmap, path: str, length: int
) -> None:
    errors, named, seconds, lease = run_scenario(cross_in_threads, path, length)
    assert (errors, named, lease) == (1, True, None)
    assert seconds < 5  # it is a second on a machine that has nothing else to do


def cross_in_tasks(path: str, length: int) -> list[str]:
    cache, ready = FastMmap(path), asyncio.Event()

    async def want(number: int) -> str:
        async def compute() -> str:
            if number == length - 1:
                ready.set()
            await ready.wait()

            async def anew() -> str:
                return "anew"

            other = str((number + 1) % length)
            return await cache.get_or_set(other, anew, timeout=TIMEOUT)

        return await cache.get_or_set(str(number), compute, timeout=TIMEOUT)

    async def main() -> list[str]:
        tasks = [asyncio.ensure_future(want(number)) for number in range(length)]
        _, left = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in left if length > 2 else ():  # the others take their time
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        return sorted(
            end if isinstance(end, str) else type(end).__name__ for end in ends
        )

    return asyncio.run(main())


def test_tasks_that_wait_for_each_other_lose_one_of_them(
    cache: FastMmap, path: str
) -> None:
    assert run_scenario(cross_in_tasks, path, 2) == ["LockError", "anew"]


def test_a_long_circle_is_found(cache: FastMmap, path: str) -> None:
    found = run_scenario(cross_in_tasks, path, 250)
    assert found.count("LockError") == 1


def cross_in_processes(path: str, mine: str, other: str) -> str:
    cache = FastMmap(path)

    def compute() -> str:
        say("computing")
        heard()
        return str(cache.get_or_set(other, lambda: "anew", timeout=TIMEOUT))

    try:
        return str(cache.get_or_set(mine, compute, timeout=TIMEOUT))
    except LockError:
        return "LockError"


def test_processes_that_wait_for_each_other_lose_one_of_them(
    cache: FastMmap, path: str
) -> None:
    keys = ["a", "b", "c"]
    crowd = [
        Scenario(cross_in_processes, path, key, keys[(n + 1) % 3])
        for n, key in enumerate(keys)
    ]
    for one in crowd:
        assert one.hear() == "computing"
    for one in crowd:
        one.tell("go on")
    found = []
    for one in crowd:
        with one:
            found.append(one.result())
    assert sorted(found) == ["LockError", "anew", "anew"]


def test_one_who_waits_in_no_circle_waits_on(cache: FastMmap) -> None:
    """A computation that asks for another which takes its time."""

    def slow() -> str:
        time.sleep(0.8)
        return "slow"

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.get_or_set, "slow", slow)
        while cache._lease_peek("slow") is None:
            time.sleep(0.001)
        second = pool.submit(
            cache.get_or_set, "other", lambda: cache.get_or_set("slow", slow)
        )
        assert [first.result(20), second.result(20)] == ["slow", "slow"]


def test_what_is_said_of_waiting_leaves_nothing_in_the_cache(
    make_cache: MakeCache,
) -> None:
    cache = make_cache()
    cache._wait_publish(2**63 + 5, 2**63 + 7, 10_000)
    found = cache._wait_look(2**63 + 5)
    assert found is not None and found[0] == 2**63 + 7
    assert len(cache) == 0 and list(cache) == [] and cache.stats().entries == 0
    cache._wait_end(2**63 + 5)
    assert cache._wait_look(2**63 + 5) is None
    cache._wait_publish(3, 4, 1)
    time.sleep(0.05)
    assert cache._wait_look(3) is None
    assert cache.check().ok


def cross_files(path: str, length: int) -> list[object]:
    """Compute a key in each of some files, and for that want that of the next."""
    caches = [
        FastMmap(f"{path}-{number}", cache_size="256k") for number in range(length)
    ]
    ready, found = threading.Barrier(length), [None] * length
    began = time.monotonic()

    def work(number: int) -> None:
        following = caches[(number + 1) % length]

        def compute() -> Any:
            ready.wait(TIMEOUT)
            return following.get_or_set("key", lambda: "anew", timeout=TIMEOUT)

        try:
            found[number] = caches[number].get_or_set("key", compute, timeout=TIMEOUT)
        except LockError as error:
            found[number] = error

    threads = [threading.Thread(target=work, args=(n,)) for n in range(length)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    errors = [one for one in found if isinstance(one, LockError)]
    return [len(errors), time.monotonic() - began]


@pytest.mark.parametrize("length", [2, 3, 6])
def test_a_circle_through_several_files_is_found(path: str, length: int) -> None:
    errors, seconds = run_scenario(cross_files, path, length)
    assert errors == 1
    assert seconds < 5


def cross_files_and_processes(path: str, number: int, length: int) -> None:
    mine, following = (
        FastMmap(f"{path}-{n % length}", cache_size="256k")
        for n in (number, number + 1)
    )

    def compute() -> Any:
        say("computing")
        heard()
        return following.get_or_set("key", lambda: "anew", timeout=TIMEOUT)

    try:
        say(str(mine.get_or_set("key", compute, timeout=TIMEOUT)))
    except LockError:
        say("LockError")


@pytest.mark.parametrize("length", [3, 6])
def test_a_circle_of_processes_with_two_files_each_is_found(
    path: str, length: int
) -> None:
    with contextlib.ExitStack() as stack:
        members = [
            stack.enter_context(Scenario(cross_files_and_processes, path, n, length))
            for n in range(length)
        ]
        assert {member.hear() for member in members} == {"computing"}
        began = time.monotonic()
        for member in members:
            member.tell("go")
        assert sorted(member.hear() for member in members) == [
            "LockError",
            *["anew"] * (length - 1),
        ]
        assert time.monotonic() - began < 5


def cross_behind_others(path: str, others: int) -> list[object]:
    """Wait for many keys at once, of which one waits for the first computation."""
    cache = FastMmap(path)
    over, both = threading.Event(), threading.Barrier(2)
    pool = ThreadPoolExecutor(3 * others + 3)

    def slow() -> str:
        over.wait(TIMEOUT)
        return "slow"

    def in_pool(key: str) -> Any:
        context = contextvars.copy_context()
        return pool.submit(context.run, cache.get_or_set, key, slow, timeout=TIMEOUT)

    def first() -> list[object]:
        both.wait(TIMEOUT)
        asked = [in_pool(key) for key in (*keys, "second")]
        return [end.result() for end in reversed(asked)]

    def second() -> object:
        both.wait(TIMEOUT)
        return cache.get_or_set("first", slow, timeout=TIMEOUT)

    keys = [f"other {number}" for number in range(others)]
    for key in keys:
        pool.submit(cache.get_or_set, key, slow)
    while not all(cache._lease_peek(key) for key in keys):
        time.sleep(0.01)
    began = time.monotonic()
    ends = [
        pool.submit(cache.get_or_set, key, compute)
        for key, compute in (("first", first), ("second", second))
    ]
    done, _ = wait(ends, TIMEOUT, return_when="FIRST_EXCEPTION")
    errors = [type(end.exception()).__name__ for end in done]
    seconds = time.monotonic() - began
    over.set()
    pool.shutdown()
    return [errors[:1], seconds]


@pytest.mark.parametrize("others", [0, 1, 8])
def test_a_circle_is_found_among_others_that_are_waited_for(
    cache: FastMmap, path: str, others: int
) -> None:
    errors, seconds = run_scenario(cross_behind_others, path, others)
    assert errors == ["LockError"]
    assert seconds < 5


def cross_with_many(path: str, mine: str, other: str) -> str:
    """Compute a key, and for that ask for others at once, of which the last waits."""
    cache, over = FastMmap(path), threading.Event()
    short = [f"{mine}-{number}" for number in range(8)]
    pool = ThreadPoolExecutor(20)

    def ask(key: str) -> Any:
        context = contextvars.copy_context()
        return pool.submit(context.run, cache.get_or_set, key, str, timeout=TIMEOUT)

    def compute() -> str:
        say("computing")
        heard()
        asked = [ask(key) for key in short]
        time.sleep(0.3)  # they have said that they wait: where the last one is not
        asked.append(ask(other))
        over.set()
        return str(asked[-1].result())

    for key in short:
        pool.submit(cache.get_or_set, key, lambda: over.wait() and time.sleep(0.08))
    while not all(cache._lease_peek(key) for key in short):
        time.sleep(0.001)
    try:
        return str(cache.get_or_set(mine, compute, timeout=TIMEOUT))
    except LockError:
        return "LockError"


def test_a_circle_is_found_where_other_waits_have_ended(
    cache: FastMmap, path: str
) -> None:
    keys = ("a", "b"), ("b", "a")
    crowd = [Scenario(cross_with_many, path, *pair) for pair in keys]
    for one in crowd:
        assert one.hear() == "computing"
    for one in crowd:
        one.tell("go on")
    found = []
    for one in crowd:
        with one:
            found.append(one.result())
    assert sorted(found) == ["", "LockError"]
