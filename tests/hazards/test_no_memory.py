"""No memory: a MemoryError, no lock left held, nothing lost, no crash.

CPython itself dies when it has no memory for a function (3.12, 3.13) or for
what `locals()` returns (3.13): no operation here may make a function, and
`locals_of_the_caller` stands in for the latter.
"""

from __future__ import annotations

import builtins
import errno
import os
import pickle
import resource
import sys
from collections.abc import Callable
from typing import Any

import pytest
from support import OPERATIONS, run_scenario

import fastmmap.memoize  # noqa: F401  (now, not anew for each failing allocation)
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
    "set_many": lambda cache: cache.set_many({"a": [1], "b": "2", b"c": 3}),
    "get_many": lambda cache: cache.get_many(["list", "text", b"bytes"]),
    "items": lambda cache: list(cache.items()),
    "get_keys": lambda cache: cache.get_keys(2),
    "lock": lambda cache: lock_and_set(cache),
    "pickle": lambda cache: pickle_and_back(cache),
}
USES = {**OPERATIONS, **FURTHER}


def lock_and_set(cache: FastMmap) -> None:
    with cache.lock("list") as item:
        item.value = [item.value]


def pickle_and_back(cache: FastMmap) -> None:
    try:
        pickle.loads(pickle.dumps(cache)).close()
    except pickle.PicklingError:  # which hides what the cause was
        raise MemoryError from None


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
    except SystemError as error:
        # CPython 3.11 itself, when it has no memory for a Python frame. What a
        # C function forgot to say would read "returned NULL without ...".
        if str(error) != "error return without exception set":
            raise
        outcome = "no memory"
    finally:
        _testcapi.remove_mem_hooks()
    return outcome


def read(context: object, key: Any) -> list[object]:
    return [key]


def fill(cache: FastMmap) -> None:
    cache.set("list", [1, 2, 3])
    cache.set("text", "text")
    cache.set("bytes", b"bytes")
    cache.set("other", "kept")
    cache.set("key", 1)


def is_in_order(cache: FastMmap, path: str, name: str) -> bool:
    """Tell whether all pages are free, sound and hold what was not touched."""
    with FastMmap(path, lock_timeout=5) as other:
        stored = other.set("key", 1) and cache.set("key", 1)
        kept = other.get("other") == "kept" or name in ("clear", "empty")
        return bool(stored and kept and other.check().ok and not cache.closed)


def starve(
    cache: FastMmap, path: str, name: str, use: Callable[[FastMmap], object]
) -> int:
    """Fail each allocation of an operation in turn; return how many failed.

    It has come to an end when it succeeds several times in a row: some
    allocations may fail without harm.
    """
    failed = successes = at = 0
    while successes < 8:
        assert at < 2 * ALLOCATIONS_MAX, name
        fill(cache)
        outcome = without_memory(lambda: use(cache), at)
        failed += outcome == "no memory"
        successes = successes + 1 if outcome == "done" else 0
        assert is_in_order(cache, path, name), (name, at)
        at += 1
    return failed


def starve_all(path: str) -> dict[str, int]:
    cache = FastMmap(
        path,
        page_size="64k",
        num_pages=1,
        lock_timeout=5,
        read_cb=read,
        unlink_on_exit=False,
    )
    # It is made where there is memory, and called where there is none.
    function = cache.memoize(key=lambda: "key")(lambda: 1)
    uses = {**USES, "memoize": lambda cache: function()}
    return {name: starve(cache, path, name, use) for name, use in uses.items()}


def test_operations_without_memory_leave_all_in_order(path: str) -> None:
    failed = run_scenario(starve_all, path, timeout=200.0)
    print(failed)
    assert all(failed[name] for name in FURTHER), failed


def locals_of_the_caller() -> dict[str, Any]:
    return sys._getframe(1).f_locals


def open_without_memory(path: str, exists: bool, init_file: bool) -> list[int]:
    """Fail each allocation of an open; return how many did, and leaks."""
    builtins.locals = locals_of_the_caller
    failed = successes = at = 0
    before = len(os.listdir("/proc/self/fd"))
    while successes < 8:
        if exists:
            with FastMmap(path, cache_size="256k", unlink_on_exit=False) as cache:
                cache.set("key", "value")
        outcome = without_memory(
            lambda: FastMmap(path, cache_size="256k", init_file=init_file).close(), at
        )
        failed += outcome == "no memory"
        successes = successes + 1 if outcome == "done" else 0
        assert os.listdir(os.path.dirname(path)) in ([], [os.path.basename(path)])
        if os.path.exists(path):
            with FastMmap(path, unlink_on_exit=False) as cache:
                assert cache.check().ok
        if not exists and os.path.exists(path):
            os.unlink(path)
        at += 1
    return [failed, len(os.listdir("/proc/self/fd")) - before]


@pytest.mark.parametrize("init_file", [False, True])
@pytest.mark.parametrize("exists", [False, True])
def test_open_without_memory_leaves_nothing(
    path: str, exists: bool, init_file: bool
) -> None:
    failed, leaked = run_scenario(open_without_memory, path, exists, init_file)
    assert failed > 10
    assert leaked == 0


def open_without_address_space(path: str) -> list[object]:
    """Open more than this process may map; the file that is there stays."""
    with FastMmap(path, cache_size="256k", unlink_on_exit=False) as cache:
        cache.set("key", "value")
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (used + (32 << 20), hard))
        error = error_of(lambda: FastMmap(path, init_file=True, cache_size="256m"))
        new = error_of(lambda: FastMmap(path + ".new", cache_size="256m"))
        found = [cache.get("key"), cache.set("key", "new")]
        return [error, new, found, os.listdir(os.path.dirname(path))]


def error_of(use: Callable[[], object]) -> list[object]:
    """Return errno and file name of the error of a call; empty if none."""
    try:
        use()
    except OSError as error:
        return [error.errno, error.filename]
    return []


def test_a_lack_of_address_space_is_an_os_error_and_keeps_the_old_file(
    path: str,
) -> None:
    error, new, found, names = run_scenario(open_without_address_space, path)
    assert error == [errno.ENOMEM, path]
    assert new == [errno.ENOMEM, path + ".new"]
    assert found == ["value", True]
    assert names == [os.path.basename(path)]
