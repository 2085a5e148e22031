"""Locks and computations in trio, and in anyio on both of its backends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support import MakeCache, another_computes

from fastmmap import FastMmap, LockTimeout
from fastmmap.sync import Event, Lock, RLock, Semaphore

trio = pytest.importorskip("trio")
anyio = pytest.importorskip("anyio")

KINDS = [Lock, RLock, Semaphore]


@pytest.mark.parametrize("kind", KINDS)
def test_tasks_of_trio_have_a_lock_one_at_a_time(cache: FastMmap, kind: Any) -> None:
    inside: list[int] = []
    done: list[int] = []

    async def work(number: int) -> None:
        async with kind(cache, "a"):
            inside.append(number)
            assert inside == [number]
            await trio.sleep(0.001)
            inside.remove(number)
            done.append(number)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(work, number)

    trio.run(main)
    assert sorted(done) == list(range(10))


def test_a_task_of_trio_nests_its_rlock(cache: FastMmap) -> None:
    async def main() -> None:
        async with RLock(cache, "a"), RLock(cache, "a") as lock:
            assert lock.locked()
        assert not lock.locked()

    trio.run(main)


def test_a_cancelled_task_of_trio_has_nothing(cache: FastMmap) -> None:
    async def main() -> None:
        lock = Lock(cache, "a")
        async with lock:
            with trio.move_on_after(0.02) as scope:
                await Lock(cache, "a").acquire_async()
            assert scope.cancelled_caught
        assert not lock.locked()

    trio.run(main)


def test_a_timeout_ends_the_waiting_in_trio(cache: FastMmap) -> None:
    async def main() -> None:
        async with Lock(cache, "a"):
            assert await Lock(cache, "a").acquire_async(timeout=0.01) is False
            with pytest.raises(LockTimeout):
                async with Lock(cache, "a", timeout=0.01):
                    pass

    trio.run(main)


def test_trio_starts_acquire_async_like_any_function(cache: FastMmap) -> None:
    async def main() -> None:
        lock = Lock(cache, "a")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lock.acquire_async)
        assert lock.locked()
        lock.release()

    trio.run(main)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_anyio_computes_once_and_waits(cache: FastMmap, backend: str) -> None:
    calls: list[int] = []
    values: list[int] = []

    async def compute() -> int:
        calls.append(1)
        await anyio.sleep(0.05)
        return 42

    kept = cache.memoize(key=lambda: "kept")(compute)

    async def want() -> None:
        values.append(await cache.get_or_set("key", compute))
        values.append(await kept())

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(want)

    anyio.run(main, backend=backend)
    assert values == [42] * 16 and len(calls) == 2


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_waiting_in_anyio_is_cancelled_and_leaves_nothing(
    make_cache: MakeCache, backend: str
) -> None:
    cache = make_cache()

    async def compute() -> int:
        return 1

    async def main() -> None:
        with another_computes(cache), anyio.move_on_after(0.02) as scope:
            await cache.get_or_set("key", compute)
        assert scope.cancel_called
        async with Lock(cache, "a"):
            with anyio.move_on_after(0.02):
                await Lock(cache, "a").acquire_async()
        assert await cache.get_or_set("key", compute) == 1

    anyio.run(main, backend=backend)
    assert not Lock(cache, "a").locked()


def test_an_event_is_waited_for_in_trio(cache: FastMmap) -> None:
    event = Event(cache, "a")

    async def set_soon() -> None:
        await trio.sleep(0.02)
        event.set()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(set_soon)
            assert await event.wait_async(timeout=10)

    trio.run(main)


def test_a_lock_that_is_never_awaited_warns(cache: FastMmap) -> None:
    with pytest.warns(RuntimeWarning, match="'a' was never awaited"):
        Lock(cache, "a").acquire_async()


def test_an_awaitable_is_awaited_once(cache: FastMmap) -> None:
    async def main() -> None:
        lock = Lock(cache, "a")
        waiting = lock.acquire_async()
        assert await waiting is True
        with pytest.raises(RuntimeError, match="cannot be awaited again"):
            await waiting
        lock.release()
        unused = lock.acquire_async()
        with pytest.raises(KeyError):
            unused.throw(KeyError("mine"))
        lock.acquire_async().close()
        assert not lock.locked()

    asyncio.run(main())
