"""One computation per host: who computes a key, and who waits for the value.

A key that is being computed carries a lease, in the cache itself: a token, a
deadline and the process. One caller has it; the others sleep and look again
until there is a value, or the lease is over, or their patience. Threads and
tasks of one process are callers like any others. No lock of the cache is held
while anybody computes or waits.
"""

import os
import random
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import suppress
from contextvars import ContextVar
from enum import Enum
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Optional, TypeVar, Union

from fastmmap import callbacks, durations
from fastmmap.errors import Error, LockError, LockTimeout
from fastmmap.types import Key, Lifetime

if TYPE_CHECKING:
    from fastmmap.cache import FastMmap

_Result = TypeVar("_Result")

#: Seconds between two looks of one who waits: from the first to the second.
_DELAYS = 0.0002, 0.005
#: The longer ones are for this many who wait in one process; more of them look
#: less often, so that they leave it time to compute.
_CROWD = 256
#: The longest lease, ms: what a killed process may leave behind lasts no longer.
_LEASE_MS_MAX = 24 * 3600 * 1000

#: Seconds, or any other lifetime, that one computation may take by default.
LEASE_TIME: Final = 60


class Absent(Enum):
    """The type of ``ABSENT``."""

    ABSENT = "absent"


#: What is read of a key without a value.
ABSENT: Final = Absent.ABSENT


class Found(NamedTuple):
    """A value that was there, or that somebody else has computed."""

    value: Any


class Terms(NamedTuple):
    """How long one may compute, ms, and how long one waits, seconds."""

    lease_ms: int
    timeout: Optional[float]


def terms(lease_time: Lifetime, timeout: Union[int, float, None]) -> Terms:
    """Return the terms of these arguments.

    Raises TypeError or ValueError for what is no lifetime, no time to wait.
    """
    lease_ms = durations.lifetime_ms(LEASE_TIME if lease_time is None else lease_time)
    if lease_ms == durations.NOW:
        raise ValueError("lease_time is 'now': a computation takes time")
    if timeout is not None and not timeout >= 0:
        raise ValueError(f"timeout is {timeout!r}: expected seconds, or None")
    never = lease_ms == durations.NEVER
    return Terms(_LEASE_MS_MAX if never else min(lease_ms, _LEASE_MS_MAX), timeout)


# ---------------------------------------------------------------- one computes


class Lease:
    """The right to compute the value of a key while a block runs.

    Without a token the value cannot be stored, but the caller needs one.
    """

    __slots__ = ("_before", "cache", "key", "running", "token")

    def __init__(self, cache: "FastMmap", key: Key, token: Optional[int]) -> None:
        self.cache, self.key, self.token = cache, key, token
        self.running = False

    def __enter__(self) -> "Lease":
        """Let this context know what it computes."""
        self.running = True
        self._before = _computing.set((*_computing.get(), self))
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        """Give the lease back, unless a value took its place."""
        _computing.reset(self._before)
        self.running = False
        if self.token is not None:
            with suppress(Error):  # closed meanwhile: it ends with the process
                self.cache._lease_release(self.key, self.token)

    def store(self, value: Any, expire_time: Lifetime, leasable: bool = False) -> bool:
        """Store the value, if the lease is still there; tell whether it was.

        What cannot be stored or does not fit is logged: the caller has the value
        all the same.
        """
        if self.token is None:
            return False
        try:
            stored = self.cache._lease_store(
                self.key, value, self.token, expire_time, leasable
            )
            if not stored and self.cache._lease_release(self.key, self.token):
                # The lease was there: what was missing is the room.
                callbacks.log_refusal(self.key, self.cache.share_file)
        except Exception as error:
            path = self.cache.share_file
            callbacks.log_failure("storing a computed value", self.key, path, error)
            return False
        self.token = None
        return stored


#: What this context, a thread or a task, is computing just now.
_computing: ContextVar[tuple[Lease, ...]] = ContextVar("computing", default=())


def _refuse_own(cache: "FastMmap", key: Key) -> None:
    """Refuse to wait for oneself."""
    for lease in _computing.get():
        same = lease.key == key and type(lease.key) is type(key)
        if lease.running and same and lease.cache.share_file == cache.share_file:
            raise LockError(
                f"{cache.share_file}: key {key!r} is being computed by this very "
                "code, which would wait for itself"
            )


# -------------------------------------------------------------------- many wait

#: All who wait in this process.
_waiting: set["_Patience"] = set()
os.register_at_fork(after_in_child=_waiting.clear)


class _Patience:
    """How long one caller still waits, and how often it looks."""

    def __init__(self, timeout: Optional[float]) -> None:
        self._timeout = timeout
        self._until = None if timeout is None else time.monotonic() + timeout
        self._delay = _DELAYS[0]

    def delay(self, cache: "FastMmap", key: Key, process: int) -> float:
        """Return the seconds until the next look.

        Raises LockTimeout when there are none.
        """
        left = float("inf")
        if self._until is not None:
            left = self._until - time.monotonic()
            if left <= 0:
                raise LockTimeout(
                    f"{cache.share_file}: key {key!r} is being computed by process "
                    f"{process}; gave up after {self._timeout} s: try again, or "
                    "raise timeout"
                )
        crowd = max(1.0, len(_waiting) / _CROWD)
        self._delay = min(self._delay * 1.5, _DELAYS[1])
        return min(self._delay * crowd * random.uniform(0.7, 1.0), left)


_Steps = Generator[float, None, Union[Found, Lease]]


def _approach(cache: "FastMmap", key: Key, terms: Terms) -> _Steps:
    """Yield seconds to sleep, until there is a value or the right to compute it."""
    patience = _Patience(terms.timeout)
    _waiting.add(patience)
    try:
        while True:
            outcome, number = cache._lease_take(key, terms.lease_ms)
            if outcome == "taken":
                return Lease(cache, key, number)
            if outcome == "refused":
                return Lease(cache, key, None)
            if outcome == "leased":
                _refuse_own(cache, key)
                yield patience.delay(cache, key, number)
                continue
            value = cache.get(key, ABSENT)
            if value is not ABSENT:
                return Found(value)
    finally:
        _waiting.discard(patience)


def approach(cache: "FastMmap", key: Key, terms: Terms) -> Union[Found, Lease]:
    """Return the value of a key, or the right to compute it, as soon as possible.

    Raises:
        LockTimeout: Another computes it for longer than ``terms.timeout``.
        LockError: The caller is itself part of the computation.
    """
    steps = _approach(cache, key, terms)
    try:
        while True:
            time.sleep(next(steps))
    except StopIteration as end:
        found: Union[Found, Lease] = end.value
        return found
    finally:
        steps.close()


async def approach_async(
    cache: "FastMmap", key: Key, terms: Terms
) -> Union[Found, Lease]:
    """Do the same without blocking the event loop."""
    import asyncio  # takes long, and not everybody needs it

    steps = _approach(cache, key, terms)
    try:
        while True:
            await asyncio.sleep(next(steps))
    except StopIteration as end:
        found: Union[Found, Lease] = end.value
        return found
    finally:
        steps.close()


def try_refresh(cache: "FastMmap", key: Key, terms: Terms) -> Optional[Lease]:
    """Return the right to compute a value anew, or ``None`` if another has it."""
    outcome, number = cache._lease_take(key, terms.lease_ms, True)
    return Lease(cache, key, number) if outcome == "taken" else None


# ------------------------------------------------------------------ get_or_set


def compute(
    cache: "FastMmap",
    key: Key,
    func: Callable[[], _Result],
    expire_time: Lifetime,
    terms: Terms,
) -> _Result:
    """Return the value of a key that had none; one caller computes it."""
    found = approach(cache, key, terms)
    if isinstance(found, Found):
        value: _Result = found.value
        return value
    with found as lease:
        value = func()
        lease.store(value, expire_time)
    return value


async def ready(value: _Result) -> _Result:
    """Return a value that is there to one who awaits it."""
    return value


async def compute_async(
    cache: "FastMmap",
    key: Key,
    func: Callable[[], Awaitable[_Result]],
    expire_time: Lifetime,
    terms: Terms,
) -> _Result:
    """Do the same without blocking the event loop."""
    found = await approach_async(cache, key, terms)
    if isinstance(found, Found):
        computed: _Result = found.value
        return computed
    with found as lease:
        computed = await func()
        lease.store(computed, expire_time)
    return computed
