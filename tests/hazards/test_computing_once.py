"""One computation per host, whatever the number of those who want it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from typing import Any

import pytest
from support import LONG, MakeCache, Scenario, another_computes, heard, say

from fastmmap import FastMmap, LockError
from fastmmap.testing import time_travel

PROCESSES = 32
TASKS = 32


def log_call(path: str, what: object) -> None:
    """Note a computation where every process can see it."""
    with open(f"{path}.calls", "a") as file:
        file.write(f"{what}\n")


def calls_of(path: str) -> list[str]:
    with open(f"{path}.calls") as file:
        return file.read().split()


async def want_in_tasks(cache: FastMmap, path: str) -> list[Any]:
    """Want the key in many tasks, through both calls that compute once."""

    async def compute() -> dict[str, int]:
        log_call(path, "call")
        await asyncio.sleep(0.3)
        return {"answer": 42}

    kept = cache.memoize(key=lambda: "key")(compute)
    wanted = [
        kept() if number % 2 else cache.get_or_set("key", compute)
        for number in range(TASKS)
    ]
    return list(await asyncio.gather(*wanted))


def all_want_at_once(path: str) -> int:
    ready, go = os.pipe()
    cache = FastMmap(path)
    children = []
    for _ in range(PROCESSES):
        child = os.fork()
        if child == 0:
            os.close(go)
            os.read(ready, 1)  # until the parent closes its end
            values = asyncio.run(want_in_tasks(cache, path))
            os._exit(0 if values == [{"answer": 42}] * TASKS else 1)
        children.append(child)
    os.close(ready)
    os.close(go)
    return sum(os.waitpid(child, 0)[1] == 0 for child in children)


@pytest.mark.quick
def test_many_processes_with_many_tasks_compute_once(
    cache: FastMmap, path: str
) -> None:
    with Scenario(all_want_at_once, path, timeout=120) as running:
        assert running.result() == PROCESSES
    assert calls_of(path) == ["call"]
    assert cache["key"] == {"answer": 42}


def compute_for_ever(path: str) -> None:
    def compute() -> str:
        say("computing")
        heard()
        return "never"

    FastMmap(path).get_or_set("key", compute)


def compute_at_once(path: str) -> tuple[object, float]:
    """Wait for the one who computes; return the value, and when it was had."""

    def compute() -> str:
        log_call(path, os.getpid())
        time.sleep(0.2)
        return "value"

    say("waiting")
    value = FastMmap(path).get_or_set("key", compute)
    return value, time.time()


@pytest.mark.quick
def test_one_of_those_who_wait_takes_over_from_one_who_is_killed(
    cache: FastMmap, path: str
) -> None:
    with Scenario(compute_for_ever, path) as first:
        assert first.hear() == "computing"
        others = [Scenario(compute_at_once, path) for _ in range(4)]
        for other in others:
            assert other.hear() == "waiting"
        time.sleep(0.3)
        assert all(other.process.poll() is None for other in others)
        killed = time.time()
        first.kill()
        for other in others:
            with other:
                value, when = other.result()
                assert value == "value"
                assert when - killed < 1.2  # of which it computes for 0.2 s
    assert len(calls_of(path)) == 1


def test_one_who_is_stopped_is_waited_for_until_its_time_is_over(
    cache: FastMmap, path: str
) -> None:
    def compute() -> str:
        return "mine"

    with Scenario(compute_for_ever, path) as first:
        assert first.hear() == "computing"
        first.send(signal.SIGSTOP)
        with pytest.raises(TimeoutError):
            cache.get_or_set("key", compute, timeout=0.2)
        with time_travel(61):
            assert cache.get_or_set("key", compute, timeout=20) == "mine"
        first.send(signal.SIGCONT)
        first.tell("go on")
        assert first.exit_code() == 0
    assert cache["key"] == "mine"  # what came late was refused


@pytest.mark.parametrize("seconds", [-0.5, -3600, -86_000, 59])
def test_a_clock_that_jumps_within_the_lease_lets_nobody_else_compute(
    cache: FastMmap, path: str, seconds: float
) -> None:
    with Scenario(compute_late, path) as running:
        assert running.hear() == "computing"
        with time_travel(seconds), pytest.raises(TimeoutError):
            cache.get_or_set("key", "mine", timeout=0.1)
        running.tell("go on")
        assert running.result() == "stale"
        assert cache["key"] == "stale"


@pytest.mark.parametrize("seconds", [61, 10**9, -3 * 86_400])
def test_a_clock_that_jumps_beyond_the_lease_costs_a_computation_and_no_more(
    cache: FastMmap, path: str, seconds: float
) -> None:
    with Scenario(compute_late, path) as running:
        assert running.hear() == "computing"
        with time_travel(seconds):
            assert cache.get_or_set("key", "mine", timeout=20) == "mine"
        running.tell("go on")
        assert running.result() == "stale"  # its caller has it all the same
        assert cache["key"] == "mine"


def compute_late(path: str) -> object:
    def compute() -> str:
        say("computing")
        heard()
        return "stale"

    return FastMmap(path).get_or_set("key", compute)


@pytest.mark.quick
@pytest.mark.parametrize("invalidation", ["remove", "set", "tombstone", "clear"])
def test_what_was_computed_before_an_invalidation_is_never_stored(
    cache: FastMmap, path: str, invalidation: str
) -> None:
    with Scenario(compute_late, path) as running:
        assert running.hear() == "computing"
        if invalidation == "set":
            cache.set("key", "newer")
        elif invalidation == "clear":
            cache.clear()
        else:
            modseq = 1 if invalidation == "tombstone" else None
            cache.remove("key", modseq=modseq)
        running.tell("go on")
        assert running.result() == "stale"
    assert cache.get("key") == ("newer" if invalidation == "set" else None)


@pytest.mark.long
def test_invalidations_beside_computations_leave_nothing_stale(
    make_cache: MakeCache,
) -> None:
    cache = make_cache(page_size="64k", num_pages=1)
    source = [0, 0]  # what it is now, and what every reader must see by now
    stop, stale = threading.Event(), []

    def compute() -> int:
        value = source[0]
        time.sleep(0.0005)
        return value

    def read() -> None:
        while not stop.is_set():
            least = source[1]
            if cache.get_or_set("key", compute) < least:
                stale.append(1)

    readers = [threading.Thread(target=read) for _ in range(6)]
    for reader in readers:
        reader.start()
    until = time.monotonic() + LONG
    while time.monotonic() < until:
        source[0] += 1
        cache.remove("key")
        source[1] = source[0]
        time.sleep(0.0003)
    stop.set()
    for reader in readers:
        reader.join(30)
    assert not stale and source[0] > 100


async def want_all(cache: FastMmap, path: str, keys: int) -> int:
    async def compute(number: int) -> int:
        log_call(path, number)
        await asyncio.sleep(0.01)
        return number

    kept = cache.memoize(name="compute")(compute)
    return sum(await asyncio.gather(*(kept(number) for number in range(keys))))


def want_many_keys(path: str, keys: int) -> int:
    return asyncio.run(want_all(FastMmap(path), path, keys))


@pytest.mark.long
def test_thousands_of_keys_at_once_are_computed_once_each(
    make_cache: MakeCache, path: str
) -> None:
    keys = 3_000 * LONG
    make_cache(cache_size="16m")
    crowd = [Scenario(want_many_keys, path, keys, timeout=150) for _ in range(3)]
    for one in crowd:
        with one:
            assert one.result() == sum(range(keys))
    assert sorted(map(int, calls_of(path))) == list(range(keys))


def compute_in_a_fork(path: str, way: str, end: str) -> list[object]:
    """A child is forked by one who computes, and leaves the computation."""
    cache, ended = FastMmap(path), "?"

    def compute() -> str:
        nonlocal ended
        child = os.fork()
        if child == 0:
            if end == "exit":
                sys.exit(0)
            return "of the child"
        ended = "cleanly" if os.waitpid(child, 0)[1] == 0 else "otherwise"
        assert cache._lease_peek("key") is not None
        return "of the parent"

    async def compute_async() -> str:
        return compute()

    main = os.getpid()
    try:
        if way == "get_or_set":
            value = cache.get_or_set("key", compute)
        elif way == "memoize":
            value = cache.memoize(key=lambda: "key")(compute)()
        else:
            value = asyncio.run(cache.get_or_set("key", compute_async))
    except BaseException as error:
        if os.getpid() == main:
            raise
        clear = isinstance(error, LockError) and "forked" in str(error)
        os._exit(0 if isinstance(error, SystemExit) or clear else 1)
    return [value, cache["key"], ended]


@pytest.mark.parametrize("end", ["exit", "return"])
@pytest.mark.parametrize("way", ["get_or_set", "memoize", "async"])
def test_a_child_that_is_forked_in_a_computation_has_no_part_in_it(
    cache: FastMmap, path: str, way: str, end: str
) -> None:
    with Scenario(compute_in_a_fork, path, way, end) as running:
        assert running.result() == ["of the parent", "of the parent", "cleanly"]


def test_a_file_that_is_replaced_meanwhile_gets_nothing_old(
    make_cache: MakeCache, path: str
) -> None:
    cache = make_cache()

    def compute() -> str:
        make_cache(init_file=True, cache_size="512k")
        return "old"

    assert cache.get_or_set("key", compute) == "old"
    assert "key" not in cache
    assert cache.get_or_set("key", lambda: "new") == "new"


def interrupted(path: str) -> str:
    cache = FastMmap(path)

    def compute() -> str:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(30)
        return "never"

    try:
        cache.get_or_set("key", compute)
    except KeyboardInterrupt:
        return str(cache.get_or_set("key", "after"))
    return "not interrupted"


def test_ctrl_c_gives_the_lease_back(cache: FastMmap, path: str) -> None:
    with Scenario(interrupted, path) as running:
        assert running.result() == "after"


def wait_until_interrupted(path: str) -> float:
    cache = FastMmap(path)
    lease = another_computes(cache)
    main = threading.main_thread().ident
    assert main is not None
    threading.Timer(0.2, signal.pthread_kill, [main, signal.SIGINT]).start()
    began = time.monotonic()
    try:
        cache.get_or_set("key", 1)
    except KeyboardInterrupt:
        return time.monotonic() - began
    return -1.0 if lease.token else -2.0


def test_ctrl_c_ends_the_waiting(cache: FastMmap, path: str) -> None:
    with Scenario(wait_until_interrupted, path) as running:
        assert 0 < running.result() < 10
