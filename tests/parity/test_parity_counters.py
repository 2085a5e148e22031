"""Atomic counters: many processes, no count lost."""

from __future__ import annotations

import os

import pytest
from support import run_scenario

from fastmmap import FastMmap

PROCESSES = 4
ROUNDS = 1500


def count_by_incr(cache: FastMmap) -> None:
    cache.incr("n")


def count_by_get_and_set(cache: FastMmap) -> None:
    cache.get_and_set("n", lambda key, value, entry: (value or 0) + 1)


def count_by_lock(cache: FastMmap) -> None:
    with cache.lock("n") as item:
        item.value = (item.value or 0) + 1


def count_by_removal(cache: FastMmap) -> None:
    """Pass a single token around: whoever gets it may count."""
    while True:
        token, removed = cache.get_and_remove("token")
        if removed:
            cache.set("n", cache.get("n", 0) + 1)
            cache.set("token", token)
            return


def count_in_processes(path: str, how: str) -> int:
    cache = FastMmap(path, page_size="64k", num_pages=1)
    cache.set("token", 1)
    children = []
    for _ in range(PROCESSES):
        pid = os.fork()
        if pid == 0:
            for _ in range(ROUNDS):
                globals()[how](cache)
            os._exit(0)
        children.append(pid)
    for pid in children:
        assert os.waitpid(pid, 0)[1] == 0
    return int(cache.get("n"))


@pytest.mark.quick
@pytest.mark.parametrize(
    "how",
    ["count_by_incr", "count_by_get_and_set", "count_by_lock", "count_by_removal"],
)
def test_no_count_is_lost(path: str, how: str) -> None:
    assert run_scenario(count_in_processes, path, how) == PROCESSES * ROUNDS


def add_in_processes(path: str) -> int:
    """Let every process try to add the same keys; count who won."""
    cache = FastMmap(path, cache_size="1m")
    children = []
    for _ in range(PROCESSES):
        pid = os.fork()
        if pid == 0:
            won = sum(cache.add(f"key {number}", 1) for number in range(500))
            cache.incr("won", won)
            os._exit(0)
        children.append(pid)
    for pid in children:
        assert os.waitpid(pid, 0)[1] == 0
    return int(cache.get("won"))


def test_exactly_one_process_adds_each_key(path: str) -> None:
    assert run_scenario(add_in_processes, path) == 500
