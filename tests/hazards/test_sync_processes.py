"""Locks and their like among processes, some of which are killed."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest
from support import LONG, Scenario, heard, run_scenario, say

from fastmmap import FastMmap, LockError
from fastmmap.sync import (
    Counter,
    Event,
    Lock,
    LockLost,
    RateLimiter,
    RLock,
    Semaphore,
    wait_for_key,
)
from fastmmap.testing import time_travel

CROWD = 8
PF_EXITING = 0x4  # of the kernel: a task that is on its way out
KILLS = 12  # at the least, however slow the machine is
KINDS = {"Lock": Lock, "RLock": RLock, "Semaphore": Semaphore}


def hold(path: str, kind: str) -> str:
    with KINDS[kind](FastMmap(path), "a"):
        say("held")
        heard()
    return "released"


@pytest.mark.quick
@pytest.mark.parametrize("kind", KINDS)
def test_a_lock_excludes_other_processes(cache: FastMmap, path: str, kind: str) -> None:
    lock = KINDS[kind](cache, "a")
    with Scenario(hold, path, kind) as holder:
        assert holder.hear() == "held"
        assert lock.locked() and not lock.acquire(False)
        with pytest.raises((LockError, ValueError), match="held"):
            lock.release()
        holder.tell("release")
        assert lock.acquire(timeout=30)
        assert holder.result() == "released"


@pytest.mark.quick
@pytest.mark.parametrize("kind", KINDS)
def test_a_lock_is_free_when_its_holder_is_killed(
    cache: FastMmap, path: str, kind: str
) -> None:
    lock = KINDS[kind](cache, "a")
    when = []

    def wait() -> None:
        lock.acquire()
        when.append(time.monotonic())

    with Scenario(hold, path, kind) as holder:
        assert holder.hear() == "held"
        waiter = threading.Thread(target=wait, daemon=True)
        waiter.start()
        waiter.join(0.2)
        assert not when
        killed = time.monotonic()
        holder.kill()
        waiter.join(30)
    assert when[0] - killed < 1


def test_a_stopped_holder_keeps_its_lock_until_its_time_is_over(
    cache: FastMmap, path: str
) -> None:
    lock = Lock(cache, "a")
    with Scenario(hold_for_a_minute, path) as holder:
        assert holder.hear() == "held"
        holder.send(signal.SIGSTOP)
        assert not lock.acquire(timeout=0.2)
        with time_travel(61):
            assert lock.acquire(timeout=20)
        holder.send(signal.SIGCONT)
        holder.tell("go on")
        assert holder.result() == "lost"
    assert lock.locked()


def hold_for_a_minute(path: str) -> str:
    try:
        with Lock(FastMmap(path), "a", lease_time="1m"):
            say("held")
            heard()
    except LockLost:
        return "lost"
    return "released"


# ------------------------------------------------------------------------ forks


def fork_while_holding(path: str) -> list[bool]:
    """Tell whether the child was refused, and the lock outlived it."""
    lock, rlock = Lock(FastMmap(path), "a"), RLock(FastMmap(path), "b")
    lock.acquire()
    rlock.acquire()
    child = os.fork()
    if child == 0:
        refused = 0
        for call in (lock.release, lock.extend, rlock.release):
            with contextlib.suppress(LockError):
                call()
                os._exit(1)
            refused += 1
        if lock.acquire(False) or rlock.acquire(False):
            os._exit(2)
        del lock, rlock, call
        gc.collect()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    held = [lock.locked(), rlock.locked()]
    lock.release()
    rlock.release()
    return [status == 0, *held]


def test_a_forked_child_has_no_lock_of_its_parent(cache: FastMmap, path: str) -> None:
    assert run_scenario(fork_while_holding, path) == [True, True, True]


def die_and_leave_a_child(path: str) -> None:
    lock = Lock(FastMmap(path), "a")
    lock.acquire()
    if os.fork() == 0:
        say("held")
        heard()
        os._exit(0)
    os.waitpid(-1, 0)


def test_a_child_of_a_killed_holder_does_not_keep_its_lock(
    cache: FastMmap, path: str
) -> None:
    with Scenario(die_and_leave_a_child, path) as holder:
        assert holder.hear() == "held"
        lock = Lock(cache, "a")
        assert lock.locked()
        holder.kill()
        assert lock.acquire(timeout=20)


def wait_in_vain(path: str) -> str:
    cache = FastMmap(path)
    with Lock(cache, "a"):
        say("waiting")
        try:
            Lock(cache, "a").acquire()
        except KeyboardInterrupt:
            return "interrupted"
    return "acquired"


def test_ctrl_c_ends_the_waiting_for_a_lock(cache: FastMmap, path: str) -> None:
    with Scenario(wait_in_vain, path, timeout=30) as waiter:
        assert waiter.hear() == "waiting"
        time.sleep(0.2)
        waiter.send(signal.SIGINT)
        assert waiter.result() == "interrupted"


# ------------------------------------------------------------ killed at random


def lives(pid: int) -> bool:
    """Tell whether a process may still run code: the kernel frees its locks before
    it is a zombie."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return False
    return fields[0] not in "ZX" and not int(fields[6]) & PF_EXITING


def enter(cache: FastMmap) -> int:
    """Note who is inside; return how many live ones are."""
    me = os.getpid()

    def step(key: object, value: Any, entry: object) -> list[int]:
        return [*(pid for pid in value or () if lives(pid)), me]

    return len(cache.get_and_set("inside", step).value)


def leave(cache: FastMmap) -> None:
    def step(key: object, value: Any, entry: object) -> list[int]:
        return [pid for pid in value if pid != os.getpid()]

    cache.get_and_set("inside", step)


def use_for_ever(path: str, kind: str, value: int) -> None:
    """Be inside again and again; count there without any other lock."""
    cache = FastMmap(path)
    arguments = () if kind != "Semaphore" else (value,)
    lock = KINDS[kind](cache, "a", *arguments)
    while not cache.get("stop"):
        with lock:
            if enter(cache) > value:
                os._exit(3)
            number = cache.get("number", 0)
            time.sleep(random.uniform(0, 0.001))
            if value == 1:
                cache.set("number", number + 1)
            cache.incr("done")
            leave(cache)


def wait_for(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_at_random(path: str, kind: str, value: int, seconds: float) -> Any:
    """Return the kills, what was counted and done, and how the rest ended."""
    cache, kills = FastMmap(path), 0
    codes: list[int] = []

    def start() -> int:
        child = os.fork()
        if child == 0:
            code = 4
            try:
                use_for_ever(path, kind, value)
                code = 0
            finally:
                os._exit(code)
        return child

    children = [start() for _ in range(CROWD)]
    until = time.monotonic() + seconds
    while time.monotonic() < until or kills < KILLS:
        time.sleep(random.uniform(0, 0.05))
        victim = random.randrange(CROWD)
        os.kill(children[victim], signal.SIGKILL)
        code = wait_for(children[victim])
        if code >= 0:  # it ended by itself, before the kill
            codes.append(code)
        kills += 1
        children[victim] = start()
    cache.set("stop", 1)
    codes += [wait_for(child) for child in children]
    return kills, cache.get("number", 0), cache["done"], codes


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "value"), [("Lock", 1), ("RLock", 1), ("Semaphore", 3)]
)
def test_never_too_many_are_inside_though_some_are_killed(
    cache: FastMmap, path: str, kind: str, value: int
) -> None:
    kills, number, done, codes = run_scenario(
        kill_at_random, path, kind, value, 1.5 * LONG, timeout=120
    )
    assert codes == [0] * CROWD
    assert kills >= KILLS and done > 100
    if value == 1:  # who was killed may have counted, and not got further
        assert done <= number <= done + kills
    assert not KINDS[kind](cache, "a").locked()
    assert cache.check().ok


# ------------------------------------------------- tasks, threads and processes


def count_in_threads_and_tasks(path: str, times: int) -> None:
    cache = FastMmap(path)
    lock = Lock(cache, "shared object")

    def count() -> None:
        cache["number"] = cache.get("number", 0) + 1

    def work_in_thread() -> None:
        for _ in range(times):
            with lock:
                count()

    async def work_in_task() -> None:
        for _ in range(times):
            async with lock:
                before = cache.get("number", 0)
                await asyncio.sleep(0)
                cache["number"] = before + 1

    async def main() -> None:
        await asyncio.gather(*(work_in_task() for _ in range(3)))

    with ThreadPoolExecutor(3) as pool:
        threads = [pool.submit(work_in_thread) for _ in range(2)]
        threads.append(pool.submit(asyncio.run, main()))
        for each in threads:
            each.result()


def test_tasks_threads_and_processes_count_under_one_lock(
    cache: FastMmap, path: str
) -> None:
    crowd = [
        Scenario(count_in_threads_and_tasks, path, 40, timeout=120) for _ in range(3)
    ]
    for one in crowd:
        with one:
            one.result()
    assert cache["number"] == 3 * 5 * 40


def take_all(path: str) -> int:
    """Take tokens until there are none, in threads."""
    limiter = RateLimiter(FastMmap(path), "a", 1, "1w", burst=3000)
    say("ready")
    heard()

    def take() -> int:
        count = 0
        while limiter.take():
            count += 1
        return count

    with ThreadPoolExecutor(2) as pool:
        return sum(each.result() for each in [pool.submit(take) for _ in range(2)])


@pytest.mark.quick
def test_all_processes_together_take_as_many_tokens_as_there_are(
    cache: FastMmap, path: str
) -> None:
    crowd = [Scenario(take_all, path) for _ in range(4)]
    for one in crowd:
        assert one.hear() == "ready"
    for one in crowd:
        one.tell("go")
    total = 0
    for one in crowd:
        with one:
            total += one.result()
    assert total == 3000
    assert RateLimiter(cache, "a", 1, "1w", burst=3000).left() == 0


def take_until_killed(path: str) -> None:
    limiter, cache = (
        RateLimiter(FastMmap(path), "a", 1, "1w", burst=2000),
        FastMmap(path),
    )
    say("ready")
    while limiter.take():
        cache.incr("taken")


def test_a_killed_process_costs_at_most_the_token_that_it_was_taking(
    cache: FastMmap, path: str
) -> None:
    kills = 5
    for _ in range(kills):
        with Scenario(take_until_killed, path) as one:
            one.hear()
            time.sleep(0.005)
            one.kill()
    left = RateLimiter(cache, "a", 1, "1w", burst=2000).left()
    assert 2000 - kills <= left + cache.get("taken", 0) <= 2000


def wait_for_all(path: str) -> list[Any]:
    cache = FastMmap(path)
    say("waiting")
    event = Event(cache, "a").wait(30)
    return [event, wait_for_key(cache, "key", 30), Counter(cache, "a").add()]


def test_events_keys_and_counters_reach_other_processes(
    cache: FastMmap, path: str
) -> None:
    crowd = [Scenario(wait_for_all, path) for _ in range(3)]
    for one in crowd:
        assert one.hear() == "waiting"
    Event(cache, "a").set()
    cache["key"] = "value"
    counts = []
    for one in crowd:
        with one:
            *seen, count = one.result()
            assert seen == [True, "value"]
            counts.append(count)
    assert sorted(counts) == [1, 2, 3] and Counter(cache, "a").value() == 3


def add_slowly(lock: Lock, cache: FastMmap) -> None:
    for _ in range(20):
        with lock:
            number = cache.get("number", 0)
            time.sleep(0.001)
            cache["number"] = number + 1


def spawn_workers(path: str) -> int:
    cache = FastMmap(path)
    context = get_context("spawn")
    arguments = (Lock(cache, "a"), cache)
    workers = [context.Process(target=add_slowly, args=arguments) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    number: int = cache["number"]
    return number


def test_a_lock_can_be_sent_to_processes_that_are_spawned(
    cache: FastMmap, path: str
) -> None:
    assert run_scenario(spawn_workers, path) == 60
