"""`clear()` gives the memory of a sparse file on tmpfs back, beside readers too."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator

import pytest
from support import run_scenario

import fastmmap.sync
from fastmmap import FastMmap

MB = 2**20
KEYS = 300
SIZES = (60, 3_000, 40_000, 400_000)

pytestmark = pytest.mark.skipif(
    not os.access("/dev/shm", os.W_OK), reason="there is no /dev/shm"
)


@pytest.fixture
def path() -> Iterator[str]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield os.path.join(folder, "cache")


def taken(path: str) -> int:
    """Return how many bytes of memory a file takes."""
    return os.stat(path).st_blocks * 512


def fill(cache: FastMmap) -> None:
    for number in range(4 * KEYS):
        cache.set(f"{number}", f"{number} ".encode() * 2_500)


@pytest.mark.parametrize("reserve", [False, True])
def test_clear_gives_memory_back_whatever_its_caller_opened_with(
    path: str, reserve: bool
) -> None:
    with FastMmap(path, cache_size="16m", reserve=False) as cache:
        empty = taken(path)
        fill(cache)
        assert taken(path) > empty + 8 * MB
        with FastMmap(path, cache_size="16m", reserve=reserve) as other:
            other.clear()
        assert taken(path) < empty + MB // 4
        assert cache.check().ok
        fill(cache)
        assert cache.get(f"{4 * KEYS - 1}") == f"{4 * KEYS - 1} ".encode() * 2_500


def test_space_that_was_reserved_stays_reserved(path: str) -> None:
    with FastMmap(path, cache_size="4m") as cache:
        before = taken(path)
        fill(cache)
        with FastMmap(path, cache_size="4m", reserve=False) as other:
            other.clear()
        assert taken(path) >= before


def test_a_value_that_may_not_be_dropped_keeps_its_page(path: str) -> None:
    with FastMmap(path, cache_size="4m", page_size="4m", reserve=False) as cache:
        fill(cache)
        with fastmmap.sync.Lock(cache, "held"):
            before = taken(path)
            cache.clear()
            assert taken(path) == before
        cache.clear()
        assert taken(path) < before


def value_of(key: int, size: int) -> bytes:
    return f"{key}/{size} ".encode() * (size // len(f"{key}/{size} ") + 1)


def clear_amid_readers(path: str, seconds: float) -> dict[str, int]:
    """Clear again and again while others write and read; count what is torn."""
    found = {"reads": 0, "torn": 0, "clears": 0}
    until = time.monotonic() + seconds
    with FastMmap(path, cache_size="8m", serializer="raw", reserve=False) as cache:

        def write() -> None:
            number = 0
            while time.monotonic() < until:
                number += 1
                size = SIZES[number % len(SIZES)]
                cache.set(f"{number % KEYS}", value_of(number % KEYS, size))

        def read() -> None:
            number = 0
            while time.monotonic() < until:
                number = (number + 7) % KEYS
                value = cache.get(f"{number}")
                if value is not None:
                    found["reads"] += 1
                    wanted = [value_of(number, size) for size in SIZES]
                    found["torn"] += value not in wanted

        threads = [threading.Thread(target=one) for one in (write, read, read)]
        for thread in threads:
            thread.start()
        while time.monotonic() < until:
            cache.clear()
            found["clears"] += 1
        for thread in threads:
            thread.join()
        found["sound"] = cache.check().ok
    return found


def test_readers_see_whole_values_while_memory_is_given_back(path: str) -> None:
    found = run_scenario(clear_amid_readers, path, 2.0)
    assert found["torn"] == 0
    assert found["sound"]
    assert found["reads"] > 0
    assert found["clears"] > 0
