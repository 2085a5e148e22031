"""Tasks that a computation starts: a part of it only if it waits for them."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

from fastmmap import FastMmap, LockError

Child = Callable[[], Awaitable[Any]]


# ------------------------------------------------------------------- only started


@pytest.mark.quick
@pytest.mark.parametrize("way", ["get_or_set", "memoize"])
def test_a_task_that_was_only_started_waits_like_any_other(
    cache: FastMmap, way: str
) -> None:
    tasks: list[asyncio.Task[Any]] = []

    async def compute() -> str:
        tasks.append(asyncio.ensure_future(ask()))
        await asyncio.sleep(0.1)
        return "value"

    memoized = cache.memoize(name="compute")(compute)

    def ask() -> Any:
        return memoized() if way == "memoize" else cache.get_or_set("key", compute)

    async def main() -> list[Any]:
        return [await ask(), await tasks[0]]

    assert asyncio.run(main()) == ["value", "value"]
    assert len(tasks) == 1


def test_a_task_that_was_only_started_is_in_no_circle(cache: FastMmap) -> None:
    tasks: list[asyncio.Task[Any]] = []

    async def compute_a() -> str:
        tasks.append(asyncio.ensure_future(cache.get_or_set("b", compute_b)))
        await asyncio.sleep(0.6)
        return "a"

    async def compute_b() -> Any:
        return "b" + await cache.get_or_set("a", compute_a, timeout=10)

    async def main() -> list[Any]:
        asked = cache.get_or_set("b", compute_b)
        first = asyncio.ensure_future(cache.get_or_set("a", compute_a))
        second = asyncio.ensure_future(asked)
        return [await first, await second, await tasks[0]]

    assert asyncio.run(main()) == ["a", "ba", "ba"]


# ------------------------------------------------------------------------ awaited


async def awaited(child: Child) -> Any:
    return await asyncio.ensure_future(child())


async def awaited_later(child: Child) -> Any:
    task = asyncio.ensure_future(child())
    await asyncio.sleep(0.05)
    return await task


async def gathered(child: Child) -> Any:
    return await asyncio.gather(asyncio.sleep(0), child())


async def waited_for(child: Child) -> Any:
    done, _ = await asyncio.wait([asyncio.ensure_future(child())])
    return done.pop().result()


async def shielded(child: Child) -> Any:
    return await asyncio.shield(asyncio.ensure_future(child()))


async def limited(child: Child) -> Any:
    return await asyncio.wait_for(child(), 20)


async def in_a_group(child: Child) -> Any:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(child())
    return task.result()


async def as_completed(child: Child) -> Any:
    return [await one for one in asyncio.as_completed([child()])]


async def by_way_of_another(child: Child) -> Any:
    return await asyncio.gather(awaited(lambda: gathered(child)))


WAYS = [awaited, awaited_later, gathered, waited_for, shielded, limited, as_completed]
WAYS += [by_way_of_another, in_a_group][: 1 + (sys.version_info >= (3, 11))]


@pytest.mark.quick
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_task_that_the_computation_waits_for_would_wait_for_itself(
    cache: FastMmap, way: Callable[[Child], Awaitable[Any]]
) -> None:
    refused: list[LockError] = []

    async def child() -> Any:
        try:
            return await cache.get_or_set("key", fetch, timeout=20)
        except LockError as error:
            refused.append(error)
            return "refused"

    async def fetch() -> Any:
        return await way(child)

    began = time.monotonic()
    asyncio.run(cache.get_or_set("key", fetch))
    assert len(refused) == 1 and "wait for itself" in str(refused[0])
    assert time.monotonic() - began < 10


# --------------------------------------------------------------------------- trio


async def ask_in_trio(cache: FastMmap, found: list[Any]) -> None:
    async def fetch() -> str:
        return "computed by another"

    try:
        found.append(await cache.get_or_set("key", fetch, timeout=20))
    except LockError:
        found.append("refused")


def test_a_nursery_inside_the_computation_is_waited_for(cache: FastMmap) -> None:
    found: list[Any] = []

    async def compute() -> str:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask_in_trio, cache, found)
        return "value"

    async def main() -> Any:
        return await cache.get_or_set("key", compute)

    assert trio.run(main) == "value"
    assert found == ["refused"]


@pytest.mark.parametrize("whose", ["own", "of another"])
def test_a_nursery_around_the_computation_is_not(cache: FastMmap, whose: str) -> None:
    found: list[Any] = []

    async def main() -> None:
        async def compute() -> str:
            nursery.start_soon(ask_in_trio, cache, found)
            await trio.sleep(0.1)
            return "value"

        async def ask() -> None:
            found.append(await cache.get_or_set("key", compute))

        async with trio.open_nursery() as nursery:
            if whose == "own":
                await ask()
            else:
                nursery.start_soon(ask)

    trio.run(main)
    assert found == ["value", "value"]
