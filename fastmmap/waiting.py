"""Waiting for what other processes do: look, sleep, look again.

A wait is a generator that yields the seconds to sleep until its next look
and returns what it waited for. `run` and `run_async` drive it: a thread sleeps,
a task lets its event loop continue.
"""

import os
import random
import sys
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, Final, Optional, TypeVar, Union

from fastmmap import _core
from fastmmap.errors import LockTimeout, PageBusy
from fastmmap.tasks import trio_task

_Self = TypeVar("_Self", bound="Patience")
_Result = TypeVar("_Result")

#: Yields seconds to sleep, and returns what was waited for.
Steps = Generator[float, None, _Result]

#: Seconds between two looks of one who waits: from the first to the second.
_DELAYS = 0.0002, 0.005
#: The longest sleep of one who looks the less often the longer it has waited, s.
_LONGEST: Final = 0.05
#: The longer ones are for this many who wait in one process; more of them look
#: less often, so that they leave it time to work.
_CROWD = 256

#: How long a task waits for a page before its event loop continues, ms: as long
#: as an operation of somebody else may take. After that it only looks.
GLANCE_MS: Final = 1

#: All who wait in this process.
_waiting: set["Patience"] = set()
os.register_at_fork(after_in_child=_waiting.clear)


def check_timeout(timeout: Union[int, float, None]) -> None:
    """Raise ValueError unless it is a time to wait."""
    if timeout is not None and not timeout >= 0:
        raise ValueError(f"timeout is {timeout!r}: expected seconds, or None")


class Patience:
    """How long one caller still waits, and how often it looks.

    Args:
        timeout: Seconds; ``None`` for as long as it takes.
        share: The longer it has waited, the less often it looks: it sleeps for this
            share of that time, if that is more than the others do.
    """

    def __init__(self, timeout: Optional[float], share: float = 0.0) -> None:
        self._until = None if timeout is None else _core.monotonic() + timeout
        self._delay = _DELAYS[0]
        self._share = share
        self._waited = 0.0

    def __enter__(self: _Self) -> _Self:
        """Count among those who wait."""
        _waiting.add(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Count no longer."""
        _waiting.discard(self)

    def limit(self, delay: float) -> Optional[float]:
        """Return that delay, or the remaining time if less; ``None``: it is over."""
        if self._until is None:
            return delay
        left = self._until - _core.monotonic()
        return min(delay, left) if left > 0 else None

    def delay(self) -> Optional[float]:
        """Return the seconds until the next look; ``None``: there are none left."""
        crowd = max(1.0, (len(_waiting) + _core.get_waiters()) / _CROWD)
        self._delay = min(self._delay * 1.5, _DELAYS[1])
        longer = min(self._waited * self._share, _LONGEST)
        delay = max(self._delay * crowd, longer) * random.uniform(0.7, 1.0)
        self._waited += delay
        return self.limit(delay)


class Looks:
    """Looks of one caller that may meet a page which others hold."""

    def __init__(self) -> None:
        self._patience: Optional[Patience] = None

    def __call__(self, default: Any, func: Callable[..., Any], *args: Any) -> Any:
        """Return what a function returns; the default when it met such a page.

        Raises LockTimeout when the ``lock_timeout`` of the cache is over.
        """
        try:
            result = func(*args)
        except PageBusy as busy:
            message, seconds = busy.args
            self._patience = self._patience or Patience(seconds)
            if self._patience.limit(0) is None:
                raise LockTimeout(message) from None
            return default
        self._patience = None
        return result


def pause(seconds: float) -> None:
    """Sleep in this thread, or greenlet."""
    time.sleep(seconds)


async def pause_async(seconds: float) -> None:
    """Sleep in this task, and let its event loop continue."""
    if trio_task() is not None:  # anyio's may be one of it
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
    """Wait without blocking the event loop, for a page that is held neither.

    Then PageBusy is raised within the steps, which are to wait.
    """
    glance = GLANCE_MS
    try:
        while True:
            await pause_async(_core.attempt(glance, next, steps))
            glance = 0
    except StopIteration as end:
        found: _Result = end.value
        return found
    finally:
        steps.close()


async def patiently(func: Callable[..., _Result], *args: Any, **kwargs: Any) -> _Result:
    """Return the result of a function; while it waits for a page, the loop continues.

    The function is called again and again until it gets beyond its first wait: its work
    before that must tolerate repetition.

    Raises LockTimeout after the ``lock_timeout`` of the cache.
    """
    try:
        return _core.attempt(GLANCE_MS, func, *args, **kwargs)
    except PageBusy as busy:
        message, timeout = busy.args
    with Patience(timeout) as patience:
        while (delay := patience.delay()) is not None:
            await pause_async(delay)
            with suppress(PageBusy):
                return _core.attempt(0, func, *args, **kwargs)
    raise LockTimeout(message)
