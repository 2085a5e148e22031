"""A server, a cache in front of it, and waiting until that has heard of all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import tier_server
from support import MakeCache

from fastmmap.redis import RedisTier
from fastmmap.waiting import Patience, pause

LIMIT = 20.0  # seconds
MakeTier = Callable[..., RedisTier]

if tier_server.PROGRAM is None:
    collect_ignore_glob = ["test_*.py"]


def settle(tier: Any, client: Any = None) -> None:
    """Wait until this host knows of all that has changed on the server by now."""
    mark = tier._prefixes[0] + "settled"  # heard of after all before it
    tier._values.set(mark, 1)
    (client or tier._client).set(mark, 1, px=60_000)
    with Patience(LIMIT) as patience:
        while mark in tier._values:
            delay = patience.delay()
            assert delay is not None, "the listener is not heard"
            pause(delay)


@pytest.fixture(scope="session")
def server() -> Iterator[tier_server.Server]:
    server = tier_server.Server()
    yield server
    server.close()


@pytest.fixture
def client(server: tier_server.Server) -> Any:
    """Return a client that knows of no tier."""
    client = server.client()
    client.flushall()
    return client


@pytest.fixture
def make_tier(
    server: tier_server.Server, client: Any, make_cache: MakeCache
) -> Iterator[MakeTier]:
    """Make tiers on caches; they are live when they come."""
    tiers: list[RedisTier] = []

    def make(where: Any = None, live: bool = True, **options: Any) -> RedisTier:
        cache = make_cache(**options.pop("cache", {}))
        options.setdefault("prefixes", ("app:",))
        options.setdefault("max_lag", 5)
        tier = RedisTier(cache, where or server.url, **options)
        tiers.append(tier)
        if live:
            assert tier.wait_until_live(LIMIT)
        return tier

    yield make
    for tier in tiers:
        tier.close()


@pytest.fixture
def tier(make_tier: MakeTier) -> RedisTier:
    return make_tier()
