"""Functions whose results are kept in a cache, computed once per host.

A result is stored as it is. With ``early``, ``stale`` or ``cache_exceptions`` it
is stored in a record, a list that says until when it is fresh, how long it took,
and whether it is an exception.
"""

import functools
import inspect
import math
import random
from collections.abc import Callable, Iterable
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    NamedTuple,
    Optional,
    ParamSpec,
    Protocol,
    TypeVar,
    cast,
    overload,
)

from fastmmap import (
    _core,
    callbacks,
    durations,
    kept_errors,
    single_flight,
    unreadable,
)
from fastmmap.argument_keys import ArgumentKeys
from fastmmap.single_flight import ABSENT, Found, Lease, Terms
from fastmmap.types import Key, Lifetime

if TYPE_CHECKING:
    from fastmmap.keyspace import Keyspace

_P = ParamSpec("_P")
_Q = ParamSpec("_Q")
_R = TypeVar("_R")
_R_co = TypeVar("_R_co", covariant=True)
_Self_contra = TypeVar("_Self_contra", contravariant=True)

#: The first item of a record.
_MARK = "fastmmap.memoize"
#: Serializers that keep exceptions as what they are.
_KEEPS_EXCEPTIONS = ("pickle", "custom")


class Memoized(Protocol[_P, _R_co]):
    """A function whose results are kept: what ``FastMmap.memoize`` makes.

    It has the signature and the attributes of the function, and
    ``__wrapped__``, which is the function itself.
    """

    @property
    def __wrapped__(self) -> Callable[_P, _R_co]:
        """The function that computes."""

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R_co:
        """Return the result, computed now or before."""

    @property
    def cache_key(self) -> Callable[_P, Key]:
        """Return the key under which the result of such a call is kept."""

    @property
    def invalidate(self) -> Callable[_P, bool]:
        """Forget the result of such a call; tell whether there was one.

        One that is being computed is not stored any more.
        """

    @overload
    def __get__(
        self, instance: None, owner: Any = None, /
    ) -> "Memoized[_P, _R_co]": ...
    @overload
    def __get__(
        self: "Memoized[Concatenate[_Self_contra, _Q], _R]",
        instance: _Self_contra,
        owner: Any = None,
        /,
    ) -> Callable[_Q, _R]: ...


class Decorator(Protocol):
    """Makes functions memoized ones."""

    def __call__(self, func: Callable[_P, _R], /) -> Memoized[_P, _R]:
        """Return the memoized function."""


# --------------------------------------------------------------------- records


class _Record(NamedTuple):
    """What a list in the cache says, its first item aside."""

    fresh_until: Optional[float]  #: seconds since 1970
    seconds: float  #: that it took
    raised: bool
    value: Any

    def result(self) -> Any:
        """Return the value, or raise it."""
        if self.raised:
            raise kept_errors.restore(self.value)
        return self.value


def _record_of(stored: Any) -> _Record:
    """Return the record that was stored, or one of a plain value."""
    if type(stored) is list and len(stored) == 5 and stored[0] == _MARK:
        return _Record(*stored[1:])
    return _Record(None, 0.0, False, stored)


# ------------------------------------------------------------------------ plan


class Plan(NamedTuple):
    """How the results of one function are kept."""

    cache: "Keyspace"
    expire_time: Lifetime
    early: float
    stale_ms: int
    exceptions: tuple[type[Exception], ...]
    terms: Terms
    refreshes: bool  #: whether a value may be computed anew while it is read

    def lifetime_ms(self) -> int:
        """Return how long a result is fresh."""
        given = self.expire_time
        return durations.lifetime_ms(self.cache.expire_time if given is None else given)

    def is_fresh(self, record: _Record) -> bool:
        """Tell whether to be content with it.

        With ``early`` that is a draw, which makes a refresh the likelier, the
        nearer the end is and the longer it took: "XFetch" of A. Vattani,
        F. Chierichetti, K. Lowenstein, "Optimal Probabilistic Cache Stampede
        Prevention", VLDB 2015.
        """
        if record.fresh_until is None:
            return True
        ahead = -record.seconds * self.early * math.log(1.0 - random.random())
        return _core.now() + ahead < record.fresh_until

    def store(self, lease: Lease, value: Any, seconds: float, raised: bool) -> None:
        """Store what was computed."""
        if not self.refreshes and not self.exceptions:
            lease.keep(value, self.expire_time)
            return
        life_ms = self.lifetime_ms()
        if life_ms == durations.NEVER:
            lease.keep([_MARK, None, seconds, raised, value], "never")
            return
        fresh_until = _core.now() + life_ms / 1000
        record = [_MARK, fresh_until, seconds, raised, value]
        kept_ms = life_ms + self.stale_ms
        lease.keep(record, f"{kept_ms}ms" if kept_ms else "now", self.refreshes)

    def store_exception(self, lease: Lease, error: Exception, seconds: float) -> None:
        """Store an exception, if it was asked for and can be."""
        if lease.inherited or not isinstance(error, self.exceptions):
            return
        if unreadable.is_of_signal(error):  # it tells of the moment
            return
        if kept_errors.survives(error):
            self.store(lease, kept_errors.keep(error), seconds, raised=True)
        else:
            path = self.cache.share_file
            callbacks.log_failure("pickling an exception", lease.key, path, error)

    def is_enough(self, stored: Any) -> bool:
        """Tell whether what is stored, or ``ABSENT``, will do as it is."""
        if stored is ABSENT:
            return False
        return not self.refreshes or self.is_fresh(_record_of(stored))

    def refresh(self, lease: Lease, stored: Any) -> Optional[Found]:
        """Return a value that is stale, or take the right to refresh it: ``None``."""
        if lease.take(True)[0] != _core.LEASE_TAKEN:
            return Found(stored)
        again = self.cache._find(lease.key, ABSENT)
        if again is ABSENT or _record_of(again)[:2] == _record_of(stored)[:2]:
            return None
        return Found(again)  # another was quicker


class _Clock:
    """How long a computation took, seconds."""

    def __init__(self) -> None:
        self._began = _core.monotonic()

    def seconds(self) -> float:
        """Return the seconds since it was made."""
        return _core.monotonic() - self._began


def _result_of(stored: Any) -> Any:
    return _record_of(stored).result()


def _call(plan: Plan, key: Key, func: Any, args: Any, kwargs: Any) -> Any:
    """Return a result that is there, or compute it."""
    stored = plan.cache._find(key, ABSENT)
    if plan.is_enough(stored):
        return _result_of(stored)
    lease = Lease(plan.cache, key, plan.terms)
    try:
        with lease:
            if stored is ABSENT:
                found = single_flight.approach(lease, plan.terms)
            else:
                found = plan.refresh(lease, stored)
            if found is not None:
                return _result_of(found.value)
            with single_flight.computing(lease):  # also while it is pickled
                return _compute(plan, lease, func, args, kwargs)
    finally:
        lease.release()  # an exception may come on the way out of the block


def _compute(plan: Plan, lease: Lease, func: Any, args: Any, kwargs: Any) -> Any:
    clock = _Clock()
    try:
        lease.read_tags(plan.terms.tags_of(args, kwargs))
        clock = _Clock()
        value = func(*args, **kwargs)
        single_flight.refuse_awaitable(value, lease)
    except Exception as error:
        plan.store_exception(lease, error, clock.seconds())
        raise
    plan.store(lease, value, clock.seconds(), raised=False)
    return value


async def _call_async(plan: Plan, key: Key, func: Any, args: Any, kwargs: Any) -> Any:
    """Do the same, and block nobody."""
    stored = plan.cache._find(key, ABSENT)
    if plan.is_enough(stored):
        return _result_of(stored)
    lease = Lease(plan.cache, key, plan.terms)
    try:
        with lease:
            if stored is ABSENT:
                found = await single_flight.approach_async(lease, plan.terms)
            else:
                found = plan.refresh(lease, stored)
            if found is not None:
                return _result_of(found.value)
            with single_flight.computing(lease):
                return await _compute_async(plan, lease, func, args, kwargs)
    finally:
        lease.release()


async def _compute_async(
    plan: Plan, lease: Lease, func: Any, args: Any, kwargs: Any
) -> Any:
    clock = _Clock()
    try:
        lease.read_tags(plan.terms.tags_of(args, kwargs))
        clock = _Clock()
        value = await func(*args, **kwargs)
    except Exception as error:
        plan.store_exception(lease, error, clock.seconds())
        raise
    plan.store(lease, value, clock.seconds(), raised=False)
    return value


# ------------------------------------------------------------------- decorator


def _refuse_generator(func: Callable[..., Any]) -> None:
    if inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func):
        raise TypeError(
            f"{func.__qualname__} is a generator, whose results cannot be kept: "
            "let it return a list"
        )


def _wrapper_of(
    plan: Plan, func: Callable[..., Any], key_of: Callable[..., Key]
) -> Callable[..., Any]:
    """Return the function that looks first: a coroutine function for such a one."""
    if inspect.iscoroutinefunction(func):

        @functools.wraps(func)
        async def wait_for(*args: Any, **kwargs: Any) -> Any:
            key = key_of(*args, **kwargs)
            return await _call_async(plan, key, func, args, kwargs)

        return wait_for

    @functools.wraps(func)
    def look_up(*args: Any, **kwargs: Any) -> Any:
        return _call(plan, key_of(*args, **kwargs), func, args, kwargs)

    return look_up


def decorator(
    plan: Plan,
    key: Optional[Callable[..., Key]],
    ignore: Iterable[str],
    typed: bool,
) -> Decorator:
    """Return what memoizes functions by this plan."""

    def decorate(func: Any) -> Any:
        if isinstance(func, (classmethod, staticmethod)):
            return type(func)(decorate(func.__func__))
        if not callable(func):
            raise TypeError(f"{func!r} is no function: write @cache.memoize()")
        _refuse_generator(func)
        key_of = key or ArgumentKeys(func, ignore, typed)

        def invalidate(*args: Any, **kwargs: Any) -> bool:
            """Forget the result of such a call; tell whether there was one."""
            return plan.cache.remove(key_of(*args, **kwargs))

        def cache_key(*args: Any, **kwargs: Any) -> Key:
            """Return the key under which the result of such a call is kept."""
            return key_of(*args, **kwargs)

        wrapper: Any = _wrapper_of(plan, func, key_of)
        wrapper.cache_key = cache_key
        wrapper.invalidate = invalidate
        return wrapper

    return cast(Decorator, decorate)


# --------------------------------------------------------------------- options


def _check_early(early: float) -> float:
    if not 0 <= early < math.inf:
        raise ValueError(f"early is {early!r}: expected 0, or a number like 1.0")
    return float(early)


def _check_stale(stale: Lifetime) -> int:
    ms = durations.lifetime_ms(stale)
    return 0 if ms == durations.NEVER else ms


def _check_exceptions(given: Any, serializer: str) -> tuple[type[Exception], ...]:
    kinds = (given,) if isinstance(given, type) else tuple(given)
    for kind in kinds:
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            raise TypeError(f"cache_exceptions holds {kind!r}: expected exceptions")
    if kinds and serializer not in _KEEPS_EXCEPTIONS:
        raise ValueError(
            f"cache_exceptions needs serializer='pickle', not {serializer!r}"
        )
    return kinds


def plan(
    cache: "Keyspace",
    expire_time: Lifetime,
    early: float,
    stale: Lifetime,
    cache_exceptions: Any,
    terms: Terms,
) -> Plan:
    """Return the plan of these arguments. Raises TypeError or ValueError."""
    exceptions = _check_exceptions(cache_exceptions, cache.serializer)
    beta, stale_ms = _check_early(early), _check_stale(stale)
    refreshes = beta > 0 or stale_ms > 0
    made = Plan(cache, expire_time, beta, stale_ms, exceptions, terms, refreshes)
    if made.lifetime_ms() == durations.NEVER and refreshes:
        raise ValueError("early= and stale= need an expire_time: this never expires")
    if refreshes and cache.serializer == "raw":
        raise ValueError("early= and stale= need a serializer other than 'raw'")
    return made
