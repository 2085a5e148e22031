"""A tier for event loops: the same answers, and the loop continues."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis
import tier_server
from support import MakeCache
from tier_support import LIMIT, settle

from fastmmap.redis import AsyncRedisTier, RedisTier

Body = Callable[[AsyncRedisTier], Awaitable[None]]


@pytest.fixture
def run(
    server: tier_server.Server, client: Any, make_cache: MakeCache
) -> Callable[[Body], None]:
    """Return what runs a coroutine with a tier that is live."""

    async def with_tier(body: Body) -> None:
        options = {"prefixes": ("app:",), "max_lag": 5}
        tier = AsyncRedisTier(make_cache(), server.url, **options)
        assert await tier.wait_until_live(LIMIT)
        try:
            await body(tier)
        finally:
            tier.close()
            await tier._client.aclose()

    return lambda body: asyncio.run(with_tier(body))


def test_the_operations_answer_as_those_of_redis_tier(
    run: Callable[[Body], None], client: Any
) -> None:
    async def body(tier: AsyncRedisTier) -> None:
        assert await tier.get("app:a", 7) == 7
        assert await tier.set("app:a", [1]) and await tier.get("app:a") == [1]
        assert not await tier.add("app:a", 2) and await tier.add("app:b", 2)
        found = await tier.get_many(["app:a", b"app:b", "app:none"])
        assert found == {"app:a": [1], b"app:b": 2}
        both = await tier.get_many(["app:b", b"app:b"])
        assert both == {"app:b": 2, b"app:b": 2}
        assert await tier.incr("app:b", 3) == await tier.get("app:b") == 5
        assert await tier.touch("app:b", 60) and client.pttl("app:b") > 59_000
        assert await tier.delete("app:a", "app:c") == 1
        assert await tier.get("app:a") is None

    run(body)


def test_a_change_while_the_server_is_asked_keeps_the_answer_out(
    run: Callable[[Body], None], client: Any, monkeypatch: Any
) -> None:
    async def body(tier: AsyncRedisTier) -> None:
        execute = tier._execute

        async def slowly(command: Any) -> Any:
            answer = await execute(command)
            monkeypatch.setattr(tier, "_execute", execute)
            client.set("app:a", 2)
            await asyncio.to_thread(settle, tier, client)
            return answer

        client.set("app:a", 1)
        await asyncio.to_thread(settle, tier, client)
        for read in (tier.get("app:a"), tier.get_many(["app:a"])):
            client.set("app:a", 1)
            await asyncio.to_thread(settle, tier, client)
            monkeypatch.setattr(tier, "_execute", slowly)
            assert await read in (1, {"app:a": 1})
            assert await tier.get("app:a") == 2

    run(body)


def test_one_task_computes_and_the_loop_continues(run: Callable[[Body], None]) -> None:
    async def body(tier: AsyncRedisTier) -> None:
        calls: list[int] = []

        async def compute() -> int:
            calls.append(1)
            await asyncio.sleep(0.05)
            return 5

        wanted = (tier.get_or_set("app:a", compute) for _ in range(5))
        assert await asyncio.gather(*wanted) == [5] * 5
        assert calls == [1]

    run(body)


def test_memoize_awaits_functions(run: Callable[[Body], None]) -> None:
    async def body(tier: AsyncRedisTier) -> None:
        calls: list[int] = []

        @tier.memoize(60, name="double")
        async def double(number: int) -> int:
            calls.append(number)
            return 2 * number

        assert [await double(4), await double(4)] == [8, 8] and calls == [4]
        assert await double.invalidate(4) == 1  # type: ignore[attr-defined]  # added by memoize()
        assert await double(4) == 8 and calls == [4, 4]

    run(body)


def test_both_kinds_share_what_they_read(
    run: Callable[[Body], None], server: tier_server.Server, make_cache: MakeCache
) -> None:
    async def body(tier: AsyncRedisTier) -> None:
        await tier.set("app:a", 1)
        await asyncio.to_thread(settle, tier, server.client())
        assert await tier.get("app:a") == 1
        other = RedisTier(make_cache(), server.url, prefixes=("app:",), max_lag=5)
        assert other._values.get("app:a") == 1

    run(body)


def test_a_server_that_is_away(make_cache: MakeCache) -> None:
    lone = tier_server.Server()
    options = {"prefixes": ("app:",), "max_lag": 5, "on_down": "miss"}

    async def body() -> None:
        tier = AsyncRedisTier(make_cache(), lone.url, **options)
        assert await tier.wait_until_live(LIMIT)
        lone.kill()
        assert await tier.get("app:a", 7) == 7 and not await tier.set("app:a", 1)
        assert await tier.get_many(["app:a"]) == {}
        with pytest.raises(tier._away):
            await tier.incr("app:a")
        tier.close()

    try:
        asyncio.run(body())
    finally:
        lone.close()


def test_a_wrong_password_is_not_a_miss(
    server: tier_server.Server, client: Any, make_cache: MakeCache
) -> None:
    client.acl_setuser(
        "known", enabled=True, passwords=["+right"], categories=["+@all"]
    )
    url = f"unix://known:wrong@{server.socket}"
    options = {"prefixes": "app:", "on_down": "miss", "listen": False}

    async def body() -> None:
        tier = AsyncRedisTier(make_cache(), url, **options)
        for call in (tier.get, tier.delete, lambda key: tier.get_many([key])):
            with pytest.raises(redis.exceptions.ConnectionError, match="password"):
                await call("app:a")

    asyncio.run(body())
