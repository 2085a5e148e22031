"""Event loops go on while somebody else holds the page that a task needs."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

import pytest
from held_pages import Holder, held, watched
from support import run_scenario

from fastmmap import FastMmap, LockTimeout
from fastmmap.sync import (
    Event,
    Lock,
    RateLimiter,
    RLock,
    Semaphore,
    wait_for_key_async,
)


async def memoized(cache: FastMmap) -> object:
    @cache.memoize()
    async def one(n: int) -> int:
        return n + 1

    return await one(1)


async def memoized_to_be_refreshed(cache: FastMmap) -> object:
    @cache.memoize("1h", stale="1h", tags=["tag"], cache_exceptions=ValueError)
    async def one(n: int) -> int:
        return n + 1

    return await one(1)


async def computed(cache: FastMmap) -> object:
    async def two() -> int:
        return 2

    return await cache.get_or_set_async("computed", two, tags=["tag"])


async def computed_in_a_namespace(cache: FastMmap) -> object:
    async def two() -> int:
        return 2

    return await cache.namespace("names").get_or_set_async("computed", two)


async def waited(cache: FastMmap) -> object:
    timer = threading.Timer(0.1, cache.set, ("key", 2))
    timer.start()
    return await wait_for_key_async(cache, "key")


async def happened(cache: FastMmap) -> object:
    event = Event(cache, "event")
    threading.Timer(0.1, event.set).start()
    return 2 * await event.wait_async()


async def limited(cache: FastMmap) -> object:
    return 2 * await RateLimiter(cache, "limit", 5).acquire_async()


async def locked(cache: FastMmap) -> object:
    async with Lock(cache, "lock"), RLock(cache, "rlock"), Semaphore(cache, "some"):
        return 2


WAYS = (
    memoized,
    memoized_to_be_refreshed,
    computed,
    computed_in_a_namespace,
    waited,
    happened,
    limited,
    locked,
)


def work_while_the_page_is_held(path: str, way: int) -> tuple[Any, ...]:
    with FastMmap(path, num_pages=1) as cache:
        return asyncio.run(watched(path, lambda: WAYS[way](cache)))


@pytest.mark.parametrize("way", range(len(WAYS)), ids=[way.__name__ for way in WAYS])
def test_a_loop_goes_on_while_the_page_is_held(path: str, way: int) -> None:
    assert run_scenario(work_while_the_page_is_held, path, way) == (True, 2)


def hold_it_while_a_value_is_stored(path: str) -> tuple[Any, ...]:
    """The page is taken while the value is computed."""
    with FastMmap(path, num_pages=1) as cache:
        holding = contextlib.ExitStack()
        holders: dict[Holder, asyncio.Future[None]] = {}

        async def take_it_and_compute() -> int:
            holder = holding.enter_context(held(path))
            holders[holder] = asyncio.ensure_future(holder.ask_after_ticks())
            return 2

        with holding:
            found = asyncio.run(cache.get_or_set_async("computed", take_it_and_compute))
        went_on = [holder.let_go_when_asked for holder in holders]
        return (*went_on, found, cache.get("computed"))


def test_a_loop_goes_on_while_what_was_computed_finds_its_page_held(path: str) -> None:
    assert run_scenario(hold_it_while_a_value_is_stored, path) == (True, 2, 2)


def wait_in_vain(path: str) -> tuple[Any, ...]:
    """With a lock_timeout, as for anybody else."""
    with FastMmap(path, num_pages=1, lock_timeout=0.1) as cache:

        async def run() -> bool:
            with held(path, 20):
                try:
                    await memoized(cache)
                except LockTimeout:
                    return True
            return False

        return (asyncio.run(run()),)


@pytest.mark.timeout(30)
def test_lock_timeout_ends_the_wait_of_a_task(path: str) -> None:
    assert run_scenario(wait_in_vain, path) == (True,)


def wait_for_what_has_not_happened(path: str) -> tuple[Any, ...]:
    """The page is held when the wait begins: how often it was set is not known."""
    with FastMmap(path, num_pages=1) as cache:
        event = Event(cache, "event")
        event.set()
        event.clear()

        async def run() -> bool:
            with held(path, 0.1):
                return await event.wait_async(0.3)

        return (asyncio.run(run()),)


def test_an_event_that_was_cleared_before_the_wait_does_not_end_it(path: str) -> None:
    assert run_scenario(wait_for_what_has_not_happened, path) == (False,)
