"""Protections of a tier, left out on purpose: then the race has to find something."""

from __future__ import annotations

import time
from typing import Any

from fastmmap import single_flight
from fastmmap.redis import tier
from fastmmap.redis.listener import Listener
from fastmmap.redis.pulse import moment
from fastmmap.redis.stream import Stream
from fastmmap.redis.tier import RedisTier
from fastmmap.redis.tracking import Tracking


def lease() -> None:
    """Store an answer whatever became of its lease."""

    def keep(self: Any, value: Any, lifetime: Any, *_: Any) -> None:
        self.cache.set(self.key, value, lifetime)

    single_flight.Lease.keep = keep  # type: ignore[method-assign]  # left out


def epoch() -> None:
    """Keep what came before the connection."""
    Listener._begin_epoch = lambda self: None  # type: ignore[method-assign]  # left out


def early_epoch() -> None:
    """Begin the epoch before the server tells of changes."""
    begin = Listener._begin_epoch

    def opened(self: Listener) -> None:
        self._stream = Stream(self._client, self._patience)
        begin(self)
        time.sleep(0.05)  # it is short otherwise
        try:
            self._serve(Tracking(self._stream, self._prefixes, self._patience))
        finally:
            self._stream.close()

    Listener._listen = opened  # type: ignore[method-assign]  # left out


def drop() -> None:
    """Do not drop what is told."""
    Listener._drop = lambda self, messages: None  # type: ignore[method-assign]  # left out


def clock() -> None:
    """Believe the cache however old the pulse is."""
    tier.moment = lambda: -1.0  # type: ignore[assignment, attr-defined]  # left out


def order() -> None:
    """Forget first, then change the server."""

    def change(self: RedisTier, command: Any) -> Any:
        self._drop(command)
        return self._execute(command)

    RedisTier._change = change  # type: ignore[method-assign]  # left out


def late_pulse() -> None:
    """Take the moment of the answer for that of the question."""
    confirm = Listener._confirm

    def late(self: Listener, asked: float) -> None:
        time.sleep(0.01)  # it is short otherwise
        confirm(self, moment())

    Listener._confirm = late  # type: ignore[method-assign]  # left out


def pulse_first() -> None:
    """Let the pulse come before what was told is dropped."""
    drop_told, confirm = Listener._drop, Listener._confirm

    def keep(self: Any, messages: list[Any]) -> None:
        self.held = getattr(self, "held", []) + messages
        if len(self.held) > 50:
            held, self.held = self.held, []
            drop_told(self, held)

    def first(self: Any, asked: float) -> None:
        confirm(self, asked)
        held, self.held = getattr(self, "held", []), []
        drop_told(self, held)

    Listener._drop = keep  # type: ignore[method-assign]  # left out
    Listener._confirm = first  # type: ignore[method-assign]  # left out


ALL = {
    one.__name__.replace("_", "-"): one
    for one in (lease, epoch, early_epoch, drop, clock, order, late_pulse, pulse_first)
}


def apply(name: str) -> None:
    """Leave it out in this process; "" is nothing."""
    if name:
        ALL[name]()
