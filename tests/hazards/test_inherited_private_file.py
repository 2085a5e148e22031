"""A private file goes with the last process that has it open."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from typing import Any

import pytest
from support import Scenario, heard, run_program, run_scenario, say

from fastmmap import FastMmap, location


def private() -> FastMmap:
    """Return a private cache that stays open until its process ends."""
    cache = FastMmap(cache_size="256k")
    globals().setdefault("kept", []).append(cache)
    cache.set("key", "of the parent")
    return cache


def become_daemon(how: str) -> None:
    """Fork twice; both parents end at once, as those of a daemon do."""
    for _ in range(2):
        if os.fork() != 0:
            if how == "os._exit":
                os._exit(0)
            sys.exit(0)
        os.setsid()


def daemon(how: str) -> list[object]:
    cache = private()
    say(cache.share_file)
    become_daemon(how)
    heard()  # its parents have ended
    return [cache.get("key"), os.path.exists(cache.share_file)]


@pytest.mark.quick
@pytest.mark.parametrize("how", ["os._exit", "sys.exit"])
def test_a_private_file_stays_for_a_daemon_and_goes_with_it(how: str) -> None:
    with Scenario(daemon, how) as running:
        name = running.hear()
        running.process.wait()
        assert os.path.exists(name)
        running.tell("go on")
        assert running.result() == ["of the parent", True]
    gone_soon(name)


def gone_soon(name: str) -> None:
    """Wait until a file is gone: its process may have said its last a bit before."""
    deadline = time.monotonic() + 10
    while os.path.exists(name):
        assert time.monotonic() < deadline, f"{name} is still there"
        time.sleep(0.01)


DAEMON_CLOSES_ALL = """
import os, sys
from fastmmap import FastMmap
cache = FastMmap(cache_size="256k")
cache.set("key", 1)
print(cache.share_file, flush=True)
if os.fork() != 0:
    os._exit(0)
os.closerange(3, 1024)  # as daemons do
sys.stdin.readline()
print(cache.get("key"), os.path.exists(cache.share_file), flush=True)
"""


def test_a_daemon_that_closes_all_descriptors_keeps_the_file() -> None:
    done = run_program(DAEMON_CLOSES_ALL)
    name, told = done.stdout.splitlines()
    assert (told, done.stderr) == ("1 True", "")
    gone_soon(name)


def child_ends_first() -> list[object]:
    cache = private()
    pid = os.fork()
    if pid == 0:
        sys.exit(0)
    os.waitpid(pid, 0)
    return [cache.get("key"), os.path.exists(cache.share_file), cache.share_file]


def test_a_child_that_ends_first_takes_nothing_along() -> None:
    value, there, name = run_scenario(child_ends_first)
    assert (value, there) == ("of the parent", True)
    assert not os.path.exists(name)


def closing_parent() -> list[object]:
    """Close in the parent while a child goes on; the child closes later."""
    cache = private()
    parent, child = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(parent[0], 1)
        seen = cache.get("key") == "of the parent" and os.path.exists(cache.share_file)
        cache.close()
        os.write(
            child[1], b"y" if seen and not os.path.exists(cache.share_file) else b"n"
        )
        os._exit(0)
    cache.close()
    there = os.path.exists(cache.share_file)
    os.write(parent[1], b"x")
    return [there, os.read(child[0], 1), os.waitpid(pid, 0)[1]]


def test_the_last_close_removes_the_file() -> None:
    assert run_scenario(closing_parent) == [True, b"y", 0]


def of_multiprocessing(cache: FastMmap, began: Any, go: Any, answers: Any) -> None:
    began.set()
    go.wait(20)
    answers.put((cache.get("key"), os.path.exists(cache.share_file)))


def outlived_by_child(method: str) -> list[object]:
    """Close the parent's object while the child of multiprocessing has its own."""
    context: Any = multiprocessing.get_context(method)
    cache = private()
    began, go, answers = context.Event(), context.Event(), context.SimpleQueue()
    child = context.Process(target=of_multiprocessing, args=(cache, began, go, answers))
    child.start()
    began.wait(20)
    cache.close()
    go.set()
    answer = answers.get()
    child.join()
    return [answer, child.exitcode, os.path.exists(cache.share_file)]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_child_of_multiprocessing_is_the_last(method: str) -> None:
    answer = ("of the parent", True)
    assert run_scenario(outlived_by_child, method) == [answer, 0, False]


def late_thread(cache: FastMmap, answers: Any) -> None:
    def work() -> None:
        time.sleep(0.3)
        answers.put(cache.get("key"))

    threading.Thread(target=work).start()


def child_with_a_thread() -> object:
    context: Any = multiprocessing.get_context("fork")
    cache = private()
    answers = context.SimpleQueue()
    child = context.Process(target=late_thread, args=(cache, answers))
    child.start()
    answer = answers.get()
    child.join()
    return answer


def test_a_thread_that_outlives_the_function_of_its_process_goes_on() -> None:
    assert run_scenario(child_with_a_thread) == "of the parent"


def killed() -> None:
    cache = private()
    say(cache.share_file)
    pid = os.fork()
    if pid:
        say(pid)
    time.sleep(60)


def test_what_killed_processes_leave_goes_with_the_next_sweep() -> None:
    with Scenario(killed) as running:
        name = running.hear()
        child = int(running.hear())
        running.send(signal.SIGKILL)
        running.process.wait()
        location.sweep(os.path.dirname(name))
        assert os.path.exists(name)
        os.kill(child, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while os.path.exists(name) and time.monotonic() < deadline:
            location.sweep(os.path.dirname(name))
            time.sleep(0.01)
    assert not os.path.exists(name)


def race() -> list[object]:
    """Let many children that inherited a private file end at one moment."""
    left = []
    for _ in range(20):
        cache = FastMmap(cache_size="64k")
        gate = os.pipe()
        pids = []
        for _ in range(6):
            pid = os.fork()
            if pid == 0:
                os.close(gate[1])
                os.read(gate[0], 1)
                with contextlib.suppress(BaseException):
                    cache.close()
                os._exit(0)
            pids.append(pid)
        os.close(gate[1])
        cache.close()
        for pid in pids:
            os.waitpid(pid, 0)
        os.close(gate[0])
        left += [cache.share_file] if os.path.exists(cache.share_file) else []
    return left


def test_of_many_that_end_at_once_one_removes_the_file() -> None:
    assert run_scenario(race) == []
