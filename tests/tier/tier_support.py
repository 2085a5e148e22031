"""Waiting until a tier has heard of all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastmmap.redis import RedisTier
from fastmmap.waiting import Patience, pause

LIMIT = 20.0  # seconds
MakeTier = Callable[..., RedisTier]


def settle(tier: Any, client: Any = None) -> None:
    """Wait until this host knows of all that has changed on the server by now."""
    mark = tier._prefixes[0] + "settled"  # heard of after all before it
    tier._values.set(mark, "")
    (client or tier._client).set(mark, 1, px=60_000)
    with Patience(LIMIT) as patience:
        while mark in tier._values:
            delay = patience.delay()
            assert delay is not None, "the listener is not heard"
            pause(delay)
