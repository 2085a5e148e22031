"""What is acquired and released, by threads and by tasks."""

import sys
import threading
from abc import ABC, abstractmethod
from contextlib import suppress
from types import TracebackType
from typing import Optional, TypeVar, Union

from fastmmap import waiting
from fastmmap.errors import LockLost, LockTimeout

_Self = TypeVar("_Self", bound="Acquirable")
_Timeout = Union[int, float, None]


def caller() -> object:
    """Return who is running: the task, or else the thread's identity."""
    asyncio = sys.modules.get("asyncio")  # who has no tasks need not import it
    task = None
    if asyncio is not None:
        with suppress(AttributeError, RuntimeError):  # half imported; no loop here
            task = asyncio.current_task()
    return threading.get_ident() if task is None else task


def _patience(blocking: bool, timeout: _Timeout, default: _Timeout) -> _Timeout:
    """Return how long `acquire` waits, seconds; -1 is ``None``, as in threading."""
    if not blocking:
        if timeout is not None and timeout != -1:
            raise ValueError("timeout is for a call that waits: leave blocking=True")
        return 0
    if timeout is None:
        return default
    if timeout == -1:
        return None
    waiting.check_timeout(timeout)
    if timeout > threading.TIMEOUT_MAX:
        raise OverflowError(
            f"timeout is {timeout!r}: more than {threading.TIMEOUT_MAX} s"
        )
    return timeout


class Acquirable(ABC):
    """The calls of a lock, over one attempt to get it.

    Args:
        timeout: Seconds that `acquire`, ``with`` and ``async with`` wait; ``None``
            for as long as it takes.
    """

    def __init__(self, timeout: _Timeout) -> None:
        waiting.check_timeout(timeout)
        self._timeout = timeout

    @abstractmethod
    def _attempt(self) -> bool:
        """Get it if it is free; tell whether it was."""

    @abstractmethod
    def release(self) -> None:
        """Give it back."""

    def _steps(self, timeout: _Timeout) -> waiting.Steps[bool]:
        with waiting.Patience(timeout) as patience:
            while not self._attempt():
                delay = patience.delay()
                if delay is None:
                    return False
                yield delay
        return True

    def acquire(self, blocking: bool = True, timeout: _Timeout = None) -> bool:
        """Get it, and wait until that is possible.

        Args:
            blocking: Whether to wait.
            timeout: Seconds to wait; ``None`` for the time given to the
                constructor, -1 for as long as it takes.

        Returns:
            Whether it was got.

        Raises:
            LockError: The cache has no room for it.
            ValueError, OverflowError: A timeout out of range.
        """
        patience = _patience(blocking, timeout, self._timeout)
        return self._attempt() or waiting.run(self._steps(patience))

    async def acquire_async(self, timeout: _Timeout = None) -> bool:
        """Get it like `acquire`, and let the event loop go on meanwhile.

        Returns:
            Whether it was got.
        """
        patience = _patience(True, timeout, self._timeout)
        return self._attempt() or await waiting.run_async(self._steps(patience))

    def _refuse_timeout(self) -> None:
        raise LockTimeout(
            f"{self!r}: not to be had within {self._timeout} s: try again, or raise "
            "timeout"
        )

    def __enter__(self: _Self) -> _Self:
        """Get it. Raises LockTimeout when the time to wait is over."""
        if not self.acquire():
            self._refuse_timeout()
        return self

    async def __aenter__(self: _Self) -> _Self:
        """Get it without blocking the event loop."""
        if not await self.acquire_async():
            self._refuse_timeout()
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        """Give it back. Raises LockLost, unless the block raised anyway."""
        if error is None:
            self.release()
            return
        with suppress(LockLost):
            self.release()

    async def __aexit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        """Give it back, which takes no waiting."""
        self.__exit__(kind, error, traceback)
