"""One computation per host: one caller computes a key, the others wait.

A key that is being computed carries a lease, in the cache itself: a token, a
deadline and the process. One caller has it; the others sleep and look again
until there is a value, or the lease is over, or their patience. Threads and
tasks of one process are callers like any others. No lock of the cache is held
while anybody computes or waits.
"""

import pickle
import zlib
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum
from types import GeneratorType, MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Optional, TypeVar, Union

from fastmmap import _core, callbacks, crossing, durations, unreadable, waiting
from fastmmap.errors import Error, LockError, LockTimeout
from fastmmap.tasks import Computer
from fastmmap.types import Key, Lifetime, LifetimeOf

if TYPE_CHECKING:
    from fastmmap.keyspace import Keyspace

_Result = TypeVar("_Result")

#: Hundreds may wait for one computation, and leave it the processors: each sleeps for
#: this share of the time that it has waited.
_SHARE: Final = 0.05

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

    Raises TypeError or ValueError for a value that is not a lifetime, or is zero.
    """
    ms = durations.lifetime_ms(lease_time)
    if ms == durations.NOW:
        raise ValueError("lease_time is 'now': a lease has to last")
    return _LEASE_MS_MAX if ms == durations.NEVER else min(ms, _LEASE_MS_MAX)


def terms(
    lease_time: Lifetime,
    timeout: Union[int, float, None],
    tags: Tags = (),
    expire_time: LifetimeOf = None,
) -> Terms:
    """Return the terms of these arguments; the lifetime of the value is looked at only.

    Raises TypeError or ValueError for invalid lifetimes and timeouts.
    """
    waiting.check_timeout(timeout)
    if expire_time is not None and not callable(expire_time):
        durations.lifetime_ms(expire_time)
    # An iterator could be read once only.
    kept = tags if callable(tags) or isinstance(tags, (str, bytes)) else tuple(tags)
    longest = lease_ms(LEASE_TIME if lease_time is None else lease_time)
    return Terms(longest, timeout, kept)


# ---------------------------------------------------------------- one computes


#: What a serializer or compressor raises of a value that it cannot store, and what
#: the cache itself may raise.
_UNSTORABLE: Final = (
    pickle.PickleError,
    zlib.error,
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    Error,
)


def is_unstorable(error: BaseException) -> bool:
    """Tell whether it says that a value cannot be stored.

    Whatever else comes while one is stored is none of its business: a soft time limit
    from a signal handler, or a test's timeout. Those are often a TimeoutError.
    """
    if isinstance(error, TimeoutError):
        return isinstance(error, Error)
    return isinstance(error, _UNSTORABLE) and not unreadable.is_of_signal(error)


class Lease(crossing.Computation):
    """The right to compute the value of a key, while a block runs.

    It holds nothing at first; `approach` takes it. Without a token the value cannot
    be stored, but the caller needs one. `refused` is called with one without room.
    """

    def __init__(
        self,
        cache: "Keyspace",
        key: Key,
        terms: Terms,
        refused: Callable[[Key, "Keyspace", Any], None] = callbacks.log_refusal,
    ) -> None:
        super().__init__(cache, key, terms.lease_ms)
        self._tags = b""
        self._refused = refused

    def read_tags(self, tags: Iterable[Key]) -> None:
        """Read the tags that the value will have: before it is computed."""
        if tags:
            self._tags = self.cache._read_tags(tags)

    def keep(self, value: Any, expire_time: Lifetime, leasable: bool = False) -> None:
        """Store the value, if the lease is still there.

        What cannot be stored or does not fit is logged: the caller has the value
        all the same.

        Raises LockError in a process that was forked during the computation.
        """
        path = self.cache.share_file
        if self.inherited:
            raise LockError(
                f"{path}: key {self.key!r} is computed by the parent, which forked "
                "this process meanwhile: nothing was stored"
            )
        try:
            outcome = self.store(value, expire_time, leasable, self._tags)
        except Exception as error:
            if not is_unstorable(error):
                raise
            callbacks.log_failure("storing a computed value", self.key, path, error)
            return
        if outcome == _core.LEASE_REFUSED and self.release():
            # The lease was there: what was missing is the room.
            self._refused(self.key, self.cache, value)


#: What this context, a thread or a task, is computing just now, or what started it.
_computing: ContextVar[tuple[tuple[Lease, Computer], ...]] = ContextVar(
    "computing", default=()
)


def _computed_around() -> tuple[tuple[Lease, Computer], ...]:
    """Return the leases of this context whose blocks run, in this process."""
    pairs = _computing.get()
    return tuple(one for one in pairs if one[0].running and not one[0].inherited)


def _computed_here() -> list[Lease]:
    """Return those of them that this very code, or who waits for it, computes."""
    pairs = _computed_around()
    return [lease for lease, computer in pairs if computer.waits_for_caller()]


@contextmanager
def computing(lease: Lease) -> Iterator[None]:
    """Let this context know what it computes, while a block runs."""
    _computing.set((*_computed_around(), (lease, Computer())))
    try:
        yield
    finally:  # a coroutine may end in another context than it began in
        _computing.set(tuple(one for one in _computing.get() if one[0] is not lease))


def place_of(cache: "Keyspace") -> tuple[str, ...]:
    """Return what tells keys of this cache or namespace from those of others."""
    return (cache.share_file, *cache._names)


def _refuse_own(wanted: Lease) -> None:
    """Refuse to wait for oneself."""
    key, cache = wanted.key, wanted.cache
    for lease in _computed_here():
        same = lease.key == key and type(lease.key) is type(key)
        if same and place_of(lease.cache) == place_of(cache):
            raise LockError(
                f"{cache.share_file}: key {key!r} is being computed by this very "
                "code, which would wait for itself"
            )


# -------------------------------------------------------------------- many wait


#: What is known of a key whose page another holds.
_UNKNOWN: Final = (_core.LEASE_LEASED, 0, 0)


def _approach(
    lease: Lease, terms: Terms, refresh: bool
) -> waiting.Steps[Optional[Found]]:
    """Wait until there is a value, or the lease is taken."""
    cache, key, look = lease.cache, lease.key, waiting.Looks()
    watch = crossing.Watch(lease, _computed_here)
    with watch, waiting.Patience(terms.timeout, _SHARE) as patience:
        while True:
            outcome, process, token = look(_UNKNOWN, lease.take, refresh)
            if outcome in (_core.LEASE_TAKEN, _core.LEASE_REFUSED):
                return None
            if outcome == _core.LEASE_LEASED:
                _refuse_own(lease)
                delay = patience.delay()
                if delay is None:
                    why = f"is being computed by process {process}"
                    if not token:
                        why = "is on a page that another thread or process holds"
                    raise LockTimeout(
                        f"{cache.share_file}: key {key!r} {why}; gave up after "
                        f"{terms.timeout} s: try again, or raise timeout"
                    )
                yield delay
                if token:
                    watch.look(token)
                continue
            value = look(ABSENT, cache._find, key, ABSENT)
            if value is not ABSENT:
                return Found(value)


def approach(lease: Lease, terms: Terms, refresh: bool = False) -> Optional[Found]:
    """Return the value of a key, or take the right to compute it: ``None``.

    The block of the lease has begun: whatever exception comes, it ends. With
    ``refresh`` the right to compute an existing value again.

    Raises:
        LockTimeout: Another computes it for longer than ``terms.timeout``.
        LockError: The caller is itself part of the computation.
    """
    return waiting.run(_approach(lease, terms, refresh))


async def approach_async(
    lease: Lease, terms: Terms, refresh: bool = False
) -> Optional[Found]:
    """Do the same without blocking the event loop."""
    return await waiting.run_async(_approach(lease, terms, refresh))


def refuse_awaitable(value: object, lease: Lease) -> None:
    """Refuse an awaitable that a plain function returned: it is not a value yet.

    Raises TypeError.
    """
    if not isinstance(value, (Awaitable, GeneratorType)):
        return
    import inspect  # rarely needed, and slow to import

    if not inspect.isawaitable(value):
        return
    if inspect.iscoroutine(value):
        value.close()  # it will not be awaited
    raise TypeError(
        f"{lease.cache.share_file}: a plain function computed key {lease.key!r}, and "
        f"returned a {type(value).__name__}, which must be awaited: write async def, "
        "or use get_or_set_async"
    )


# ------------------------------------------------------------------ get_or_set


def compute(
    cache: "Keyspace",
    key: Key,
    func: Callable[[], _Result],
    expire_time: LifetimeOf,
    terms: Terms,
) -> _Result:
    """Return the value of a key that had none; one caller computes it."""
    lease = Lease(cache, key, terms)
    try:
        with lease:
            found = approach(lease, terms)
            if found is not None:
                value: _Result = found.value
                return value
            with computing(lease):  # also while it is pickled, which may compute
                lease.read_tags(terms.tags_of())
                value = func()
                refuse_awaitable(value, lease)
                lease.keep(value, durations.lifetime_of(value, expire_time))
    finally:
        lease.release()  # an exception may come on the way out of the block
    return value


async def compute_async(
    cache: "Keyspace",
    key: Key,
    func: Callable[[], Awaitable[_Result]],
    expire_time: LifetimeOf,
    terms: Terms,
) -> _Result:
    """Do the same without blocking the event loop."""
    lease = Lease(cache, key, terms)
    try:
        with lease:
            found = await approach_async(lease, terms)
            if found is not None:
                computed: _Result = found.value
                return computed
            with computing(lease):
                await waiting.patiently(lease.read_tags, terms.tags_of())
                computed = await func()
                lifetime = durations.lifetime_of(computed, expire_time)
                await waiting.patiently(lease.keep, computed, lifetime)
    finally:
        lease.release()
    return computed
