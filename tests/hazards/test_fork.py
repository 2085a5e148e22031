"""One object made before fork() and used in the children."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from support import run_scenario

from fastmmap import FastMmap

PAGE: dict[str, Any] = {"page_size": "64k", "num_pages": 1}


def in_child(work: Callable[[], object]) -> int:
    """Run `work` in a forked child and return its exit code."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def share_with_child(path: str) -> list[object]:
    cache = FastMmap(path, cache_size="512k")
    cache.set("from parent", 1)

    def work() -> None:
        assert cache.get("from parent") == 1
        assert cache.set("from child", [2])

    return [in_child(work), cache.get("from child")]


@pytest.mark.quick
def test_parent_and_child_see_each_other(path: str) -> None:
    assert run_scenario(share_with_child, path) == [0, [2]]


def share_private_with_child() -> list[object]:
    with FastMmap(cache_size="512k") as cache:
        return [in_child(lambda: cache.set("key", 1)), cache.get("key")]


def test_a_private_cache_is_shared_by_fork() -> None:
    assert run_scenario(share_private_with_child) == [0, 1]


def close_in_child(path: str) -> list[object]:
    cache = FastMmap(path, cache_size="512k", empty_on_exit=True)
    cache.set("key", 1)
    code = in_child(cache.close)
    return [code, os.path.exists(path), cache.get("key")]


def test_close_in_a_child_leaves_the_parents_cache_alone(path: str) -> None:
    assert run_scenario(close_in_child, path) == [0, True, 1]


def fork_in_lock(path: str) -> list[object]:
    """Fork while a page is held: the child owns nothing, the parent all."""
    cache = FastMmap(path, **PAGE)
    cache.set("key", "old")
    with cache.lock("key") as item:
        item.value = "parent"
        pid = os.fork()
        if pid == 0:
            item.value = "child"
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return [cache.get("key"), cache.set("other", 1)]


def test_a_fork_inside_a_lock_block(path: str) -> None:
    """The child may fail on leaving the block, but must write nothing."""
    assert run_scenario(fork_in_lock, path) == ["parent", True]


def child_leaves_lock_first(path: str) -> list[object]:
    cache = FastMmap(path, lock_timeout=0.2, **PAGE)
    cache.set("key", "old")
    with cache.lock("key") as item:
        code = in_child(lambda: item.__exit__(None, None, None))
        # The page must still be the parent's: another process must not get it.
        other = in_child(lambda: FastMmap(path, lock_timeout=0.2).set("key", "taken"))
        item.value = "parent"
    return [code in (0, 1), other, cache.get("key")]


def test_a_child_does_not_unlock_its_parents_page(path: str) -> None:
    assert run_scenario(child_leaves_lock_first, path) == [True, 1, "parent"]


def fork_in_function(path: str) -> list[object]:
    cache = FastMmap(path, **PAGE)
    cache.set("key", "old")
    main = os.getpid()

    def function(key: Any, value: object, entry: object) -> str:
        os.fork()
        return "parent" if os.getpid() == main else "child"

    outcome = "stored"
    try:
        cache.get_and_set("key", function)
    except RuntimeError as error:
        outcome = type(error).__name__
    if os.getpid() != main:
        os._exit(0 if outcome == "LockError" else 1)
    code = os.waitstatus_to_exitcode(os.wait()[1])
    return [outcome, code, cache.get("key")]


def test_a_fork_inside_get_and_set_stores_once(path: str) -> None:
    assert run_scenario(fork_in_function, path) == ["stored", 0, "parent"]


def use_in_child_of_lock(path: str) -> list[object]:
    """A child born inside the parent's block waits like any other process."""
    cache = FastMmap(path, **PAGE)
    ready, go = os.pipe()
    with cache.lock("key") as item:
        pid = os.fork()
        if pid == 0:
            os.close(go)
            with FastMmap(path) as own:
                os.read(ready, 1)
                own.set("child", 1)
            os._exit(0)
        item.value = 1
    os.close(go)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return [code, cache.get("child"), cache.get("key")]


def test_a_child_born_inside_a_lock_block_can_use_the_cache(path: str) -> None:
    assert run_scenario(use_in_child_of_lock, path) == [0, 1, 1]


def fork_beside_threads(path: str) -> list[int]:
    """Fork while other threads are in the middle of operations."""
    cache = FastMmap(path, cache_size="256k")
    stop = threading.Event()

    def hammer(name: int) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            cache.set(f"{name} {number % 300}", b"x" * 300)
            cache.get(f"{name} {number % 200}")

    threads = [threading.Thread(target=hammer, args=(name,)) for name in range(3)]
    for thread in threads:
        thread.start()

    def work() -> None:
        for number in range(300):
            assert cache.set(f"child {number}", number)
            assert cache.get(f"child {number}", number) == number

    codes = [in_child(work) for _ in range(15)]
    stop.set()
    for thread in threads:
        thread.join()
    return codes


def test_a_fork_beside_busy_threads(path: str) -> None:
    assert run_scenario(fork_beside_threads, path) == [0] * 15


def read_beside_writer(path: str) -> int:
    """Read large values while a child overwrites and evicts them."""
    cache = FastMmap(path, serializer="raw", **PAGE)
    writer = os.fork()
    if writer == 0:
        number = 0
        while True:
            number += 1
            letter = b"abcdefgh"[number % 8 : number % 8 + 1]
            cache.set(f"key {number % 7}", letter * 15_000)
    torn = 0
    for number in range(60_000):
        value = cache.get(f"key {number % 7}") or b"a"
        torn += value.count(value[:1]) != len(value)
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
    return torn


def test_no_reader_sees_half_a_value_of_another_process(path: str) -> None:
    assert run_scenario(read_beside_writer, path) == 0


def grandchildren(path: str) -> int:
    cache = FastMmap(path, cache_size="512k")

    def child() -> None:
        cache.incr("n")
        assert in_child(lambda: cache.incr("n")) == 0

    for _ in range(5):
        assert in_child(child) == 0
    return int(cache.get("n"))


def test_grandchildren_use_it_too(path: str) -> None:
    assert run_scenario(grandchildren, path) == 10


def child_outlives_parent(path: str) -> bool:
    """Return True in the parent; the child goes on alone."""
    cache = FastMmap(path, cache_size="512k", unlink_on_exit=False)
    ready, go = os.pipe()
    if os.fork() == 0:
        os.close(go)
        os.setsid()
        signal.alarm(30)
        sys.stdout.close()
        os.close(1)
        os.read(ready, 1)
        cache.set("from the orphan", 1)
        os._exit(0)
    return True


def test_a_child_goes_on_when_its_parent_is_gone(path: str) -> None:
    assert run_scenario(child_outlives_parent, path) is True
    with FastMmap(path, unlink_on_exit=True) as cache:
        wait = threading.Event()
        for _ in range(200):
            if cache.get("from the orphan"):
                return
            wait.wait(0.05)
    raise AssertionError("the orphan stored nothing")
