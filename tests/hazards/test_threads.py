"""Threads: shared objects, waiting, and close() in the middle of it all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from support import run_scenario

from fastmmap import ClosedError, FastMmap

PAGE: dict[str, Any] = {"page_size": "64k", "num_pages": 1}


def together(*works: Callable[[], object]) -> list[object]:
    """Run works in threads that start together; return their results."""
    barrier = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> object:
        barrier.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as executor:
        return list(executor.map(run, works))


def count(path: str) -> list[int]:
    cache = FastMmap(path, **PAGE)

    def by_incr() -> None:
        for _ in range(2000):
            cache.incr("n")

    def by_lock() -> None:
        for _ in range(500):
            with cache.lock("m") as item:
                item.value = (item.value or 0) + 1

    def by_function() -> None:
        for _ in range(500):
            cache.get_and_set("m", lambda key, value, entry: (value or 0) + 1)

    together(by_incr, by_incr, by_lock, by_lock, by_function, by_function)
    return [cache.get("n"), cache.get("m")]


@pytest.mark.quick
def test_no_count_is_lost(path: str) -> None:
    assert run_scenario(count, path) == [4000, 2000]


def read_and_write(path: str) -> bool:
    """Read whole values while others overwrite, remove and evict them."""
    cache = FastMmap(path, page_size="16k", num_pages=1)
    stop = threading.Event()

    def write() -> None:
        for number in range(4000):
            letter = b"abcdefgh"[number % 8 : number % 8 + 1]
            cache.set(f"key {number % 20}", letter * (number % 900 + 1))
            if number % 50 == 0:
                cache.remove(f"key {number % 20}")
        stop.set()

    def read() -> None:
        while not stop.is_set():
            for number in range(20):
                value = cache.get(f"key {number}", b"a")
                assert value == value[:1] * len(value)

    together(write, read, read)
    return bool(cache.check().ok)


def test_no_reader_sees_half_a_value(path: str) -> None:
    assert run_scenario(read_and_write, path) is True


def close_beside_readers(path: str) -> list[str]:
    outcomes: set[str] = set()
    for turn in range(30):
        cache = FastMmap(path, cache_size="256k", unlink_on_exit=False)
        cache.set("key", b"x" * 5000)

        def use(cache: FastMmap = cache) -> str:
            for number in range(100_000):
                try:
                    assert cache.get("key", b"x" * 5000) == b"x" * 5000
                    cache.set(f"key {number % 50}", b"y" * 3000)
                    cache.get_and_set("n", lambda *_: 1)
                    list(cache)
                except ClosedError:
                    return "closed"
            return "never closed"

        timer = threading.Timer(0.005 * (turn % 5), cache.close)
        timer.start()
        outcomes.update(map(str, together(use, use)))
    return sorted(outcomes)


def test_close_beside_busy_threads_is_a_clean_error(path: str) -> None:
    assert run_scenario(close_beside_readers, path) == ["closed"]


def close_beside_a_waiter(path: str) -> str:
    """Close a cache while another thread of the process waits for a page."""
    cache, holder = FastMmap(path, **PAGE), FastMmap(path)
    outcome: list[str] = []
    with holder.lock("key"):
        thread = threading.Thread(target=lambda: outcome.append(attempt(cache)))
        thread.start()
        thread.join(0.2)
        assert thread.is_alive()
        cache.close()
    thread.join(20)
    assert not thread.is_alive()
    return outcome[0]


def attempt(cache: FastMmap) -> str:
    try:
        return f"set {cache.set('key', 1)}"
    except ClosedError:
        return "closed"


def test_close_beside_a_waiting_thread(path: str) -> None:
    assert run_scenario(close_beside_a_waiter, path) in ("set True", "closed")


def release_elsewhere(path: str) -> list[object]:
    """Enter a block in one thread and leave it in another."""
    cache = FastMmap(path, **PAGE)
    item = cache.lock("key")
    item.__enter__()
    item.value = "new"
    thread = threading.Thread(target=item.__exit__, args=(None, None, None))
    thread.start()
    thread.join()
    return [cache.get("key"), cache.set("key", "newer")]


def test_another_thread_may_leave_the_block(path: str) -> None:
    assert run_scenario(release_elsewhere, path) == ["new", True]


def wait_for_thread(path: str) -> list[object]:
    """Wait in one thread for a page that another thread holds."""
    cache = FastMmap(path, **PAGE)
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with cache.lock("key") as item:
            entered.set()
            leave.wait(20)
            item.value = "held"

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait(20)
    # Reading needs no lock; it must neither wait nor fail.
    before = cache.get("key")
    waiter = threading.Thread(target=cache.set, args=("key", "waited"))
    waiter.start()
    waiter.join(0.1)
    waited = waiter.is_alive()
    leave.set()
    waiter.join(20)
    thread.join(20)
    return [before, waited, cache.get("key")]


@pytest.mark.quick
def test_a_thread_waits_for_a_page_of_another(path: str) -> None:
    assert run_scenario(wait_for_thread, path) == [None, True, "waited"]


def iterate_beside_writers(path: str) -> bool:
    cache = FastMmap(path, cache_size="256k")
    for number in range(200):
        cache.set(f"stable {number}", number)
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            cache.set(f"key {number % 100}", number)
            cache.remove(f"key {number % 70}")

    def iterate() -> None:
        for _ in range(30):
            seen = [key for key in cache if str(key).startswith("stable")]
            assert len(seen) == len(set(seen)) == 200
            assert len(dict(cache.items())) >= 200
        stop.set()

    together(write, iterate)
    return True


def test_iteration_beside_writers_sees_each_stable_key_once(path: str) -> None:
    assert run_scenario(iterate_beside_writers, path) is True


def many_objects(path: str) -> int:
    """Open and close objects of one file in many threads."""

    def work() -> None:
        for _ in range(30):
            with FastMmap(path) as cache:
                cache.incr("n")

    with FastMmap(path, cache_size="256k") as cache:
        together(work, work, work, work)
        return int(cache.get("n"))


def test_threads_open_and_close_objects_of_one_file(path: str) -> None:
    assert run_scenario(many_objects, path) == 120
