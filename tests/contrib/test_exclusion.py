"""Locks by key, which exclude all processes and die with their holder."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
from support import Scenario, heard, run_scenario, say

from fastmmap import FastMmap, location
from fastmmap.contrib.exclusion import KeyMutex


@pytest.fixture
def file(cache: FastMmap) -> str:
    """Return the path of a cache that is open."""
    return cache.share_file


def hold(path: str, key: str) -> str:
    mutex = KeyMutex(path, key)
    mutex.acquire()
    say("held")
    heard()
    mutex.release()
    return "released"


def test_a_key_is_held_once_and_free_when_released(file: str) -> None:
    mutex, other = KeyMutex(file, "a"), KeyMutex(file, "a")
    assert mutex.acquire()
    assert not other.acquire(wait=False)
    assert not mutex.acquire(wait=False)
    mutex.release()
    assert other.acquire(wait=False)
    other.release()


def test_other_keys_and_other_files_are_free(file: str, tmp_path: str) -> None:
    with FastMmap(cache_size="512k") as another, KeyMutex(file, "a"):
        for mutex in (KeyMutex(file, "b"), KeyMutex(another.share_file, "a")):
            assert mutex.acquire(wait=False)
            mutex.release()


def test_looking_at_a_lock_does_not_take_it(file: str) -> None:
    mutex = KeyMutex(file, "a")
    assert [mutex.locked(), mutex.locked()] == [False, False]
    with KeyMutex(file, "a"):
        assert mutex.locked()
        assert not KeyMutex(file, "b").locked()
    assert not mutex.locked()


def test_it_excludes_other_processes(file: str) -> None:
    with Scenario(hold, file, "a") as holder:
        holder.hear()
        mutex = KeyMutex(file, "a")
        assert mutex.locked()
        assert not mutex.acquire(wait=False)
        holder.tell("release")
        assert mutex.acquire()
        mutex.release()
        assert holder.result() == "released"


def test_a_lock_dies_with_its_holder(file: str) -> None:
    with Scenario(hold, file, "a") as holder:
        holder.hear()
        waiter = threading.Thread(target=KeyMutex(file, "a").acquire, daemon=True)
        waiter.start()
        waiter.join(0.2)
        assert waiter.is_alive()
        holder.kill()
        waiter.join(30)
        assert not waiter.is_alive()


def die_and_leave_a_child(path: str) -> None:
    mutex = KeyMutex(path, "a")
    mutex.acquire()
    if os.fork() == 0:
        say("held")
        heard()
        os._exit(0)
    os.waitpid(-1, 0)


def test_a_child_of_the_holder_does_not_keep_the_lock(file: str) -> None:
    with Scenario(die_and_leave_a_child, file) as holder:
        holder.hear()
        mutex = KeyMutex(file, "a")
        assert mutex.locked()
        holder.kill()
        assert mutex.acquire(wait=False)
        mutex.release()


def release_in_child(path: str) -> bool:
    mutex = KeyMutex(path, "a")
    mutex.acquire()
    if os.fork() == 0:
        del mutex
        os._exit(0)
    os.waitpid(-1, 0)
    return KeyMutex(path, "a").locked()


def test_a_child_that_ends_takes_no_lock_from_its_parent(file: str) -> None:
    assert run_scenario(release_in_child, file)


def test_another_thread_may_release(file: str) -> None:
    mutex = KeyMutex(file, "a")
    mutex.acquire()
    thread = threading.Thread(target=mutex.release)
    thread.start()
    thread.join()
    assert not mutex.locked()


def test_to_release_what_is_not_held_is_an_error(file: str) -> None:
    with pytest.raises(RuntimeError, match="not held"):
        KeyMutex(file, "a").release()


def test_a_forgotten_lock_is_free(file: str) -> None:
    KeyMutex(file, "a").acquire()
    assert not KeyMutex(file, "a").locked()


def test_nothing_is_left_open(file: str) -> None:
    before = len(os.listdir("/proc/self/fd"))
    mutex = KeyMutex(file, "a")
    with KeyMutex(file, "a"):
        mutex.locked()
        mutex.acquire(wait=False)
    assert len(os.listdir("/proc/self/fd")) == before


def wait_in_vain(path: str) -> str:
    with KeyMutex(path, "a"):
        say("waiting")
        try:
            KeyMutex(path, "a").acquire()
        except KeyboardInterrupt:
            return "interrupted"
    return "acquired"


def test_a_wait_can_be_interrupted(file: str) -> None:
    with Scenario(wait_in_vain, file, timeout=30) as waiter:
        waiter.hear()
        time.sleep(0.2)
        waiter.send(signal.SIGINT)
        assert waiter.result() == "interrupted"


def sweep(directory: str) -> int:
    return location.sweep(directory)


def test_the_locks_of_the_cache_itself_stay() -> None:
    with FastMmap(cache_size="512k") as cache:
        with KeyMutex(cache.share_file, "a"):
            pass
        run_scenario(sweep, os.path.dirname(cache.share_file))
        assert os.path.exists(cache.share_file)


@pytest.mark.parametrize("key", ["", "ä", "\udc80", "x" * 10_000])
def test_any_text_is_a_key(file: str, key: str) -> None:
    with KeyMutex(file, key):
        assert KeyMutex(file, key).locked()
