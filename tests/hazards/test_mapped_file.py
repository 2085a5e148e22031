"""The file truncated, unlinked, replaced or chmodded while it is mapped."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
from support import MakeCache, Scenario, run_scenario

from fastmmap import CorruptError, FastMmap

USES: dict[str, Callable[[FastMmap], object]] = {
    "get": lambda cache: cache.get("key 1"),
    "get_many": lambda cache: cache.get_many(["key 1", "key 2"]),
    "exists": lambda cache: "key 1" in cache,
    "set": lambda cache: cache.set("key 1", b"new"),
    "incr": lambda cache: cache.incr("n"),
    "touch": lambda cache: cache.touch("key 1", 10),
    "remove": lambda cache: cache.remove("key 1"),
    "get_and_set": lambda cache: cache.get_and_set("key 1", lambda *_: 1),
    "lock": lambda cache: lock_and(cache, lambda item: item.set(1)),
    "lock, remove": lambda cache: lock_and(cache, lambda item: item.remove()),
    "get_or_read": lambda cache: cache.get("absent"),
    "iter": lambda cache: list(cache),
    "stats": lambda cache: cache.stats(),
    "check": lambda cache: cache.check(),
    "clear": lambda cache: cache.clear(),
}


def lock_and(cache: FastMmap, change: Callable[[Any], object]) -> None:
    with cache.lock("key 1") as item:
        change(item)


def make(path: str, **options: Any) -> FastMmap:
    cache = FastMmap(path, cache_size="1m", unlink_on_exit=False, **options)
    cache.update({f"key {number}": b"x" * 500 for number in range(500)})
    return cache


def use_truncated(path: str, length: int, name: str) -> list[str]:
    """Use a truncated file under the guard; another one is not disturbed."""
    cache = make(path, sigbus_guard=True)
    other = FastMmap(path + ".other", cache_size="256k", sigbus_guard=True)
    other.set("key", "value")
    os.truncate(path, length)
    outcomes = []
    # Whatever was met first: later all say the same.
    for use in (USES[name], USES["clear"], USES["get"], USES["set"]):
        try:
            use(cache)
            outcomes.append("went on")
        except CorruptError as error:
            outcomes.append("corrupt" if path in str(error) else str(error))
    assert other.get("key") == "value" and other.set("key", "new")
    cache.close()
    with FastMmap(path, cache_size="1m", init_file=True) as again:
        assert again.set("key", "again") and again.get("key") == "again"
    return outcomes[1:]


@pytest.mark.parametrize("length", [0, 4096, 70_000])
@pytest.mark.parametrize("name", ["get", "set", "iter", "check"])
def test_a_truncated_file_is_corrupt_under_the_guard(
    path: str, length: int, name: str
) -> None:
    assert run_scenario(use_truncated, path, length, name) == ["corrupt"] * 3


def use_truncated_by_name(path: str) -> dict[str, str]:
    """Meet the truncation with each operation first."""
    outcomes = {}
    for name, use in USES.items():
        cache = make(path, sigbus_guard=True, read_cb=lambda context, key: key)
        os.truncate(path, 0)
        try:
            use(cache)
            outcomes[name] = "went on"
        except CorruptError:
            outcomes[name] = "corrupt"
        cache.close()
        os.unlink(path)
    return outcomes


def truncate_within(path: str) -> list[str]:
    """Truncate while user code holds the page: what it stores is void."""
    outcomes = []
    for act in ("set", "remove", "function"):
        cache = make(path, sigbus_guard=True)
        try:
            if act == "function":
                cache.get_and_set("key 1", lambda *_: os.truncate(path, 0) or 1)
            else:
                with cache.lock("key 1") as item:
                    os.truncate(path, 0)
                    item.remove() if act == "remove" else item.set(1)
            outcomes.append("went on")
        except CorruptError:
            outcomes.append("corrupt")
        cache.close()
        os.unlink(path)
    return outcomes


def test_a_truncation_inside_a_block_is_corrupt(path: str) -> None:
    assert run_scenario(truncate_within, path) == ["corrupt"] * 3


def test_each_operation_survives_a_truncation_under_the_guard(path: str) -> None:
    outcomes = run_scenario(use_truncated_by_name, path)
    assert outcomes == dict.fromkeys(USES, "corrupt")


def use_truncated_unguarded(path: str) -> None:
    cache = make(path)
    os.truncate(path, 4096)
    cache.get("key 1")


def test_a_truncated_file_is_a_sigbus_without_the_guard(path: str) -> None:
    with Scenario(use_truncated_unguarded, path) as running:
        assert running.exit_code() == -signal.SIGBUS
    # It took this process; the file is refused as what it is.
    with pytest.raises(ValueError, match="init_file"):
        FastMmap(path)
    FastMmap(path, init_file=True).close()


def use_grown(path: str) -> list[object]:
    """A file that a stranger made longer is no harm to those who have it."""
    cache = make(path)
    os.truncate(path, os.path.getsize(path) + 5000)
    return [cache.get("key 1") is not None, cache.set("key", 1), cache.check().ok]


def test_a_file_that_grew_is_used_further(path: str) -> None:
    assert run_scenario(use_grown, path) == [True, True, True]
    with pytest.raises(ValueError, match="size"):
        FastMmap(path)


@pytest.mark.parametrize("mode", [0o000, 0o444, 0o666])
def test_a_file_whose_mode_changes_is_used_further(
    make_cache: MakeCache, path: str, mode: int
) -> None:
    """Who has it open keeps it; who opens it now is told."""
    cache = make_cache(sigbus_guard=mode == 0o444)
    cache.set("key", "value")
    os.chmod(path, mode)
    time.sleep(1.1)
    assert cache.get("key") == "value"
    assert cache.set("key", "new")
    if mode == 0o666:
        with pytest.raises(PermissionError, match="writable by others"):
            FastMmap(path)
    os.chmod(path, 0o600)
    with FastMmap(path) as other:
        assert other.get("key") == "new"


@pytest.mark.parametrize("guard", [False, True])
def test_a_file_that_is_unlinked_or_moved_is_used_further(
    make_cache: MakeCache, path: str, guard: bool
) -> None:
    cache = make_cache(sigbus_guard=guard, unlink_on_exit=False)
    cache.set("key", "value")
    os.rename(path, path + ".moved")
    time.sleep(1.1)
    assert cache.get("key") == "value"
    os.unlink(path + ".moved")
    assert cache.set("key", "new")
    assert cache.get("key") == "new"
    assert cache.check().ok


def test_a_guarded_cache_follows_a_replaced_file(
    make_cache: MakeCache, path: str
) -> None:
    """And is guarded there, too."""
    assert run_scenario(follow_guarded, path) == [None, "corrupt"]


def follow_guarded(path: str) -> list[object]:
    cache = make(path, sigbus_guard=True)
    make(path, init_file=True).clear()
    found = cache.get("key 1")
    os.truncate(path, 0)
    try:
        return [found, cache.get("key 1")]
    except CorruptError:
        return [found, "corrupt"]
