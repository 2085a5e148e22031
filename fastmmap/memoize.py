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
    NamedTuple,
    Optional,
    Union,
    cast,
)

from fastmmap import (
    _core,
    callbacks,
    definitions,
    durations,
    instances,
    kept_errors,
    single_flight,
    unreadable,
    waiting,
)
from fastmmap.argument_keys import ArgumentKeys
from fastmmap.memoized import Decorator
from fastmmap.single_flight import ABSENT, Found, Lease, Terms
from fastmmap.types import CacheInfo, Key, Lifetime, LifetimeOf

if TYPE_CHECKING:
    from fastmmap.keyspace import Keyspace

#: The first item of a record.
_MARK = "fastmmap.memoize"
#: Serializers that keep exceptions as what they are.
_KEEPS_EXCEPTIONS = ("pickle", "custom")


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
    expire_time: LifetimeOf
    negative: Lifetime  #: of ``None`` and of exceptions; ``None``: like other results
    early: float
    stale_ms: int
    on_error_ms: int  #: how long a stale value is served when computing fails
    exceptions: tuple[type[Exception], ...]
    terms: Terms
    refreshes: bool  #: whether a value may be computed again while it is read
    share: bool  #: whether callers may get one object, for they do not change it
    group: Key = ""  #: the tag of all results of the function

    def tags_of(self, args: Any, kwargs: Any) -> Iterable[Key]:
        """Return the tags of the result of a call, that of the function too."""
        tags: Any = self.terms.tags_of(args, kwargs)
        if isinstance(tags, (str, bytes)):
            return cast(Iterable[Key], tags)  # an error where tags are read
        return (*tags, self.group)

    def lifetime_of(self, value: Any, raised: bool) -> Lifetime:
        """Return the lifetime of a result; ``None`` is the cache's default."""
        if self.negative is not None and (raised or value is None):
            return self.negative
        if raised and callable(self.expire_time):
            return None  # it is a function of values
        return durations.lifetime_of(value, self.expire_time)

    def lifetime_ms(self, given: Lifetime) -> int:
        """Return how long a result is fresh."""
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
        """Store a computed result."""
        lifetime = self.lifetime_of(value, raised)
        if not self.refreshes and not self.exceptions:
            lease.keep(value, lifetime)
            return
        life_ms = self.lifetime_ms(lifetime)
        if life_ms == durations.NEVER:
            lease.keep([_MARK, None, seconds, raised, value], "never")
            return
        fresh_until = _core.now() + life_ms / 1000
        record = [_MARK, fresh_until, seconds, raised, value]
        kept_ms = life_ms + max(self.stale_ms, self.on_error_ms)
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
        """Tell whether the stored value, or ``ABSENT``, can be returned."""
        if stored is ABSENT:
            return False
        return not self.refreshes or self.is_fresh(_record_of(stored))

    def refresh(self, lease: Lease, stored: Any) -> Optional[Found]:
        """Return a value that is stale, or take the right to refresh it: ``None``.

        ``_WAIT``: another has that, and the value is too old to be given out.
        """
        if lease.take(True)[0] != _core.LEASE_TAKEN:
            return Found(stored) if _lasts(stored, self.stale_ms) else _WAIT
        again = self.cache._find(lease.key, ABSENT)
        if again is ABSENT or _record_of(again)[:2] == _record_of(stored)[:2]:
            return None
        return Found(again)  # another was quicker

    def settle(self, lease: Lease, stored: Any) -> Optional[Found]:
        """Return what came of the computation of another, or ``None``: compute."""
        again = self.cache._find(lease.key, ABSENT)
        if again is ABSENT:
            return None
        failed = _record_of(again)[:2] == _record_of(stored)[:2]
        return None if failed and not self.serves(again) else Found(again)

    def serves(self, stored: Any) -> bool:
        """Tell whether to be content with an old value, for there is no new one."""
        if stored is ABSENT or not self.on_error_ms or _record_of(stored).raised:
            return False
        return _lasts(stored, self.on_error_ms)

    def outlives(self, lease: Lease, stored: Any, error: Exception) -> bool:
        """Tell whether the old value is served in spite of an error; log that."""
        if not self.serves(stored) or unreadable.is_of_signal(error):
            return False
        callbacks.log_stale(lease.key, self.cache.share_file, error)
        return True


#: What is found where one has to wait.
_WAIT = Found(ABSENT)


def _lasts(stored: Any, ms: int) -> bool:
    """Tell whether its lifetime is over for no longer than that."""
    fresh_until = _record_of(stored).fresh_until
    return fresh_until is None or _core.now() < fresh_until + ms / 1000


class _Clock:
    """How long a computation took, seconds."""

    def __init__(self) -> None:
        self._began = _core.monotonic()

    def seconds(self) -> float:
        """Return the seconds since it was made."""
        return _core.monotonic() - self._began


def _result_of(stored: Any) -> Any:
    return _record_of(stored).result() if type(stored) is list else stored


class _Function(NamedTuple):
    """A function, and how its results are kept."""

    plan: Plan
    compute: Callable[..., Any]
    counts: _core.Counts
    refused: callbacks.Refusals

    def lease(self, key: Key) -> Lease:
        """Return what computes the result of a call."""
        return Lease(self.plan.cache, key, self.plan.terms, self.refused)


def _approach(function: _Function, lease: Lease, stored: Any) -> Optional[Found]:
    """Return a result that is there by now, or take the right to compute it."""
    plan = function.plan
    if stored is ABSENT:
        return single_flight.approach(lease, plan.terms)
    found = plan.refresh(lease, stored)
    if found is not _WAIT:
        return found
    found = single_flight.approach(lease, plan.terms, refresh=True)
    return plan.settle(lease, stored) if found is None else found


def _call(function: _Function, key: Key, stored: Any, args: Any, kwargs: Any) -> Any:
    """Compute a result, or wait for another who does."""
    counts = function.counts
    lease = function.lease(key)
    try:
        with lease:
            found = _approach(function, lease, stored)
            if found is not None:
                counts.hits += 1
                return _result_of(found.value)
            counts.misses += 1
            with single_flight.computing(lease):  # also while it is pickled
                return _compute(function, lease, stored, args, kwargs)
    finally:
        lease.release()  # an exception may come on the way out of the block


def _compute(
    function: _Function, lease: Lease, stored: Any, args: Any, kwargs: Any
) -> Any:
    plan, func = function.plan, function.compute
    clock = _Clock()
    try:
        lease.read_tags(plan.tags_of(args, kwargs))
        clock = _Clock()
        value = func(*args, **kwargs)
        single_flight.refuse_awaitable(value, lease)
    except Exception as error:
        if plan.outlives(lease, stored, error):
            return _result_of(stored)
        plan.store_exception(lease, error, clock.seconds())
        raise
    plan.store(lease, value, clock.seconds(), raised=False)
    return value


async def _approach_async(
    function: _Function, lease: Lease, stored: Any
) -> Optional[Found]:
    plan = function.plan
    if stored is ABSENT:
        return await single_flight.approach_async(lease, plan.terms)
    found = await waiting.patiently(plan.refresh, lease, stored)
    if found is not _WAIT:
        return found
    found = await single_flight.approach_async(lease, plan.terms, refresh=True)
    if found is None:
        return await waiting.patiently(plan.settle, lease, stored)
    return found


async def _call_async(
    function: _Function, key: Key, stored: Any, args: Any, kwargs: Any
) -> Any:
    """Do the same, and block nobody."""
    counts = function.counts
    lease = function.lease(key)
    try:
        with lease:
            found = await _approach_async(function, lease, stored)
            if found is not None:
                counts.hits += 1
                return _result_of(found.value)
            counts.misses += 1
            with single_flight.computing(lease):
                return await _compute_async(function, lease, stored, args, kwargs)
    finally:
        lease.release()


async def _compute_async(
    function: _Function, lease: Lease, stored: Any, args: Any, kwargs: Any
) -> Any:
    plan, func = function.plan, function.compute
    clock = _Clock()
    try:
        tags = plan.tags_of(args, kwargs)
        await waiting.patiently(lease.read_tags, tags)
        clock = _Clock()
        value = await func(*args, **kwargs)
    except Exception as error:
        if plan.outlives(lease, stored, error):
            return _result_of(stored)
        took = clock.seconds()
        await waiting.patiently(plan.store_exception, lease, error, took)
        raise
    took = clock.seconds()
    await waiting.patiently(plan.store, lease, value, took, raised=False)
    return value


# ------------------------------------------------------------------- decorator


def refuse_generator(func: Callable[..., Any]) -> None:
    """Raise TypeError for a function whose results can be read only once."""
    if inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func):
        raise TypeError(
            f"{func.__qualname__} is a generator, whose results cannot be kept: "
            "return a list"
        )


class _Unsettled(NamedTuple):
    """What a coroutine function has found, and could not return."""

    key: Key
    stored: Any
    args: Any
    kwargs: Any


def _settle(function: _Function, key: Key, stored: Any, args: Any, kwargs: Any) -> Any:
    """Return the result of a call that found a record, or nothing."""
    if not function.plan.is_enough(stored):
        return _call(function, key, stored, args, kwargs)
    function.counts.hits += 1
    return _result_of(stored)


async def _settle_async(
    function: _Function, key: Key, stored: Any, args: Any, kwargs: Any
) -> Any:
    """Do the same; ``_WAIT``: what is there is yet to be seen."""
    plan = function.plan
    if stored is _WAIT:
        stored = await waiting.patiently(plan.cache._find, key, ABSENT)
    if not plan.is_enough(stored):
        return await _call_async(function, key, stored, args, kwargs)
    function.counts.hits += 1
    return _result_of(stored)


def _ignored_by(key_of: Callable[..., Key]) -> Optional[int]:
    """Return which arguments have no say in a key; ``None``: others may have one."""
    return key_of.ignored_bits if isinstance(key_of, ArgumentKeys) else None


def _wrapper_of(function: _Function, key_of: Callable[..., Key]) -> Callable[..., Any]:
    """Return the function that looks first: a coroutine function for such a one."""
    plan, func, counts, _ = function
    made = plan.cache, counts, key_of
    ignored = _ignored_by(key_of)

    if inspect.iscoroutinefunction(func):
        memoized = _core.Memoized(
            *made, _Unsettled, ABSENT, _WAIT, ignored, share=plan.share
        )
        instances.watch(memoized, key_of)
        look_up = memoized.call_packed

        @functools.wraps(func)
        async def wait_for(*args: Any, **kwargs: Any) -> Any:
            found = look_up(args, kwargs)
            if type(found) is _Unsettled:
                return await _settle_async(function, *found)
            return found

        return wait_for

    settle = functools.partial(_settle, function)
    memoized = _core.Memoized(*made, settle, ABSENT, None, ignored, share=plan.share)
    instances.watch(memoized, key_of)
    return functools.wraps(func)(memoized)


class Naming(NamedTuple):
    """How the keys of a function are made."""

    key: Optional[Callable[..., Key]]
    ignore: tuple[str, ...]
    typed: bool
    name: Optional[str]
    version: Union[str, int, None]

    def name_for(self, cache: "Keyspace", func: Any) -> str:
        """Return the name of the results. Raises TypeError when another has it."""
        if self.key is not None:
            return definitions.group_name(func)
        name = definitions.own_name(func) if self.name is None else self.name
        definitions.claim(single_flight.place_of(cache), name, func)
        return name

    def keys_for(self, func: Any, name: str) -> Callable[..., Key]:
        """Return what makes the key of a call."""
        if self.key is not None:
            return self.key
        return ArgumentKeys(func, name, self.ignore, self.typed, self.version)


def _parameters_of(plan: Plan, naming: Naming) -> dict[str, Any]:
    """Return the options of `FastMmap.memoize`."""
    return {
        "expire_time": plan.expire_time,
        **naming._asdict(),
        "negative": plan.negative,
        "early": plan.early,
        "stale": plan.stale_ms / 1000,
        "stale_on_error": plan.on_error_ms / 1000,
        "cache_exceptions": plan.exceptions,
        "timeout": plan.terms.timeout,
        "lease_time": plan.terms.lease_ms / 1000,
        "tags": plan.terms.tags,
    }


def _add_methods(
    wrapper: Any,
    function: _Function,
    key_of: Callable[..., Key],
    parameters: dict[str, Any],
) -> None:
    cache, counts = function.plan.cache, function.counts

    def invalidate(*args: Any, **kwargs: Any) -> bool:
        """Forget the result of such a call; tell whether there was one."""
        return cache.remove(key_of(*args, **kwargs))

    def cache_key(*args: Any, **kwargs: Any) -> Key:
        """Return the key under which the result of such a call is kept."""
        return key_of(*args, **kwargs)

    def cache_info() -> CacheInfo:
        """Return how many calls of this process computed, and how many did not."""
        return CacheInfo(counts.hits, counts.misses)

    def cache_clear() -> None:
        """Forget all results of the function, in all processes, however many."""
        counts.hits = counts.misses = 0
        cache.invalidate_tag(function.plan.group)

    def cache_parameters() -> dict[str, Any]:
        """Return the options that it was made with, and the name of its results."""
        return {**parameters}

    for method in (invalidate, cache_key, cache_info, cache_clear, cache_parameters):
        setattr(wrapper, method.__name__, method)


def is_function(given: Any) -> bool:
    """Tell whether it is there to be memoized."""
    return callable(given) or isinstance(given, (classmethod, staticmethod))


def decorator(plan: Plan, naming: Naming) -> Decorator:
    """Return what memoizes functions by this plan."""

    def decorate(func: Any) -> Any:
        if isinstance(func, (classmethod, staticmethod)):
            return type(func)(decorate(func.__func__))
        if not callable(func):
            raise TypeError(f"{func!r} is not a function")
        refuse_generator(func)
        name = naming.name_for(plan.cache, func)
        key_of = naming.keys_for(func, name)
        own = plan._replace(group=f"fastmmap.memoize:{name}")
        refused = callbacks.Refusals(name)
        function = _Function(own, func, _core.Counts(), refused)
        wrapper = _wrapper_of(function, key_of)
        parameters = _parameters_of(plan, naming._replace(name=name))
        _add_methods(wrapper, function, key_of, parameters)
        return wrapper

    return cast(Decorator, decorate)


# --------------------------------------------------------------------- options


def naming(
    key: Optional[Callable[..., Key]],
    ignore: Union[str, Iterable[str]],
    typed: bool,
    name: Optional[str],
    version: Union[str, int, None],
) -> Naming:
    """Return the naming of these arguments. Raises TypeError or ValueError."""
    ignored = (ignore,) if isinstance(ignore, str) else tuple(ignore)
    if key is not None and (ignored or typed or name or version is not None):
        raise ValueError(
            "ignore=, typed=, name= and version= cannot be combined with key="
        )
    if name is not None and not isinstance(name, str):
        raise TypeError(f"name must be a str, not {type(name).__name__}")
    if name == "":
        raise ValueError("name is empty: keys begin with it")
    return Naming(key, ignored, typed, name, version)


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
    expire_time: LifetimeOf,
    negative: Lifetime,
    early: float,
    stale: Lifetime,
    stale_on_error: Lifetime,
    cache_exceptions: Any,
    terms: Terms,
    share: bool,
) -> Plan:
    """Return the plan of these arguments. Raises TypeError or ValueError."""
    exceptions = _check_exceptions(cache_exceptions, cache.serializer)
    beta, old = _check_early(early), (_check_stale(stale), _check_stale(stale_on_error))
    refreshes = beta > 0 or max(old) > 0
    made = Plan(
        cache,
        expire_time,
        negative,
        beta,
        *old,
        exceptions,
        terms,
        refreshes,
        share,
    )
    if negative is not None:
        durations.lifetime_ms(negative)
    never = not callable(expire_time) and made.lifetime_ms(expire_time) < 0
    if never and refreshes:
        raise ValueError(
            "early=, stale= and stale_on_error= need an expire_time: this never expires"
        )
    if refreshes and cache.serializer == "raw":
        raise ValueError(
            "early=, stale= and stale_on_error= need a serializer other than 'raw'"
        )
    return made
