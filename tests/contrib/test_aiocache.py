"""The cache for aiocache: what its own tests, in tests/outside, do not ask."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiocache import cached, caches, multi_cached
from aiocache.lock import OptimisticLock, OptimisticLockError, RedLock
from aiocache.plugins import BasePlugin, HitMissRatioPlugin, TimingPlugin
from aiocache.serializers import StringSerializer
from broken import Broken
from held_pages import watched
from support import run_scenario

from fastmmap.contrib.aiocache import FastMmapCache
from fastmmap.testing import time_travel


@pytest.fixture
def cache(path: str) -> FastMmapCache:
    return FastMmapCache(path, cache_size="1m")


def run(*calls: Callable[[], Awaitable[Any]]) -> list[Any]:
    """Make calls one after the other in one event loop; return the results."""

    async def all_of_them() -> list[Any]:
        return [await call() for call in calls]

    return asyncio.run(all_of_them())


def test_objects_with_the_same_options_share_one_open_file(path: str) -> None:
    first = FastMmapCache(path, namespace="a", cache_size="1m")
    second = FastMmapCache(path, namespace="b", cache_size="1m")
    assert first._cache is second._cache
    assert path in repr(first)


def test_a_cache_that_is_not_used_creates_nothing(path: str) -> None:
    assert path in repr(FastMmapCache(path))
    assert not os.path.exists(path)


def test_ignoring_exceptions_it_goes_on_without_a_cache(path: str) -> None:
    os.mkdir(path)
    cache = FastMmapCache(path, ignore_exceptions=True)

    async def redlock() -> bool:
        async with RedLock(cache, "key", 1):
            return True

    assert run(
        lambda: cache.set("key", 1),
        lambda: cache.get("key", "missing"),
        lambda: cache.add("key", 1),
        lambda: cache.multi_set([("key", 1)]),
        lambda: cache.multi_get(["key", "other"]),
        lambda: cache.exists("key"),
        lambda: cache.increment("key", 2),
        lambda: cache.expire("key", 1),
        lambda: cache.delete("key"),
        lambda: cache.clear("prefix"),
        lambda: cache.clear(),
        redlock,
    ) == [True, "missing", True, True, [None, None], False, 2, False, 0, *[True] * 3]


def test_no_call_leaves_the_thread(
    cache: FastMmapCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any) -> None:
        raise AssertionError("a thread was asked for")

    monkeypatch.setattr(asyncio.BaseEventLoop, "run_in_executor", refuse)
    done = run(
        lambda: cache.set("key", 1),
        lambda: cache.get("key"),
        lambda: cache.increment("key"),
        lambda: cache.multi_get(["key", "other"]),
        lambda: cache.delete("key"),
        lambda: cache.raw("exists", "key"),
        lambda: cache.close(),
        lambda: cache.set("key", 1),
    )
    assert done == [True, 1, 2, [2, None], 1, False, None, True]


def count(path: str) -> Any:
    cache = FastMmapCache(path, cache_size="1m")
    return asyncio.run(cache.increment("count"))


def test_another_process_sees_the_same_cache(cache: FastMmapCache, path: str) -> None:
    run(lambda: cache.set("count", 41))
    assert run_scenario(count, path) == 42
    assert run(lambda: cache.get("count")) == [42]


@pytest.mark.parametrize(
    ("ttl", "alive"),
    [
        *((None, True), (0, True), (59, False), (0.5, False), (61, True)),
        *((sys.maxsize, True), (float("inf"), True)),
    ],
)
def test_a_ttl_of_nothing_is_for_ever(
    cache: FastMmapCache, ttl: Any, alive: bool
) -> None:
    run(
        lambda: cache.set("set", 1, ttl=ttl),
        lambda: cache.add("added", 1, ttl=ttl),
        lambda: cache.multi_set([("many", 1)], ttl=ttl),
        lambda: cache.set("touched", 1, ttl=10**6),
        lambda: cache.expire("touched", ttl),
    )
    with time_travel(60):
        for key in ("set", "added", "many", "touched"):
            assert run(lambda key=key: cache.exists(key)) == [alive], key


def test_the_ttl_of_the_object_is_the_default(path: str) -> None:
    cache = FastMmapCache(path, ttl=30, cache_size="1m")
    run(lambda: cache.set("key", 1))
    with time_travel(31):
        assert run(lambda: cache.get("key")) == [None]


def test_an_increment_keeps_the_ttl(cache: FastMmapCache) -> None:
    run(lambda: cache.set("key", 1, ttl=60), lambda: cache.increment("key"))
    with time_travel(61):
        assert run(lambda: cache.get("key")) == [None]


def test_a_counter_that_a_serializer_made_text_counts_on(path: str) -> None:
    cache = FastMmapCache(path, serializer=StringSerializer(), cache_size="1m")
    run(lambda: cache.set("key", 41))
    assert run(lambda: cache.increment("key")) == [42]


def test_a_value_that_does_not_fit_is_logged_and_its_key_is_free(
    cache: FastMmapCache, caplog: pytest.LogCaptureFixture
) -> None:
    large = b"x" * 500_000
    with caplog.at_level(logging.WARNING, "fastmmap"):
        done = run(
            lambda: cache.set("key", "old"),
            lambda: cache.set("key", large),
            lambda: cache.multi_set([("small", 1), ("large", large)]),
            lambda: cache.multi_get(["key", "small", "large"]),
        )
    assert done[0] is True and done[1] is False
    assert done[3] == [None, 1, None]
    assert caplog.text.count("is too large") == 2


def test_a_namespace_is_cleared_and_nothing_else(path: str) -> None:
    one = FastMmapCache(path, namespace="one:", cache_size="1m")
    two = FastMmapCache(path, namespace="two:", cache_size="1m")
    run(
        lambda: one.set("key", 1),
        lambda: two.set("key", 2),
        lambda: one.clear(namespace="one:"),
    )
    assert run(lambda: one.get("key"), lambda: two.get("key")) == [None, 2]


def test_only_the_holder_of_a_lock_releases_it(cache: FastMmapCache) -> None:
    async def work() -> list[bool]:
        first, second = RedLock(cache, "key", 20), RedLock(cache, "key", 20)
        await first.__aenter__()
        await second.__aexit__(None, None, None)
        held = await cache.exists("key-lock")
        await first.__aexit__(None, None, None)
        return [held, await cache.exists("key-lock")]

    assert asyncio.run(work()) == [True, False]


def test_a_change_in_between_is_noticed(cache: FastMmapCache, path: str) -> None:
    async def work() -> None:
        await cache.set("count", 1)
        async with OptimisticLock(cache, "count") as locked:
            assert run_scenario(count, path) == 2
            await locked.cas(10)

    with pytest.raises(OptimisticLockError):
        asyncio.run(work())
    assert run(lambda: cache.get("count")) == [2]


def test_a_decorated_function_runs_once_for_all(path: str) -> None:
    caches.set_config(
        {
            "default": {
                "cache": FastMmapCache,
                "share_file": path,
                "cache_size": "1m",
            }
        }
    )
    calls = []

    @cached(alias="default", key_builder=lambda function, *arguments: str(arguments))
    async def double(number: int) -> int:
        calls.append(number)
        return number * 2

    assert run(lambda: double(2), lambda: double(2), lambda: double(3)) == [4, 4, 6]
    assert calls == [2, 3]


def test_a_misspelt_option_is_an_error(path: str) -> None:
    with pytest.raises(TypeError, match="cache_siez"):
        FastMmapCache(path, cache_siez="1m")


def test_a_negative_ttl_has_expired(cache: FastMmapCache) -> None:
    """As in the memory cache of aiocache."""
    done = run(
        lambda: cache.set("key", 1, ttl=-1),
        lambda: cache.multi_set([("many", 1)], ttl=-1),
        lambda: cache.add("added", 1, ttl=-1),
        lambda: cache.set("kept", 1),
        lambda: cache.expire("kept", -1),
        lambda: cache.multi_get(["key", "many", "added", "kept"]),
    )
    assert done == [True, True, True, True, True, [None] * 4]


def test_a_value_that_cannot_be_read_is_computed_anew(cache: FastMmapCache) -> None:
    path = cache._cache.share_file
    caches.add(
        "unreadable",
        {
            "cache": "fastmmap.contrib.aiocache.FastMmapCache",
            "share_file": path,
            "cache_size": "1m",
        },
    )
    calls: list[str] = []

    @cached(key_builder=lambda *_: "one", alias="unreadable")
    async def one() -> int:
        calls.append("one")
        return 1

    @multi_cached("keys", alias="unreadable")
    async def many(keys: list[str]) -> dict[str, int]:
        calls.append("many")
        return dict.fromkeys(keys, 2)

    cache._cache.update(one=Broken(), two=Broken())
    for _ in range(2):
        assert run(one, lambda: many(keys=["two"])) == [1, {"two": 2}]
    assert calls == ["one", "many"]


CALLS: dict[str, Callable[[FastMmapCache], Awaitable[Any]]] = {
    "set": lambda cache: cache.set("key", 1),
    "multi_set": lambda cache: cache.multi_set([("a", 1), ("b", 2)]),
    "add": lambda cache: cache.add("new", 1),
    "increment": lambda cache: cache.increment("number"),
    "delete": lambda cache: cache.delete("number"),
    "clear": lambda cache: cache.clear(),
    "raw": lambda cache: cache.raw("set", "key", 1),
}


def call_while_the_page_is_held(path: str, name: str) -> bool:
    cache = FastMmapCache(path, num_pages=1)
    cache._cache["number"] = 1
    went_on, _ = asyncio.run(watched(path, lambda: CALLS[name](cache)))
    return went_on


@pytest.mark.parametrize("name", CALLS)
def test_the_loop_goes_on_while_the_page_is_held(path: str, name: str) -> None:
    assert run_scenario(call_while_the_page_is_held, path, name)


# ------------------------------------------------------------------- a quick get


@pytest.fixture
def no_timers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a timer was wanted")

    monkeypatch.setattr(asyncio, "wait_for", refuse)


@pytest.mark.usefixtures("no_timers")
def test_what_can_be_seen_at_once_needs_no_timer(cache: FastMmapCache) -> None:
    cache._cache.set_many({"key": 1, "space:key": 2, "text": "[3]"})
    assert run(
        lambda: cache.get("key"),
        lambda: cache.get("key", timeout=1),
        lambda: cache.get("key", namespace="space:"),
        lambda: cache.get("none"),
        lambda: cache.get("none", 4),
        lambda: cache.get("text", None, json.loads),
        lambda: cache.get("text", loads_fn=json.loads),
    ) == [1, 1, 2, None, 4, [3], [3]]


def test_plugins_of_aiocache_see_each_get(cache: FastMmapCache) -> None:
    cache.plugins = [HitMissRatioPlugin(), TimingPlugin()]
    assert run(
        lambda: cache.set("key", 1),
        lambda: cache.get("key"),
        lambda: cache.get("other", 2),
        lambda: cache.get("key", namespace="of another"),
    ) == [True, 1, 2, None]


def test_plugins_see_a_get(cache: FastMmapCache) -> None:
    class Plugin(BasePlugin):  # type: ignore[misc]  # it has no types
        async def pre_get(self, *_: Any, **__: Any) -> None:
            seen.append("before")

        async def post_get(self, *_: Any, **__: Any) -> None:
            seen.append("after")

    seen: list[str] = []
    cache.plugins = [Plugin()]
    assert run(lambda: cache.get("key", 1)) == [1]
    assert seen == ["before", "after"]


def test_a_get_can_be_disabled(
    cache: FastMmapCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache._cache["key"] = 1
    monkeypatch.setenv("AIOCACHE_DISABLE", "1")
    assert run(lambda: cache.get("key")) == [None]


def test_a_get_is_logged_for_who_wants_to_know(
    cache: FastMmapCache, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "aiocache.base"):
        run(lambda: cache.get("key"))
    assert "GET key False" in caplog.text
