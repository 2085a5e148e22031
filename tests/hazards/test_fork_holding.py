"""fork() while a page is held: by another thread, or by the forking one.

A page belongs to the process that took it. The child has a copy of the
object but not of the page: it waits for its parent, like anybody else.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from support import run_scenario

from fastmmap import KEEP, FastMmap, LockError, LockTimeout, Store

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
        if not codes:
            other.append(FastMmap(path, lock_timeout=0.3))
            codes.append(exit_code(start_child(lambda: expect_timeout(other[0]))))
        return "new"

    holding(path, how, inside)()
    assert os.getpid() == main
    # What is dirty makes room for nothing unless it can be written.
    options: dict[str, Any] = {"lock_timeout": 5}
    if how == "write_cb":
        options["write_cb"] = lambda *_: None
    with FastMmap(path, **options) as cache:
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


# ------------------------------------------- the child's way out is a LockError


class Forking:
    """A value that forks while it is pickled."""

    def __init__(self, fork: Callable[[], object]) -> None:
        self.fork = fork

    def __reduce__(self) -> tuple[Any, ...]:
        self.fork()
        return str, ("pickled",)


class Lifetime(timedelta):
    """A lifetime that forks while it is read."""

    fork: Callable[[], object]

    def __truediv__(self, other: Any) -> Any:
        self.fork()
        return super().__truediv__(other)


def forking_lifetime(fork: Callable[[], object]) -> Lifetime:
    lifetime = Lifetime(seconds=100)
    lifetime.fork = fork
    return lifetime


def ways_in(cache: FastMmap, fork: Callable[[], object]) -> dict[str, Any]:
    """Return what forks while the page of "key" is held."""

    def assign(value: object) -> None:
        with cache.lock("key") as item:
            item.value = value

    def in_block(use: Callable[[Any], object]) -> None:
        with cache.lock("key") as item:
            fork()
            use(item)

    def func(value: object) -> Callable[..., Any]:
        def give(*_: object) -> object:
            fork()
            return value

        return give

    def fill() -> None:
        for number in range(2000):
            cache.get_and_set(f"n {number}", lambda *_: "x" * 500)

    lifetime = forking_lifetime(fork)
    return {
        "block": lambda: in_block(lambda item: None),
        "block, assigned": lambda: in_block(lambda item: item.set("new")),
        "block, removed": lambda: in_block(lambda item: item.remove()),
        "block, pickled": lambda: assign(Forking(fork)),
        "func": lambda: cache.get_and_set("key", func("new")),
        "func, large": lambda: cache.get_and_set("key", func("x" * 90_000)),
        "func, KEEP": lambda: cache.get_and_set("key", func(KEEP)),
        "func, Store": lambda: cache.get_and_set("key", func(Store("new", 9))),
        "pickled": lambda: cache.get_and_set("key", lambda *_: Forking(fork)),
        "lifetime": lambda: cache.get_and_set("key", lambda *_: Store(1, lifetime)),
        "read_cb": lambda: cache.get("absent"),
        "read_cb, nothing": lambda: cache.get("absent nothing"),
        "write_cb": fill,
    }


WAYS = (
    "block",
    "block, assigned",
    "block, removed",
    "block, pickled",
    "func",
    "func, large",
    "func, KEEP",
    "func, Store",
    "pickled",
    "lifetime",
    "read_cb",
    "read_cb, nothing",
    "write_cb",
)


def leave_as_a_child(path: str, way: str, start: str) -> list[object]:
    """Fork with the page held; let child, grandchild and parent go on."""
    main = os.getpid()
    pids: list[int] = []
    armed = threading.Event()

    def fork() -> None:
        if not armed.is_set() or os.getpid() != main:
            return
        armed.clear()
        pids.append(os.fork())
        if pids[-1] == 0 and start == "grandchild":
            grandchild = os.fork()
            if grandchild > 0:
                os._exit(exit_code(grandchild))

    def read(_: object, key: str) -> object:
        fork()
        return None if "nothing" in key else "read"

    cache = FastMmap(
        path,
        cache_size="256k",
        page_size="64k",
        read_cb=read,
        write_cb=lambda *_: fork(),
        write_action="write_back",
        cache_not_found=True,
        lock_timeout=10,
    )
    cache.set("key", "old")
    armed.set()
    outcome = "stored"
    try:
        ways_in(cache, fork)[way]()
    except LockError as error:
        outcome = "LockError" if "forked" in str(error) else str(error)
    if os.getpid() != main:
        usable = cache.set("by child", 1) and cache.get("by child") == 1
        with cache.lock("key") as item:
            item.value = "by child"
        os._exit({"LockError": 7}.get(outcome, 8) if usable else 9)
    codes = [exit_code(pid) for pid in pids]
    return [codes, outcome, cache.check().ok]


@pytest.mark.parametrize("way", WAYS)
def test_a_child_leaves_what_it_was_born_in_by_a_lock_error(
    path: str, way: str
) -> None:
    assert run_scenario(leave_as_a_child, path, way, "child") == [[7], "stored", True]


@pytest.mark.parametrize("way", ["block, assigned", "func", "read_cb", "write_cb"])
def test_so_does_a_child_of_that_child(path: str, way: str) -> None:
    result = run_scenario(leave_as_a_child, path, way, "grandchild")
    assert result == [[7], "stored", True]


def leave_by_an_exception(path: str, how: str) -> list[object]:
    """The child's own exception reaches it, and nothing is stored."""
    cache = FastMmap(path, lock_timeout=10, **PAGE)
    cache.set("key", "old")
    main = os.getpid()
    pids: list[int] = []

    def work(*_: object) -> object:
        pids.append(os.fork())
        if pids[-1] == 0:
            raise KeyError("mine")
        return "by the parent"

    try:
        if how == "func":
            cache.get_and_set("key", work)
        else:
            with cache.lock("key") as item:
                item.value = "by the child"
                item.value = work()
    except KeyError as error:
        assert os.getpid() != main
        os._exit(7 if error.__context__ is None else 8)
    return [exit_code(pids[0]), cache["key"]]


@pytest.mark.parametrize("how", ["func", "block"])
def test_an_exception_of_the_child_stays_what_it_is(path: str, how: str) -> None:
    assert run_scenario(leave_by_an_exception, path, how) == [7, "by the parent"]


def use_the_same_item(path: str) -> list[object]:
    """A lock object that was inherited inside its block can be entered anew."""
    cache = FastMmap(path, **PAGE)
    item = cache.lock("key")
    numbers: list[int] = []

    def increment() -> None:
        with item as own:
            own.value = (own.value or 0) + 1

    with item:
        pid = start_child(lambda: [increment() for _ in range(10)])
        numbers.append(pid)
    for _ in range(10):
        increment()
    return [exit_code(pid), cache["key"]]


def test_an_inherited_item_waits_for_its_parents_block(path: str) -> None:
    assert run_scenario(use_the_same_item, path) == [0, 20]


def work_in_a_pool(path: str) -> list[object]:
    """multiprocessing forks inside a block; its child goes on with the cache."""
    import multiprocessing

    context = multiprocessing.get_context("fork")
    cache = FastMmap(path, lock_timeout=10, cache_size="1m")
    with cache.lock("key") as item:
        process = context.Process(target=fill_some, args=(cache,))
        process.start()
        item.value = "by the parent"
    process.join()
    return [process.exitcode, cache["key"], len(cache)]


def fill_some(cache: FastMmap) -> None:
    for number in range(100):
        cache.set(str(number), number)
        cache.get_and_set("sum", lambda *_: 1)


def test_a_multiprocessing_child_born_inside_a_block(path: str) -> None:
    assert run_scenario(work_in_a_pool, path) == [0, "by the parent", 102]


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
from fastmmap import KEEP, FastMmap, LockError, LockTimeout, Store
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
