"""empty_on_exit and unlink_on_exit: once, in the process that created it."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import util as process_util
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from support import Scenario, run_scenario, say

from fastmmap import FastMmap


def append(log: str, key: Any, value: object, expire_on: object) -> None:
    with open(log, "a") as file:
        file.write(f"{key}={value} by {os.getpid()}\n")


def make(path: str, log: str, **options: Any) -> FastMmap:
    """Return a cache whose exit work leaves a trace in `log`."""
    options.setdefault("unlink_on_exit", True)
    return FastMmap(
        path,
        cache_size="512k",
        context=log,
        write_action="write_back",
        write_cb=append,
        empty_on_exit=True,
        **options,
    )


def lines(log: str) -> list[str]:
    return Path(log).read_text().splitlines() if os.path.exists(log) else []


@pytest.fixture
def log(tmp_path: Path) -> str:
    return str(tmp_path / "log")


def just_exit(path: str, log: str) -> int:
    cache = make(path, log)
    cache.set("key", 1)
    globals()["kept"] = cache
    return os.getpid()


@pytest.mark.quick
def test_exit_empties_and_unlinks(path: str, log: str) -> None:
    pid = run_scenario(just_exit, path, log)
    assert lines(log) == [f"key=1 by {pid}"]
    assert not os.path.exists(path)


def exit_by_error(path: str, log: str) -> None:
    globals()["kept"] = make(path, log)
    globals()["kept"].set("key", 1)
    raise RuntimeError("end of a program")


def test_exit_by_an_error_empties_and_unlinks(path: str, log: str) -> None:
    with Scenario(exit_by_error, path, log) as running:
        assert running.exit_code() == 1
    assert len(lines(log)) == 1
    assert not os.path.exists(path)


def fork_and_exit(path: str, log: str, how: str) -> list[object]:
    """Let a child end first; report what it left."""
    cache = make(path, log)
    cache.set("key", 1)
    pid = os.fork()
    if pid == 0:
        if how == "os._exit":
            os._exit(0)
        sys.exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    return [lines(log), os.path.exists(path), cache.get("key")]


@pytest.mark.parametrize("how", ["os._exit", "sys.exit"])
def test_the_exit_of_a_forked_child_does_nothing(path: str, log: str, how: str) -> None:
    assert run_scenario(fork_and_exit, path, log, how) == [[], True, 1]
    assert len(lines(log)) == 1
    assert not os.path.exists(path)


def child_of_multiprocessing(cache: FastMmap) -> None:
    cache.set("from child", 2)


def run_child(path: str, log: str, method: str) -> list[object]:
    cache = make(path, log)
    context: Any = multiprocessing.get_context(method)
    process = context.Process(target=child_of_multiprocessing, args=(cache,))
    process.start()
    process.join()
    return [process.exitcode, lines(log), os.path.exists(path)]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_the_exit_of_a_multiprocessing_child_does_nothing(
    path: str, log: str, method: str
) -> None:
    assert run_scenario(run_child, path, log, method) == [0, [], True]
    assert len(lines(log)) == 1
    assert not os.path.exists(path)


def make_in_child(path: str, log: str) -> None:
    globals()["kept"] = make(path, log)
    globals()["kept"].set("key", 1)


def run_creating_child(path: str, log: str, method: str) -> list[object]:
    context: Any = multiprocessing.get_context(method)
    process = context.Process(target=make_in_child, args=(path, log))
    process.start()
    process.join()
    return [process.exitcode, len(lines(log)), os.path.exists(path)]


@pytest.mark.quick
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_cache_made_in_a_multiprocessing_child_ends_with_the_child(
    path: str, log: str, method: str
) -> None:
    assert run_scenario(run_creating_child, path, log, method) == [0, 1, False]


def outlive_function(path: str, log: str) -> None:
    """Leave threads behind that use the cache when the function has returned."""
    cache = make(path, log)

    def work(key: str) -> None:
        while not getattr(process_util, "_exiting", False):
            time.sleep(0.001)
        time.sleep(0.1)  # the finalizers of this process run
        cache.set(key, 1)

    threading.Thread(target=work, args=("key",)).start()
    ThreadPoolExecutor(1).submit(work, "other")


def run_outlived(path: str, log: str, method: str) -> list[object]:
    context: Any = multiprocessing.get_context(method)
    process = context.Process(target=outlive_function, args=(path, log))
    process.start()
    process.join()
    return [process.exitcode, len(lines(log)), os.path.exists(path)]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_cache_stays_open_for_threads_of_a_multiprocessing_child(
    path: str, log: str, method: str
) -> None:
    assert run_scenario(run_outlived, path, log, method) == [0, 2, False]


def rebuild(value: object) -> object:
    return value


class Late:
    """Is pickled late, and only then looks what the cache has."""

    def __init__(self, cache: FastMmap) -> None:
        self.cache = cache

    def __reduce__(self) -> tuple[Any, ...]:
        while not getattr(process_util, "_exiting", False):
            time.sleep(0.001)
        time.sleep(0.2)  # the finalizers of this process run
        return rebuild, (self.cache.get("key"),)


def put_late(queue: Any) -> None:
    cache = FastMmap(cache_size="512k")
    cache.set("key", "value")
    queue.put(Late(cache))


def receive_late(method: str) -> object:
    context: Any = multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=put_late, args=(queue,))
    process.start()
    process.join()
    try:
        return queue.get(timeout=1)
    except Empty:
        return "nothing"


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_cache_stays_open_for_what_is_put_into_a_queue(method: str) -> None:
    assert run_scenario(receive_late, method) == "value"


def make_in_pool(path: str, log: str) -> list[object]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(make_in_child, (path, log))
        pool.close()
        pool.join()
    return [len(lines(log)), os.path.exists(path)]


def test_a_cache_made_in_a_pool_worker_ends_with_the_pool(path: str, log: str) -> None:
    assert run_scenario(make_in_pool, path, log) == [1, False]


def make_after_fork(path: str, log: str) -> list[object]:
    """Make one cache before and one after a fork, and exit by sys.exit."""
    kept = [make(path, log)]
    pid = os.fork()
    if pid == 0:
        kept.append(make(path + ".child", log))
        kept[0].set("shared", 1)
        kept[1].set("own", 2)
        globals()["kept"] = kept
        sys.exit(0)
    os.waitpid(pid, 0)
    return [pid, os.path.exists(path), os.path.exists(path + ".child")]


def test_a_forked_child_ends_its_own_caches_only(path: str, log: str) -> None:
    with Scenario(make_after_fork, path, log) as running:
        pid, parents, childs = running.result()
    assert (parents, childs) == (True, False)
    assert lines(log)[0] == f"own=2 by {pid}"
    assert len(lines(log)) == 2


def private(path: str) -> str:
    globals()["kept"] = FastMmap(cache_size="512k")
    say(globals()["kept"].share_file)
    return "done"


@pytest.mark.quick
def test_a_private_file_is_gone_after_exit() -> None:
    with Scenario(private, "") as running:
        name = running.hear()
        assert running.result() == "done"
    assert name.startswith("/")
    assert not os.path.exists(name)


def exec_another(path: str, log: str) -> None:
    """Become another program: no exit work runs, the file stays."""
    globals()["kept"] = make(path, log)
    globals()["kept"].set("key", 1)
    os.execv(sys.executable, [sys.executable, "-c", "print(7)"])


def test_exec_does_no_exit_work_and_keeps_the_values(path: str, log: str) -> None:
    with Scenario(exec_another, path, log) as running:
        assert running.result() == 7
    assert lines(log) == []
    with FastMmap(path, unlink_on_exit=True) as cache:
        assert cache.get("key") == 1


def raise_in_write_cb(path: str) -> str:
    def fail(*_: object) -> None:
        raise RuntimeError("no connection")

    globals()["kept"] = FastMmap(
        path,
        cache_size="512k",
        write_action="write_back",
        write_cb=fail,
        empty_on_exit=True,
        unlink_on_exit=False,
    )
    globals()["kept"].set("key", "changed")
    return "done"


def test_a_value_that_could_not_be_written_at_exit_stays_in_the_file(
    path: str,
) -> None:
    assert run_scenario(raise_in_write_cb, path) == "done"
    with FastMmap(path) as cache:
        assert cache.get("key") == "changed"


def nothing_left() -> list[str]:
    """Use everything that makes files, and name what is open or shared."""
    with FastMmap(cache_size="512k") as cache:
        cache.set("key", 1)
        multiprocessing.get_context("spawn")
    folder = os.path.dirname(cache.share_file)
    return [name for name in os.listdir(folder) if f"-{os.getpid()}-" in name]


def test_nothing_is_left_in_shared_memory() -> None:
    assert run_scenario(nothing_left) == []
