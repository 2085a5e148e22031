"""Values that the server, or this host, has and nobody can read any more."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

import pytest
import tier_server
from support import MakeCache
from tier_support import LIMIT, MakeTier, settle

from fastmmap.redis import AsyncRedisTier, RedisTier

CUT_SHORT = pickle.dumps([1, 2, 3])[:-3]


class Moved:
    """Pickles well, and cannot be unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _fail, ()


def _fail() -> object:
    raise AttributeError("the class has moved")


@pytest.fixture
def broken(tier: RedisTier, client: Any) -> RedisTier:
    """Return a tier whose server has one such value, beside one that can be read."""
    client.mset({"app:cut": CUT_SHORT, "app:fine": pickle.dumps("fine")})
    settle(tier)
    return tier


def test_get_raises_and_the_value_stays(broken: RedisTier, client: Any) -> None:
    for _ in range(2):
        with pytest.raises((EOFError, pickle.UnpicklingError)):
            broken.get("app:cut")
    assert client.get("app:cut") == CUT_SHORT


def test_get_many_leaves_it_out(
    broken: RedisTier, caplog: pytest.LogCaptureFixture
) -> None:
    assert broken.get_many(["app:cut", "app:fine"]) == {"app:fine": "fine"}
    assert "app:cut" in caplog.text


def test_what_can_compute_computes_and_stores(broken: RedisTier, client: Any) -> None:
    assert broken.get_or_set("app:cut", lambda: "new") == "new"
    assert pickle.loads(client.get("app:cut")) == "new"
    settle(broken)
    assert broken.get("app:cut") == "new"


def test_memoize_computes(broken: RedisTier, client: Any) -> None:
    @broken.memoize(60)
    def double(number: int) -> int:
        return 2 * number

    client.set(double.cache_key(4), CUT_SHORT)
    settle(broken)
    assert [double(4), double(4)] == [8, 8]


def test_one_that_this_host_keeps_is_asked_for_again(broken: RedisTier) -> None:
    broken.set("app:kept", [1])
    assert broken.get("app:kept") == [1]
    broken._values.set("app:kept", Moved())
    assert broken.get_or_set("app:kept", 2) == [1]


def test_an_error_of_the_server_passes(make_tier: MakeTier, client: Any) -> None:
    from redis.exceptions import ResponseError

    client.rpush("app:list", 1)
    with pytest.raises(ResponseError):
        make_tier().get_or_set("app:list", lambda: "new")


def test_awaited_it_is_the_same(
    server: tier_server.Server, client: Any, make_cache: MakeCache
) -> None:
    client.mset({"app:cut": CUT_SHORT, "app:fine": pickle.dumps("fine")})

    async def use() -> list[object]:
        tier = AsyncRedisTier(make_cache(), server.url, prefixes=("app:",))
        assert await tier.wait_until_live(LIMIT)
        try:
            with pytest.raises((EOFError, pickle.UnpicklingError)):
                await tier.get("app:cut")
            many = await tier.get_many(["app:cut", "app:fine"])
            return [many, await tier.get_or_set("app:cut", lambda: "new")]
        finally:
            tier.close()
            await tier._client.aclose()

    assert asyncio.run(use()) == [{"app:fine": "fine"}, "new"]
