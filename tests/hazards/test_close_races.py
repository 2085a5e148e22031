"""close() while other threads are inside any operation, or user code is."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from support import LONG, OPERATIONS, run_scenario, say

from fastmmap import ClosedError, FastMmap

PAGE: dict[str, Any] = {"page_size": "64k", "num_pages": 1}
ROUNDS = 1 + LONG


def maps_of(path: str) -> int:
    """Count this process's maps of a file, whatever its name is now.

    A file that was made here shows as "#NUMBER (deleted)" of its directory,
    for it had no name yet when it was mapped.
    """
    with open("/proc/self/maps") as maps:
        return sum(os.path.dirname(path) in line for line in maps)


def repeat_until_closed(cache: FastMmap, use: Callable[[FastMmap], object]) -> str:
    while True:
        try:
            result = use(cache)
            if hasattr(result, "__exit__"):
                result.__exit__(None, None, None)
        except ClosedError:
            return "closed"
        except KeyError:
            continue  # another thread has just removed it
        except Exception as error:
            return repr(error)


def enter_and_leave(cache: FastMmap) -> None:
    with cache.lock("key") as item:
        item.value = 1


def close_beside_each(path: str) -> list[str]:
    """Let two threads repeat each operation until they hear of the close."""
    wrong: list[str] = []
    uses = {**OPERATIONS, "lock": enter_and_leave}
    for name, use in sorted(uses.items()):
        say(name)
        for turn in range(ROUNDS):
            cache = FastMmap(path, page_size="16k", num_pages=4)
            cache.set_many({"key": 1, **{str(n): b"x" * 99 for n in range(60)}})
            heard: list[str] = []

            def run(
                cache: FastMmap = cache, use: Any = use, heard: Any = heard
            ) -> None:
                heard.append(repeat_until_closed(cache, use))

            threads = [threading.Thread(target=run) for _ in range(2)]
            for thread in threads:
                thread.start()
            time.sleep(0.001 * turn)
            cache.close()
            for thread in threads:
                thread.join()
            if heard != ["closed", "closed"] or maps_of(path):
                wrong.append(f"{name}: {heard}, {maps_of(path)} maps left")
    return wrong


@pytest.mark.long
def test_close_beside_each_operation_is_a_closed_error_and_unmaps(path: str) -> None:
    assert run_scenario(close_beside_each, path) == []


def close_beside_a_holder(path: str, how: str) -> list[object]:
    """Close while another thread's code runs with the page held."""
    cache = FastMmap(path, unlink_on_exit=False, **PAGE)
    cache.set("key", "old")
    inside, leave = threading.Event(), threading.Event()
    outcome: list[object] = []

    def pause(*_: object) -> str:
        inside.set()
        leave.wait(20)
        return "new"

    def hold() -> None:
        try:
            if how == "lock":
                with cache.lock("key") as item:
                    item.value = pause()
            else:
                cache.get_and_set("key", pause)
            outcome.append("stored")
        except ClosedError:
            outcome.append("closed")

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(20)
    cache.close()
    leave.set()
    thread.join(20)
    # Whatever became of the value, the page is free and the file unmapped.
    with FastMmap(path, lock_timeout=10) as other:
        value = other.get("key")
        stored = other.set("key", "newer")
    expected = "new" if outcome == ["stored"] else "old"
    return [len(outcome), value == expected, stored, maps_of(path)]


@pytest.mark.parametrize("how", ["lock", "get_and_set"])
def test_close_while_another_thread_holds_a_page(path: str, how: str) -> None:
    assert run_scenario(close_beside_a_holder, path, how) == [1, True, True, 0]


def close_inside(path: str, where: str) -> list[object]:
    """Another thread closes the cache while user code runs inside it."""
    caches: list[FastMmap] = []

    def close_it(*_: object) -> Any:
        thread = threading.Thread(target=caches[0].close)
        thread.start()
        thread.join(20)
        return None

    options: dict[str, Any] = {"write_cb": close_it, "read_cb": close_it}
    options["allow_recursive"] = where.endswith("recursive")
    if where.startswith("write_back"):
        options["write_action"] = "write_back"
    caches.append(FastMmap(path, unlink_on_exit=False, **PAGE, **options))
    cache = caches[0]
    with contextlib.suppress(ClosedError):
        if where.startswith("read"):
            cache.get("absent")
        else:
            cache.set("key", 1)
            cache.expire("key")
    with FastMmap(path, lock_timeout=10) as other:
        stored = other.set("key", 2)
    return [cache.closed, stored, maps_of(path)]


@pytest.mark.parametrize(
    "where",
    ["read", "read, recursive", "write", "write_back", "write_back, recursive"],
)
def test_close_by_another_thread_during_a_callback(path: str, where: str) -> None:
    assert run_scenario(close_inside, path, where) == [True, True, 0]


def close_while_following(path: str) -> str:
    """Close while another thread waits to open the file that has the name now."""
    cache = FastMmap(path, **PAGE)
    FastMmap(path, init_file=True, **PAGE).close()
    with open(f"{path}.other", "wb") as other:
        other.write(b"this is no cache")
        other.flush()
        fcntl.lockf(other, fcntl.LOCK_EX)  # whoever opens it waits for that
        os.replace(other.name, path)
        with ThreadPoolExecutor(1) as pool:
            heard = pool.submit(repeat_until_closed, cache, OPERATIONS["get"])
            time.sleep(0.2)
            cache.close()
            fcntl.lockf(other, fcntl.LOCK_UN)
            return heard.result()


def test_close_beside_a_failing_look_for_a_new_file_is_a_closed_error(
    path: str,
) -> None:
    assert run_scenario(close_while_following, path) == "closed"


def close_beside_iteration(path: str) -> list[object]:
    """An iterator at work when its cache is closed ends in a clean error."""
    outcome: list[object] = []
    for keys in (3, 500):
        cache = FastMmap(path, page_size="4k", num_pages=16)
        cache.set_many({str(number): number for number in range(keys)})
        iterators = [iter(cache), iter(cache.items()), iter(cache.values())]
        for iterator in iterators:
            next(iterator)
        cache.close()
        for iterator in iterators:
            with contextlib.suppress(StopIteration, ClosedError):
                while True:
                    next(iterator)
        outcome.append(maps_of(path))
    return outcome


def test_an_iterator_outlives_its_cache_in_peace(path: str) -> None:
    assert run_scenario(close_beside_iteration, path) == [0, 0]


def close_by_many(path: str) -> list[int]:
    """Two threads open and close objects that others use and close too."""
    before = len(os.listdir("/proc/self/fd"))
    keeper = FastMmap(path, **PAGE)

    def work() -> None:
        for number in range(150):
            cache = FastMmap(path)
            cache.incr("n")
            closers = [threading.Thread(target=cache.close) for _ in range(2)]
            for closer in closers:
                closer.start()
            with contextlib.suppress(ClosedError):
                cache.get("n")
                cache.set(f"key {number}", number)
            for closer in closers:
                closer.join()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    count = keeper.get("n")
    keeper.close()
    return [count, len(os.listdir("/proc/self/fd")) - before, maps_of(path)]


def test_many_closes_of_one_object_at_once(path: str) -> None:
    assert run_scenario(close_by_many, path) == [300, 0, 0]
