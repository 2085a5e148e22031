"""Waiting for what other processes do: look, sleep, look again.

What waits is a generator that yields the seconds to sleep until its next look
and returns what it waited for. `run` and `run_async` drive it: a thread sleeps,
a task lets its event loop go on.
"""

import os
import random
import sys
import time
from collections.abc import Generator
from typing import Any, Optional, TypeVar, Union

from fastmmap import _core

_Self = TypeVar("_Self", bound="Patience")
_Result = TypeVar("_Result")

#: Yields seconds to sleep, and returns what was waited for.
Steps = Generator[float, None, _Result]

#: Seconds between two looks of one who waits: from the first to the second.
_DELAYS = 0.0002, 0.005
#: The longer ones are for this many who wait in one process; more of them look
#: less often, so that they leave it time to work.
_CROWD = 256

#: All who wait in this process.
_waiting: set["Patience"] = set()
os.register_at_fork(after_in_child=_waiting.clear)


def check_timeout(timeout: Union[int, float, None]) -> None:
    """Raise ValueError for what is no time to wait."""
    if timeout is not None and not timeout >= 0:
        raise ValueError(f"timeout is {timeout!r}: expected seconds, or None")


class Patience:
    """How long one caller still waits, and how often it looks.

    Args:
        timeout: Seconds; ``None`` for as long as it takes.
    """

    def __init__(self, timeout: Optional[float]) -> None:
        self._until = None if timeout is None else _core.monotonic() + timeout
        self._delay = _DELAYS[0]

    def __enter__(self: _Self) -> _Self:
        """Count among those who wait."""
        _waiting.add(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Count no longer."""
        _waiting.discard(self)

    def limit(self, delay: float) -> Optional[float]:
        """Return that delay, or what is left if that is less; ``None``: nothing."""
        if self._until is None:
            return delay
        left = self._until - _core.monotonic()
        return min(delay, left) if left > 0 else None

    def delay(self) -> Optional[float]:
        """Return the seconds until the next look; ``None``: there are none left."""
        crowd = max(1.0, (len(_waiting) + _core.get_waiters()) / _CROWD)
        self._delay = min(self._delay * 1.5, _DELAYS[1])
        return self.limit(self._delay * crowd * random.uniform(0.7, 1.0))


def pause(seconds: float) -> None:
    """Sleep in this thread, or greenlet."""
    time.sleep(seconds)


def _runs_in_trio() -> bool:
    """Tell whether a task of trio runs: anyio's do in the one or the other."""
    trio: Any = sys.modules.get("trio")
    try:
        return trio is not None and trio.lowlevel.current_task() is not None
    except (AttributeError, RuntimeError):  # half imported; no task of it
        return False


async def pause_async(seconds: float) -> None:
    """Sleep in this task, and let its event loop go on."""
    if _runs_in_trio():
        await sys.modules["trio"].sleep(seconds)
        return
    import asyncio  # takes long, and not everybody needs it

    await asyncio.sleep(seconds)


def run(steps: Steps[_Result]) -> _Result:
    """Wait in this thread."""
    try:
        while True:
            pause(next(steps))
    except StopIteration as end:
        found: _Result = end.value
        return found
    finally:
        steps.close()


async def run_async(steps: Steps[_Result]) -> _Result:
    """Wait without blocking the event loop."""
    try:
        while True:
            await pause_async(next(steps))
    except StopIteration as end:
        found: _Result = end.value
        return found
    finally:
        steps.close()
