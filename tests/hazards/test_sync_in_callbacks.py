"""Counters, limiters and locks that are used by what a cache calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support import MakeCache

from fastmmap import FastMmap, LockError
from fastmmap.sync import Counter, Event, Lock, RateLimiter, Semaphore

TOOLS: dict[str, Callable[[FastMmap], object]] = {
    "counter": lambda cache: Counter(cache, "a").add(),
    "limiter": lambda cache: RateLimiter(cache, "a", 1).take(),
    "waiting limiter": lambda cache: RateLimiter(cache, "a", 1, 60).acquire(timeout=0),
    "event": lambda cache: Event(cache, "a").set(),
    "lock": lambda cache: Lock(cache, "a").acquire(timeout=0),
    "semaphore": lambda cache: Semaphore(cache, "a", 1).acquire(timeout=0),
}


class Used:
    """A cache whose callbacks use a tool, each once; what comes of it is noted."""

    def __init__(self, make_cache: MakeCache, tool: str, **options: Any) -> None:
        self.tool, self.began = TOOLS[tool], False
        self.found: list[object] = []
        callbacks = dict.fromkeys(("read_cb", "write_cb", "delete_cb"), self.use)
        self.cache = make_cache(**callbacks, **options)

    def use(self, *_: object) -> None:
        if self.began:
            return
        self.began = True
        try:
            self.found.append(self.tool(self.cache))
        except LockError as error:
            self.found.append(type(error))


PLACES: dict[str, Callable[[Used], object]] = {
    "read_cb": lambda used: used.cache.get("key"),
    "write_cb": lambda used: used.cache.set("key", 1),
    "get_and_set": lambda used: used.cache.get_and_set("key", used.use),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("tool", TOOLS)
def test_they_are_refused_at_once(make_cache: MakeCache, tool: str, place: str) -> None:
    used = Used(make_cache, tool)
    PLACES[place](used)
    assert used.found == [LockError]
    assert TOOLS[tool](used.cache) in (True, 1, None)  # nothing was taken


@pytest.mark.parametrize("tool", TOOLS)
def test_with_allow_recursive_callbacks_use_them(
    make_cache: MakeCache, tool: str
) -> None:
    used = Used(make_cache, tool, allow_recursive=True)
    used.cache.get("key")
    assert used.found in ([True], [1], [None])


@pytest.mark.parametrize("tool", TOOLS)
def test_what_is_written_back_may_use_them(make_cache: MakeCache, tool: str) -> None:
    used = Used(make_cache, tool, allow_recursive=True, write_action="write_back")
    used.cache.set("key", 1)
    used.cache.flush()
    assert used.found in ([True], [1], [None])
    assert not used.cache.get_entry("key").dirty


@pytest.mark.parametrize("tool", TOOLS)
def test_a_computation_uses_them(cache: FastMmap, tool: str) -> None:
    assert cache.get_or_set("key", lambda: [TOOLS[tool](cache)])[0] in (True, 1, None)
