"""A server, and tiers in front of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import tier_server
from support import MakeCache
from tier_support import LIMIT, MakeTier

from fastmmap.redis import RedisTier

if tier_server.PROGRAM is None:
    collect_ignore_glob = ["test_*.py"]


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
