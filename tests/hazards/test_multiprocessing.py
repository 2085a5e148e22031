"""multiprocessing: all start methods, Process, Pool, ProcessPoolExecutor."""

from __future__ import annotations

import multiprocessing
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest
from support import run_scenario

from fastmmap import FastMmap

METHODS = ["fork", "spawn", "forkserver"]


def work(cache: FastMmap, number: int) -> int:
    """Leave a trace in the cache; runs in a worker."""
    cache.set(f"key {number}", [number])
    return cache.incr("n")


def traces(cache: FastMmap) -> list[object]:
    keys = [f"key {number}" for number in range(8)]
    return [cache.get("n"), sorted(cache.get_many(keys).values())]


EXPECTED = [8, [[number] for number in range(8)]]


def with_processes(path: str, method: str) -> list[object]:
    context: Any = multiprocessing.get_context(method)
    with FastMmap(path, cache_size="512k") as cache:
        for start in (0, 4):
            processes = [
                context.Process(target=work, args=(cache, number))
                for number in range(start, start + 4)
            ]
            for process in processes:
                process.start()
            for process in processes:
                process.join()
                assert process.exitcode == 0
        return traces(cache)


@pytest.mark.quick
@pytest.mark.parametrize("method", METHODS)
def test_processes(path: str, method: str) -> None:
    assert run_scenario(with_processes, path, method) == EXPECTED


def with_pool(path: str, method: str) -> list[object]:
    context = multiprocessing.get_context(method)
    with FastMmap(path, cache_size="512k") as cache, context.Pool(2) as pool:
        pool.starmap(work, [(cache, number) for number in range(8)])
        return traces(cache)


@pytest.mark.parametrize("method", METHODS)
def test_pool(path: str, method: str) -> None:
    assert run_scenario(with_pool, path, method) == EXPECTED


def with_executor(path: str, method: str) -> list[object]:
    context = multiprocessing.get_context(method)
    with FastMmap(path, cache_size="512k") as cache:
        with ProcessPoolExecutor(2, mp_context=context) as executor:
            list(executor.map(work, [cache] * 8, range(8)))
        return traces(cache)


@pytest.mark.quick
@pytest.mark.parametrize("method", METHODS)
def test_executor(path: str, method: str) -> None:
    assert run_scenario(with_executor, path, method) == EXPECTED


shared: FastMmap


def remember(cache: FastMmap) -> None:
    """Keep the cache of this worker in a global, as pools' initializers do."""
    global shared
    shared = cache


def work_on_shared(number: int) -> int:
    return work(shared, number)


def with_initializer(path: str, method: str) -> list[object]:
    context = multiprocessing.get_context(method)
    with FastMmap(path, cache_size="512k") as cache:
        with context.Pool(2, remember, (cache,)) as pool:
            pool.map(work_on_shared, range(8))
        return traces(cache)


@pytest.mark.parametrize("method", METHODS)
def test_initializer_with_a_named_file(path: str, method: str) -> None:
    assert run_scenario(with_initializer, path, method) == EXPECTED


def with_private_cache(method: str) -> list[object]:
    context = multiprocessing.get_context(method)
    with FastMmap(cache_size="512k") as cache, context.Pool(2) as pool:
        pool.starmap(work, [(cache, number) for number in range(8)])
        return traces(cache)


@pytest.mark.parametrize("method", METHODS)
def test_private_cache(method: str) -> None:
    assert run_scenario(with_private_cache, method) == EXPECTED


def with_path_only(path: str, method: str) -> list[object]:
    context = multiprocessing.get_context(method)
    with FastMmap(path, cache_size="512k") as cache:
        with context.Pool(4) as pool:
            pool.starmap(open_and_work, [(path, number) for number in range(8)])
        return traces(cache)


def open_and_work(path: str, number: int) -> int:
    with FastMmap(path) as cache:
        return work(cache, number)


@pytest.mark.parametrize("method", METHODS)
def test_attached_by_path(path: str, method: str) -> None:
    assert run_scenario(with_path_only, path, method) == EXPECTED


def create_together(path: str) -> list[int]:
    """Let processes create the same file at the same time."""
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(6)
    results = context.Queue()
    processes = [
        context.Process(target=create_and_count, args=(path, barrier, results))
        for _ in range(6)
    ]
    for process in processes:
        process.start()
    found = [results.get() for _ in processes]
    for process in processes:
        process.join()
    return sorted(found)


def create_and_count(path: str, barrier: Any, results: Any) -> None:
    barrier.wait()
    cache = FastMmap(path, cache_size="512k", unlink_on_exit=False)
    results.put(cache.incr("n"))


def test_processes_that_create_one_file_at_once_share_it(path: str) -> None:
    assert run_scenario(create_together, path) == [1, 2, 3, 4, 5, 6]


def join_the_others() -> None:
    """Wait for all threads but the main one, as the end of the process does."""
    spared = threading.main_thread(), threading.current_thread()
    threading.main_thread().join()  # what follows that has begun
    for _ in range(5):
        for thread in threading.enumerate():
            if thread not in spared and not thread.daemon:
                thread.join()
        time.sleep(0.02)


def begin_to_join() -> None:
    """Open a cache, and leave a thread behind that waits for the others."""
    FastMmap(cache_size="64k")["key"] = 1
    threading.Thread(target=join_the_others).start()


def end_of_a_child() -> int | None:
    process = multiprocessing.get_context("fork").Process(target=begin_to_join)
    process.start()
    process.join()
    return process.exitcode


def test_a_child_ends_whose_threads_wait_for_each_other() -> None:
    assert run_scenario(end_of_a_child) == 0
