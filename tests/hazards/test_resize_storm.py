"""resize() while others write, and resizers that are killed: no change is lost."""

from __future__ import annotations

import mmap
import os
import random
import signal
import struct
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from support import LONG, run_scenario

from fastmmap import FastMmap

KEYS = 40  # of each writer
WRITERS = 2
SECONDS = 1.5 * LONG
#: In none of them has anything to leave.
SIZES = [("8m", "64k"), ("16m", "256k"), ("24m", "64k"), ("9m", "1m")]


class Acknowledged:
    """Numbers in memory that forked children share: what was stored for sure."""

    def __init__(self, count: int) -> None:
        self.memory = mmap.mmap(-1, 8 * count)

    def __getitem__(self, place: int) -> int:
        number: int = struct.unpack_from("=q", self.memory, 8 * place)[0]
        return number

    def __setitem__(self, place: int, number: int) -> None:
        struct.pack_into("=q", self.memory, 8 * place, number)


def write(path: str, writer: int, known: Acknowledged) -> None:
    """Change keys of one's own until one is killed; note each change once it is made.

    A negative number says that the key was removed.
    """
    cache = FastMmap(path)
    choice = random.Random(writer)
    number = 0
    while True:
        number += 1
        k = choice.randrange(KEYS)
        place = writer * KEYS + k
        if k % 4 == 0 and known[place] > 0:
            assert cache.touch(f"{writer}:{k}", 1000 + number)
            known[place] = number
        elif k % 4 == 1 and known[place] > 0:
            assert cache.remove(f"{writer}:{k}")
            known[place] = -number
        elif k % 4 == 2:
            known[place] = cache.incr(f"{writer}:{k}")
        else:
            size = 30_000 if k == 3 else choice.randrange(300)
            value = number, b"x" * size
            assert cache.set(f"{writer}:{k}", value, 1000 + number)
            known[place] = number


def read(path: str, known: Acknowledged) -> None:
    """Find nothing older than what was stored when one began to look."""
    cache = FastMmap(path)
    while True:
        for place in range(3, WRITERS * KEYS, 4):
            before = known[place]
            found = cache.get(f"{place // KEYS}:{place % KEYS}")
            if before and (found is None or found[0] < before):
                os.write(2, f"{place}: {found and found[0]} after {before}\n".encode())
                os._exit(1)


def start(work: Callable[..., None], *arguments: object) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            work(*arguments)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    return pid


@contextmanager
def busy(path: str, known: Acknowledged) -> Iterator[None]:
    """Let writers and a reader be at work, and see that none of them failed."""
    children = [start(write, path, n, known) for n in range(WRITERS)]
    children.append(start(read, path, known))
    try:
        yield
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        ends = [os.waitpid(pid, 0)[1] for pid in children]
    assert ends == [signal.SIGKILL] * len(children)


def check(cache: FastMmap, known: Acknowledged) -> list[str]:
    """Compare the cache with what was stored; a last change may be unnoted."""
    faults = []
    for place in range(WRITERS * KEYS):
        number, k = known[place], place % KEYS
        key = f"{place // KEYS}:{k}"
        value, left = cache.get(key), cache.ttl(key) if key in cache else 0
        if k % 4 == 2:
            fine = number == 0 or value in (number, number + 1)
        elif number < 0:
            fine = value is None or value[0] > -number
        elif k % 4 == 0:
            fine = number == 0 or left > 990 + number - SECONDS * 10
        else:
            fine = number == 0 or (value and value[0] >= number)
            fine = fine or (k % 4 == 1 and value is None)
        if not fine:
            faults.append(f"{key}: {number}, found {value and value!r:.20} for {left}")
    return faults


def resize_among_writers(path: str) -> tuple[int, list[str], bool]:
    known = Acknowledged(WRITERS * KEYS)
    cache = FastMmap(path, cache_size="8m", page_size="64k")
    fill(cache)
    end, resizes = time.monotonic() + SECONDS, 0
    with busy(path, known):
        while time.monotonic() < end:
            size, page = SIZES[resizes % len(SIZES)]
            report = cache.resize(cache_size=size, page_size=page)
            assert report.no_room == 0, report
            resizes += 1
    return resizes, check(cache, known), cache.check().ok


def fill(cache: FastMmap) -> None:
    """Give a resize something to do."""
    for number in range(2000):
        cache.set(f"still {number}", "x" * 100)


def test_a_change_that_was_made_while_a_cache_is_resized_is_there_afterwards(
    path: str,
) -> None:
    resizes, faults, sound = run_scenario(resize_among_writers, path, timeout=120.0)
    assert faults == []
    assert sound
    assert resizes > 0


def resize_among_threads(path: str) -> int:
    """Resize by an object that other threads write with; all follow all the time."""
    cache, end = FastMmap(path, cache_size="256k"), time.monotonic() + SECONDS
    resizes = 0

    def write() -> None:
        while time.monotonic() < end:
            cache.set("key", b"x" * 900)

    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write) for _ in range(4)]
        while time.monotonic() < end:
            cache.resize(cache_size=("512k", "256k")[resizes % 2])
            resizes += 1
        for writer in writers:
            writer.result()
    return resizes


@pytest.mark.long
def test_an_object_that_threads_write_with_is_resized(path: str) -> None:
    assert run_scenario(resize_among_threads, path, timeout=120.0) > 0


def resize_for_ever(path: str) -> None:
    cache = FastMmap(path)
    choice = random.Random()
    while True:
        size, page = choice.choice(SIZES)
        cache.resize(cache_size=size, page_size=page)


def kill_resizers(path: str) -> tuple[list[str], bool, list[str], int]:
    known = Acknowledged(WRITERS * KEYS)
    cache = FastMmap(path, cache_size="8m", page_size="64k")
    fill(cache)
    end, choice = time.monotonic() + SECONDS, random.Random(1)
    with busy(path, known):
        while time.monotonic() < end:
            pid = start(resize_for_ever, path)
            time.sleep(choice.uniform(0.03, 0.1))
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    faults = check(cache, known)
    still = sum(f"still {number}" in cache for number in range(2000))
    cache.resize(cache_size="4m")  # it looks for what the dead left
    left = os.listdir(os.path.dirname(path))
    return faults, cache.check().ok, left, still


@pytest.mark.long
def test_a_resizer_that_is_killed_takes_nothing_along(path: str) -> None:
    faults, sound, left, still = run_scenario(kill_resizers, path, timeout=120.0)
    assert faults == []
    assert sound
    assert left == [os.path.basename(path)]
    assert still == 2000


def store_large(path: str) -> None:
    """Store a value that is an entry of large pages, and in parts among small ones."""
    cache, number = FastMmap(path), 0
    while True:
        number += 1
        value = f"{number}".encode() * 6000
        assert cache.set("key", value[:30_000]), "refused"
        assert cache.get("key") is not None, "gone"


def resize_between_kinds(path: str) -> int:
    end, resizes = time.monotonic() + SECONDS, 0
    with FastMmap(path, cache_size="4m", page_size="64k") as cache:
        pid = start(store_large, path)
        while time.monotonic() < end:
            cache.resize(page_size=("1m", "64k")[resizes % 2], cache_size="4m")
            resizes += 1
        os.kill(pid, signal.SIGKILL)
        assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    return resizes


def test_a_value_that_is_large_in_one_file_only_is_stored_in_both(path: str) -> None:
    assert run_scenario(resize_between_kinds, path, timeout=120.0) > 0
