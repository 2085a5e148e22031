"""fork() while a page is held: by another thread, or by the forking one.

A page belongs to the process that took it. The child has a copy of the
object but not of the page: it waits for its parent, like anybody else.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
from support import run_scenario

from fastmmap import FastMmap, LockTimeout

PAGE: dict[str, Any] = {"page_size": "64k", "num_pages": 1}
HOLDERS = ["lock", "get_and_set", "read_cb", "write_cb"]


def start_child(work: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return pid


def exit_code(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def expect_timeout(cache: FastMmap) -> None:
    assert cache.get("key") == "old"
    try:
        cache.set("other", 1)
    except LockTimeout:
        return
    raise AssertionError("the parent's page was to be had")


def holding(path: str, how: str, inside: Callable[[], Any]) -> Callable[[], object]:
    """Return what runs `inside()` with the page of "key" held."""

    def call(*_: object) -> Any:
        return inside()

    options: dict[str, Any] = {"lock_timeout": 0.3, **PAGE}
    if how in ("read_cb", "write_cb"):
        options[how] = call
    if how == "write_cb":
        options["write_action"] = "write_back"
    cache = FastMmap(path, **options)
    cache.set("key", "old")

    def lock() -> None:
        with cache.lock("held") as item:
            item.value = inside()

    def write() -> None:
        """Fill the page, until a store that holds it needs room."""
        for number in range(2000):
            cache.get_and_set(f"n {number}", lambda *_: "x" * 500)

    return {
        "lock": lock,
        "get_and_set": lambda: cache.get_and_set("held", call),
        "read_cb": lambda: cache.get("held"),
        "write_cb": write,
    }[how]


def fork_beside_a_holder(path: str, how: str) -> list[int]:
    """Fork from the main thread while another one is inside."""
    entered, leave = threading.Event(), threading.Event()

    def inside() -> str:
        entered.set()
        leave.wait(20)
        return "new"

    thread = threading.Thread(target=holding(path, how, inside))
    thread.start()
    entered.wait(20)
    own = FastMmap(path, lock_timeout=0.3)
    early = exit_code(start_child(lambda: own.get("none") or own.get("key")))
    refused = exit_code(start_child(lambda: expect_timeout(own)))
    patient = FastMmap(path)
    waiting = start_child(lambda: patient.set("from child", 1))
    leave.set()
    thread.join(20)
    return [early, refused, exit_code(waiting), int(own.check().ok)]


@pytest.mark.parametrize("how", ["lock", "get_and_set", "read_cb"])
def test_a_child_waits_for_a_thread_of_its_parent(path: str, how: str) -> None:
    assert run_scenario(fork_beside_a_holder, path, how) == [0, 0, 0, 1]


def fork_beside_a_holder_of_the_same_object(path: str) -> list[object]:
    """The child's copy of the very object in use works, too."""
    cache = FastMmap(path, lock_timeout=0.3, **PAGE)
    cache.set("key", "old")
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with cache.lock("held") as item:
            entered.set()
            leave.wait(20)
            item.value = "new"

    def work() -> None:
        expect_timeout(cache)
        # Another thread may get the number of the one that held the page.
        threads = [threading.Thread(target=expect_timeout, args=(cache,))]
        for thread in threads:
            thread.start()
            thread.join()
        cache.close()

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait(20)
    code = exit_code(start_child(work))
    leave.set()
    thread.join(20)
    after = exit_code(start_child(lambda: cache.set("other", 1)))
    return [code, after, cache.get("held"), cache.get("other")]


def test_the_copy_of_an_object_that_another_thread_uses(path: str) -> None:
    result = run_scenario(fork_beside_a_holder_of_the_same_object, path)
    assert result == [0, 0, "new", 1]


def fork_inside(path: str, how: str) -> list[int]:
    """The forking thread holds the page: child and parent both go on."""
    codes: list[int] = []
    main = os.getpid()
    other: list[FastMmap] = []

    def inside() -> str:
        other.append(FastMmap(path, lock_timeout=0.3))
        if not codes:
            codes.append(exit_code(start_child(lambda: expect_timeout(other[0]))))
        return "new"

    holding(path, how, inside)()
    assert os.getpid() == main
    with FastMmap(path, lock_timeout=5) as cache:
        free = cache.set("after", 1)
        return [*codes, int(free), int(cache.check().ok)]


@pytest.mark.parametrize("how", HOLDERS)
def test_a_child_born_while_its_thread_held_the_page(path: str, how: str) -> None:
    assert run_scenario(fork_inside, path, how) == [0, 1, 1]


def child_returns(path: str, how: str) -> list[object]:
    """Fork inside, and let the child return from there, as if it held it."""
    main = os.getpid()

    def inside() -> str:
        if os.getpid() == main:
            pids.append(os.fork())
            if pids[-1] > 0:
                return "by the parent"
        return "by the child"

    pids: list[int] = []
    work = holding(path, how, inside)
    try:
        work()
    except (RuntimeError, TimeoutError):
        pass  # a child cannot store what it has no page for
    if os.getpid() != main:
        os._exit(7)
    codes = [exit_code(pid) for pid in pids]
    with FastMmap(path, lock_timeout=5) as cache:
        values = [value for value in cache.values() if value == "by the child"]
        free = cache.set("after", 1)
        return [set(codes), values, free, cache.check().ok]


@pytest.mark.parametrize("how", ["lock", "get_and_set", "read_cb"])
def test_a_child_that_returns_from_there_stores_nothing(path: str, how: str) -> None:
    assert run_scenario(child_returns, path, how) == [{7}, [], True, True]


def fork_while_iterating(path: str) -> list[object]:
    """Both go on with their own copy of the iterator."""
    cache = FastMmap(path, page_size="4k", num_pages=8)
    cache.set_many({str(number): number for number in range(100)})
    seen: list[Any] = []
    pid = -1
    for key in cache:
        if len(seen) == 10 and pid < 0:
            pid = os.fork()
        seen.append(key)
    whole = len(seen) == len(set(seen)) == len(cache)
    if pid == 0:
        os._exit(0 if whole and cache.set("from child", 1) else 1)
    return [whole, exit_code(pid), cache.get("from child")]


def test_a_fork_in_the_middle_of_an_iteration(path: str) -> None:
    assert run_scenario(fork_while_iterating, path) == [True, 0, 1]


def fork_beside_waiters(path: str) -> list[object]:
    """Fork while threads wait inside the core, the interpreter released."""
    cache, holder = FastMmap(path, **PAGE), FastMmap(path)
    results: list[bool] = []

    def wait(number: int) -> None:
        results.append(cache.set(f"key {number}", number))

    threads = [threading.Thread(target=wait, args=(n,)) for n in range(3)]
    with holder.lock("key"):
        for thread in threads:
            thread.start()
        pids = [start_child(lambda: cache.set("from child", 1)) for _ in range(3)]
    for thread in threads:
        thread.join(20)
    return [[exit_code(pid) for pid in pids], results, cache.get("from child")]


def test_a_fork_beside_threads_that_wait(path: str) -> None:
    assert run_scenario(fork_beside_waiters, path) == [[0] * 3, [True] * 3, 1]


def wait_for_program(path: str) -> int:
    """Start another program that opens the file while a page is held."""
    import subprocess
    import sys

    source = """
import sys
from fastmmap import FastMmap, LockTimeout
cache = FastMmap(sys.argv[1], lock_timeout=0.3)
assert cache.get("key") == "old"
try:
    cache.set("other", 1)
except LockTimeout:
    sys.exit(3)
"""
    cache = FastMmap(path, **PAGE)
    cache.set("key", "old")
    with cache.lock("key"):
        return subprocess.run(
            [sys.executable, "-c", source, path],
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        ).returncode


def test_a_program_started_inside_a_lock_block_waits_like_any_other(path: str) -> None:
    assert run_scenario(wait_for_program, path) == 3
