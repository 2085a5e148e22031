"""Nothing is left in memory by any operation, nor by one that fails."""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import OPERATIONS, BackingStore, MakeCache

from fastmmap import FastMmap

ROUNDS = 300


def growth(work: Callable[[], object]) -> int:
    """Return the bytes that Python's memory grows by while `work` is repeated."""
    tracemalloc.start()
    try:
        for _ in range(20):
            work()
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(ROUNDS):
            work()
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


def fail(*_: object) -> Any:
    raise LookupError


FAILURES: dict[str, Callable[[FastMmap], object]] = {
    "bad key": lambda cache: cache.get(1),  # type: ignore[arg-type]  # on purpose
    "surrogate": lambda cache: cache.set("\ud800", 1),
    "surrogate of bytes": lambda cache: cache.set("\udcc3\udca9", 1),
    "bad lifetime": lambda cache: cache.set("key", 1, "soon"),
    "bad modseq": lambda cache: cache.set("key", 1, modseq=-1),
    "unpicklable": lambda cache: cache.set("key", (i for i in "")),
    "too large": lambda cache: cache.set("key", bytes(70_000)),
    "function": lambda cache: cache.get_and_set("key", fail),
    "missing": lambda cache: cache["missing"],
    "no counter": lambda cache: cache.incr("text"),
    "bad keys": lambda cache: cache.get_many(["text", None]),  # type: ignore[list-item]  # on purpose
    "re-entry": lambda cache: cache.get_and_set("key", lambda *_: cache.get("key")),
}


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_operations_leave_nothing(one_page: FastMmap, name: str) -> None:
    def work() -> None:
        one_page.set("text", {"some": ["value"]})
        with contextlib.suppress(KeyError):
            OPERATIONS[name](one_page)
        one_page.clear()

    assert growth(work) < 16 * ROUNDS


@pytest.mark.parametrize("name", sorted(FAILURES))
def test_failures_leave_nothing(one_page: FastMmap, name: str) -> None:
    def work() -> None:
        one_page.set("text", "no number")
        with contextlib.suppress(Exception):
            FAILURES[name](one_page)

    assert growth(work) < 16 * ROUNDS


def test_callbacks_leave_nothing(make_cache: MakeCache) -> None:
    store = BackingStore()
    cache = make_cache(write_action="write_back", **store.options())

    def work() -> None:
        cache.get("absent")
        cache.set("key", ["value"])
        cache.expire("key")
        cache.get("key")
        cache.remove("key")
        store.calls.clear()

    assert growth(work) < 16 * ROUNDS


def test_opening_and_closing_leaves_nothing(path: str) -> None:
    def work() -> None:
        with FastMmap(path, page_size="4k", num_pages=2) as cache:
            cache.set("key", 1)

    work()
    files = len(os.listdir("/proc/self/fd"))
    assert growth(work) < 16 * ROUNDS
    assert len(os.listdir("/proc/self/fd")) == files


def test_open_that_fails_leaves_nothing(cache: FastMmap, path: str) -> None:
    def work() -> None:
        with contextlib.suppress(ValueError):
            FastMmap(path, serializer="json")

    assert growth(work) < 16 * ROUNDS


def test_reference_counts_and_descriptors_stay_as_they_were() -> None:
    """The short form of tests/stress/leaks.py, in a process of its own."""
    program = Path(__file__).resolve().parent.parent / "stress" / "leaks.py"
    done = subprocess.run(
        [sys.executable, program, "--opens=200", "--operations=12000"],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert " 0 leaks" in done.stdout
