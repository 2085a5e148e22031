"""Changed values of a write_back cache, and each way a process can end.

With empty_on_exit an end that runs exit functions hands them to write_cb,
once. Any other end leaves them in the file, changed as they were, and the
next process that opens it with a write_cb writes them back: while the file
lives, no change is lost.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from support import run_program

from fastmmap import FastMmap

PROGRAM = """
import os, signal, sys, threading
from fastmmap import FastMmap
path, end = sys.argv[1:]
def write(context, key, value, expire_on):
    with open(path + ".log", "a") as file:
        file.write(f"{key}={value} by {os.getpid()}\\n")
def handle(*_):
    sys.exit(0)
cache = FastMmap(path, cache_size="64k", write_action="write_back", write_cb=write,
                 empty_on_exit=True, unlink_on_exit=False)
for number in range(50):
    cache.set(f"key {number}", number)
if end == "inside a block":
    with cache.lock("held") as item:
        sys.exit(0)
if end == "inside func":
    cache.get_and_set("held", handle)
if end == "beside a thread":
    thread = threading.Thread(target=lambda: [cache.get("key 1") for _ in range(9999)])
    thread.start()
if end == "handled SIGTERM":
    signal.signal(signal.SIGTERM, handle)
if end == "sys.exit":
    sys.exit(0)
if end == "exception":
    raise RuntimeError("the end")
if end == "os._exit":
    os._exit(0)
if end == "abort":
    os.abort()
if end == "exec":
    os.execv(sys.executable, [sys.executable, "-c", ""])
number = {"SIGINT": 2, "SIGKILL": 9, "SIGTERM": 15, "handled SIGTERM": 15}.get(end)
if number:
    os.kill(os.getpid(), number)
    signal.pause()
"""

FLUSHES = {
    "return": 0,
    "sys.exit": 0,
    "exception": 1,
    "inside a block": 0,
    "inside func": 0,
    "beside a thread": 0,
    "handled SIGTERM": 0,
    "SIGINT": -signal.SIGINT,
}
KEEPS = {
    "os._exit": 0,
    "exec": 0,
    "abort": -signal.SIGABRT,
    "SIGTERM": -signal.SIGTERM,
    "SIGKILL": -signal.SIGKILL,
}


def written(path: str) -> list[str]:
    log = Path(path + ".log")
    return log.read_text().splitlines() if log.exists() else []


@pytest.mark.parametrize("end", sorted(FLUSHES))
def test_changes_are_written_once_at_the_end_by(path: str, end: str) -> None:
    done = run_program(PROGRAM, path, end)
    assert done.returncode == FLUSHES[end], done.stderr
    lines = written(path)
    keys = sorted(line.split(" by ")[0] for line in lines)
    assert keys == sorted(f"key {number}={number}" for number in range(50))
    assert len({line.split(" by ")[1] for line in lines}) == 1
    with FastMmap(path) as cache:
        assert len(cache) == 0


@pytest.mark.parametrize("end", sorted(KEEPS))
def test_changes_stay_for_the_next_process_after(path: str, end: str) -> None:
    done = run_program(PROGRAM, path, end)
    assert done.returncode == KEEPS[end], done.stderr
    assert written(path) == []
    later: dict[Any, Any] = {}
    with FastMmap(
        path,
        write_action="write_back",
        write_cb=lambda context, key, value, expire_on: later.update({key: value}),
        lock_timeout=10,
        unlink_on_exit=True,
    ) as cache:
        assert {record["flags"] for record in cache.get_keys(1)} == {1}  # dirty
        assert cache.get("key 7") == 7
        assert cache.empty() == 50
    assert later == {f"key {number}": number for number in range(50)}
    assert not os.path.exists(path)
