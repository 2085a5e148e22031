"""No memory: a MemoryError, no lock left held, nothing lost, no crash."""

from __future__ import annotations

import errno
import os
import pickle
import resource
from collections.abc import Callable
from typing import Any

import pytest
from support import OPERATIONS, run_scenario

from fastmmap import FastMmap

pytest.importorskip("_testcapi", reason="CPython without _testcapi")

ALLOCATIONS_MAX = 2000
#: What the loops need besides the operations that every cache has.
FURTHER: dict[str, Callable[[FastMmap], object]] = {
    "get of a pickle": lambda cache: cache.get("list"),
    "get of text": lambda cache: cache.get("text"),
    "get of bytes": lambda cache: cache.get("bytes"),
    "get with read_cb": lambda cache: cache.get("absent"),
    "set of a pickle": lambda cache: cache.set("list", [1, 2, 3]),
    "set of text": lambda cache: cache.set("text", "text" * 100),
    "set_many": lambda cache: cache.set_many({"a": [1], "b": "2", b"c": 3}),
    "get_many": lambda cache: cache.get_many(["list", "text", b"bytes"]),
    "items": lambda cache: list(cache.items()),
    "get_keys": lambda cache: cache.get_keys(2),
    "lock": lambda cache: lock_and_set(cache),
    "pickle": lambda cache: pickle.loads(pickle.dumps(cache)).close(),
}
USES = {**OPERATIONS, **FURTHER}  # "lock" of the first would never end


def lock_and_set(cache: FastMmap) -> None:
    with cache.lock("list") as item:
        item.value = [item.value]


def without_memory(use: Callable[[], object], at: int) -> str:
    """Let every allocation from number `at` on fail, or that one alone."""
    import _testcapi  # type: ignore[import-not-found]  # CPython's own, untyped

    number, alone = divmod(at, 2)
    _testcapi.set_nomemory(number, number + 1 if alone else 0)
    try:
        use()
        outcome = "done"
    except MemoryError:
        outcome = "no memory"
    finally:
        _testcapi.remove_mem_hooks()
    return outcome


def fill(cache: FastMmap) -> None:
    cache.set("list", [1, 2, 3])
    cache.set("text", "text")
    cache.set("bytes", b"bytes")
    cache.set("other", "kept")
    cache.set("key", 1)


def is_in_order(cache: FastMmap, path: str) -> bool:
    """Tell whether all pages are free, sound and hold what was not touched."""
    with FastMmap(path, lock_timeout=5) as other:
        stored = other.set("key", 1) and cache.set("key", 1)
        return bool(stored and other.check().ok and not cache.closed)


def starve(path: str, name: str) -> list[object]:
    """Fail each allocation of an operation in turn, until none is left."""
    cache = FastMmap(
        path,
        page_size="64k",
        num_pages=1,
        lock_timeout=5,
        read_cb=lambda context, key: [key],
        unlink_on_exit=False,
    )
    use = USES[name]
    failed = done = 0
    for at in range(2 * ALLOCATIONS_MAX):
        fill(cache)
        outcome = without_memory(lambda: use(cache), at)
        failed += outcome == "no memory"
        done = done + 1 if outcome == "done" else 0
        assert is_in_order(cache, path), (name, at)
        if done >= 8:  # both ways, and some that hit what may fail
            return [failed, True]
    return [failed, False]


@pytest.mark.parametrize("name", sorted(USES))
def test_an_operation_without_memory_leaves_all_in_order(path: str, name: str) -> None:
    failed, ended = run_scenario(starve, path, name)
    assert ended
    # What returns a constant or a small number allocates nothing.
    assert failed > 0 or name in ("contains", "exists", "len")
