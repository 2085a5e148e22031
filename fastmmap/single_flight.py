"""One computation per host: who computes a key, and who waits for the value.

A key that is being computed carries a lease, in the cache itself: a token, a
deadline and the process. One caller has it; the others sleep and look again
until there is a value, or the lease is over, or their patience. Threads and
tasks of one process are callers like any others. No lock of the cache is held
while anybody computes or waits.
"""

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from contextvars import ContextVar
from enum import Enum
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Optional, TypeVar, Union

from fastmmap import callbacks, durations, waiting
from fastmmap.errors import Error, LockError, LockTimeout
from fastmmap.types import Key, Lifetime

if TYPE_CHECKING:
    from fastmmap.keyspace import Keyspace

_Result = TypeVar("_Result")

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


#: Tags, or a function of the arguments of a memoized function that gives them.
Tags = Union[Iterable[Key], Callable[..., Iterable[Key]]]


class Terms(NamedTuple):
    """How long one may compute, ms, how long one waits, seconds; and the tags."""

    lease_ms: int
    timeout: Optional[float]
    tags: Tags

    def tags_of(self, args: Any = (), kwargs: Any = MappingProxyType({})) -> Any:
        """Return the tags of a call with these arguments."""
        return self.tags(*args, **kwargs) if callable(self.tags) else self.tags


def lease_ms(lease_time: Lifetime) -> int:
    """Return how long a lease lasts, ms; the longest there is for "never".

    Raises TypeError or ValueError for what is no lifetime, or none at all.
    """
    ms = durations.lifetime_ms(lease_time)
    if ms == durations.NOW:
        raise ValueError("lease_time is 'now': a lease has to last")
    return _LEASE_MS_MAX if ms == durations.NEVER else min(ms, _LEASE_MS_MAX)


def terms(
    lease_time: Lifetime, timeout: Union[int, float, None], tags: Tags = ()
) -> Terms:
    """Return the terms of these arguments.

    Raises TypeError or ValueError for what is no lifetime, no time to wait.
    """
    waiting.check_timeout(timeout)
    # An iterator could be read once only.
    kept = tags if callable(tags) or isinstance(tags, (str, bytes)) else tuple(tags)
    longest = lease_ms(LEASE_TIME if lease_time is None else lease_time)
    return Terms(longest, timeout, kept)


# ---------------------------------------------------------------- one computes


class Lease:
    """The right to compute the value of a key while a block runs.

    Without a token the value cannot be stored, but the caller needs one.
    """

    __slots__ = ("_before", "_tags", "cache", "key", "running", "token")

    def __init__(self, cache: "Keyspace", key: Key, token: Optional[int]) -> None:
        self.cache, self.key, self.token = cache, key, token
        self.running = False
        self._tags = b""

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

    def read_tags(self, tags: Iterable[Key]) -> None:
        """Read the tags that the value will have: before it is computed."""
        if tags:
            self._tags = self.cache._read_tags(tags)

    def store(self, value: Any, expire_time: Lifetime, leasable: bool = False) -> bool:
        """Store the value, if the lease is still there; tell whether it was.

        What cannot be stored or does not fit is logged: the caller has the value
        all the same.
        """
        if self.token is None:
            return False
        try:
            stored = self.cache._lease_store(
                self.key, value, self.token, expire_time, leasable, self._tags
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


def _place(cache: "Keyspace") -> tuple[str, ...]:
    """Return what tells keys of this cache or namespace from those of others."""
    return (cache.share_file, *cache._names)


def _refuse_own(cache: "Keyspace", key: Key) -> None:
    """Refuse to wait for oneself."""
    for lease in _computing.get():
        same = lease.key == key and type(lease.key) is type(key)
        if lease.running and same and _place(lease.cache) == _place(cache):
            raise LockError(
                f"{cache.share_file}: key {key!r} is being computed by this very "
                "code, which would wait for itself"
            )


# -------------------------------------------------------------------- many wait


def _approach(
    cache: "Keyspace", key: Key, terms: Terms
) -> waiting.Steps[Union[Found, Lease]]:
    """Wait until there is a value or the right to compute it."""
    with waiting.Patience(terms.timeout) as patience:
        while True:
            outcome, number = cache._lease_take(key, terms.lease_ms)
            if outcome == "taken":
                return Lease(cache, key, number)
            if outcome == "refused":
                return Lease(cache, key, None)
            if outcome == "leased":
                _refuse_own(cache, key)
                delay = patience.delay()
                if delay is None:
                    raise LockTimeout(
                        f"{cache.share_file}: key {key!r} is being computed by "
                        f"process {number}; gave up after {terms.timeout} s: try "
                        "again, or raise timeout"
                    )
                yield delay
                continue
            value = cache._find(key, ABSENT)
            if value is not ABSENT:
                return Found(value)


def approach(cache: "Keyspace", key: Key, terms: Terms) -> Union[Found, Lease]:
    """Return the value of a key, or the right to compute it, as soon as possible.

    Raises:
        LockTimeout: Another computes it for longer than ``terms.timeout``.
        LockError: The caller is itself part of the computation.
    """
    return waiting.run(_approach(cache, key, terms))


async def approach_async(
    cache: "Keyspace", key: Key, terms: Terms
) -> Union[Found, Lease]:
    """Do the same without blocking the event loop."""
    return await waiting.run_async(_approach(cache, key, terms))


def try_refresh(cache: "Keyspace", key: Key, terms: Terms) -> Optional[Lease]:
    """Return the right to compute a value anew, or ``None`` if another has it."""
    outcome, number = cache._lease_take(key, terms.lease_ms, True)
    return Lease(cache, key, number) if outcome == "taken" else None


# ------------------------------------------------------------------ get_or_set


def compute(
    cache: "Keyspace",
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
        lease.read_tags(terms.tags_of())
        value = func()
        lease.store(value, expire_time)
    return value


async def ready(value: _Result) -> _Result:
    """Return a value that is there to one who awaits it."""
    return value


async def compute_async(
    cache: "Keyspace",
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
        lease.read_tags(terms.tags_of())
        computed = await func()
        lease.store(computed, expire_time)
    return computed
