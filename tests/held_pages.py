"""A page that another thread holds, and event loops beside that."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from fastmmap import FastMmap

#: Seconds. A holder lets go then, though nobody asked: the loop stood still.
AT_MOST = 5.0
#: How often a loop ticks before it asks the holder to let go.
TICKS = 20


class Holder(threading.Thread):
    """Holds the only page of a file until it is asked to let go."""

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__()
        self._path, self._seconds = path, seconds
        self.inside, self.asked = threading.Event(), threading.Event()
        self.let_go_when_asked = False

    def run(self) -> None:
        with FastMmap(self._path) as other, other.lock("key"):
            self.inside.set()
            self.let_go_when_asked = self.asked.wait(self._seconds)

    async def ask_after_ticks(self) -> None:
        for _ in range(TICKS):
            await asyncio.sleep(0.002)
        self.asked.set()


@contextlib.contextmanager
def held(path: str, seconds: float = AT_MOST) -> Iterator[Holder]:
    """Let a thread hold the only page of a file from before the block on."""
    holder = Holder(path, seconds)
    holder.start()
    assert holder.inside.wait(20)
    yield holder
    holder.asked.set()
    holder.join(20)


async def watched(path: str, work: Callable[[], Awaitable[object]]) -> tuple[bool, Any]:
    """Work while the page is held; return whether the loop ticked, and the result.

    The ticks of the loop free the page. A loop that stood still has not ticked
    before the holder let go by itself; work that did not wait is done before.
    """
    with held(path) as holder:
        ticking = asyncio.ensure_future(holder.ask_after_ticks())
        result = await work()
        waited = holder.asked.is_set()
    await ticking
    return waited and holder.let_go_when_asked, result
