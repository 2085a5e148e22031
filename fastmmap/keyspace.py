"""What caches and namespaces have in common beside their C methods."""

import inspect
from collections.abc import (
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    MutableMapping,
)
from types import FunctionType
from typing import TYPE_CHECKING, Any, Optional, TypeVar, Union, overload

from fastmmap import _core, single_flight
from fastmmap.single_flight import ABSENT, LEASE_TIME
from fastmmap.types import Key, Lifetime
from fastmmap.views import CacheItems, CacheValues

if TYPE_CHECKING:
    from fastmmap.memoize import Decorator
    from fastmmap.namespace import Namespace

_Value = TypeVar("_Value")
_GET_KEYS_MODES = (0, 1, 2)


class Keyspace(_core.Keyspace, MutableMapping[Key, Any]):
    """The operations on keys: the base of `FastMmap` and `Namespace`."""

    #: Of the namespaces that lead from the cache to here.
    _names: tuple[str, ...] = ()

    @property
    def _root(self) -> "Keyspace":
        """The cache that this is, or is in."""
        return self

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def namespace(self, name: str) -> "Namespace":
        """Return a view of this cache with keys of its own.

        Args:
            name: Its name. All namespaces of a name are one, in all processes.

        Returns:
            A `Namespace`, whose ``clear()`` takes the same short time however much
            is in it.

        Raises:
            TypeError: The name is no str.
            ValueError: It is too long, or more than 16 are in one another.
        """
        from fastmmap.namespace import Namespace  # it is made of this class

        return Namespace(self, name)

    def items(self) -> CacheItems:
        """Return a view of the items; it calls no ``read_cb``.

        Iteration copies one page at a time and holds no lock between steps.
        """
        return CacheItems(self)

    def values(self) -> CacheValues:
        """Return a view of the values; it calls no ``read_cb``.

        Iteration copies one page at a time and holds no lock between steps.
        """
        return CacheValues(self)

    def popitem(self) -> tuple[Key, Any]:
        """Remove some item and return it.

        Returns:
            A pair of key and value.

        Raises:
            KeyError: The cache is empty.
        """
        for key in self:
            value = self.get_and_remove(key, ABSENT).value
            if value is not ABSENT:
                return key, value
        raise KeyError("popitem(): the cache is empty")

    @overload
    def get_or_set(
        self,
        key: Key,
        default: Callable[[], Coroutine[Any, Any, _Value]],
        expire_time: Lifetime = None,
        *,
        timeout: Union[int, float, None] = None,
        lease_time: Lifetime = LEASE_TIME,
        tags: Iterable[Key] = (),
    ) -> Coroutine[Any, Any, _Value]: ...
    @overload
    def get_or_set(
        self,
        key: Key,
        default: Callable[[], _Value],
        expire_time: Lifetime = None,
        *,
        timeout: Union[int, float, None] = None,
        lease_time: Lifetime = LEASE_TIME,
        tags: Iterable[Key] = (),
    ) -> _Value: ...
    @overload
    def get_or_set(
        self,
        key: Key,
        default: _Value,
        expire_time: Lifetime = None,
        *,
        timeout: Union[int, float, None] = None,
        lease_time: Lifetime = LEASE_TIME,
        tags: Iterable[Key] = (),
    ) -> _Value: ...
    def get_or_set(
        self,
        key: Key,
        default: Any,
        expire_time: Lifetime = None,
        *,
        timeout: Union[int, float, None] = None,
        lease_time: Lifetime = LEASE_TIME,
        tags: Iterable[Key] = (),
    ) -> Any:
        """Return the value of a key; where there is none, store one.

        One caller computes it, of all processes, threads and tasks of the host;
        the others wait for it. No lock of the cache is held meanwhile. What was
        computed is not stored when the key was set or removed since, and the
        caller gets it all the same.

        Args:
            key: str or bytes.
            default: The value, or a function without arguments that computes it;
                with an ``async def`` the call is to be awaited.
            expire_time: Its lifetime; ``None`` is the cache's default.
            timeout: Seconds to wait for another who computes the value; ``None``
                waits for as long as that one may take.
            lease_time: How long the computation may take, a day at most, before
                another takes over. One that was killed is replaced at once.
            tags: As of `set`. They are read before the computation begins, so that
                what it saw before an `invalidate_tag` is not kept.

        Returns:
            The value that was there, or was computed by this or another caller;
            for an ``async def`` a coroutine of it.

        Raises:
            LockTimeout: Another computes it for longer than ``timeout``.
            LockError: The function asks for the key that it computes.
            TypeError: What a plain function returned is to be awaited: see
                `get_or_set_async`.
        """
        if _is_async(default):
            return self.get_or_set_async(
                key,
                default,
                expire_time,
                timeout=timeout,
                lease_time=lease_time,
                tags=tags,
            )
        value = self._find(key, ABSENT)
        if value is not ABSENT:
            return value
        terms = single_flight.terms(lease_time, timeout, tags, expire_time)
        func = default if callable(default) else lambda: default
        return single_flight.compute(self, key, func, expire_time, terms)

    async def get_or_set_async(
        self,
        key: Key,
        default: Callable[[], Awaitable[_Value]],
        expire_time: Lifetime = None,
        *,
        timeout: Union[int, float, None] = None,
        lease_time: Lifetime = LEASE_TIME,
        tags: Iterable[Key] = (),
    ) -> _Value:
        """Return the value of a key as `get_or_set` does, and block no event loop.

        Args:
            default: A function without arguments whose result is to be awaited: an
                ``async def``, or any other callable.
            key, expire_time, timeout, lease_time, tags: As of `get_or_set`.

        Returns:
            The value that was there, or was computed by this or another caller.

        Raises:
            LockTimeout, LockError: As of `get_or_set`.
        """
        value = self._find(key, ABSENT)
        if value is not ABSENT:
            found: _Value = value
            return found
        terms = single_flight.terms(lease_time, timeout, tags, expire_time)
        return await single_flight.compute_async(self, key, default, expire_time, terms)

    def memoize(
        self,
        expire_time: Lifetime = None,
        *,
        key: Optional[Callable[..., Key]] = None,
        ignore: Iterable[str] = (),
        typed: bool = False,
        early: float = 0.0,
        stale: Lifetime = 0,
        cache_exceptions: Union[type[Exception], tuple[type[Exception], ...]] = (),
        timeout: Union[int, float, None] = None,
        lease_time: Lifetime = LEASE_TIME,
        tags: Union[Iterable[Key], Callable[..., Iterable[Key]]] = (),
    ) -> "Decorator":
        """Return a decorator that keeps the results of a function in the cache.

        Of all calls with the same arguments one computes, as in `get_or_set`. It
        takes ``def`` and ``async def``, methods, class and static methods.

        Args:
            expire_time: Lifetime of the results; ``None`` is the cache's default.
            key: A function of the same arguments that returns the key. Without
                it, name and arguments make the key.
            ignore: Names of parameters that are no part of the key.
            typed: Whether ``1``, ``1.0`` and ``True`` are different arguments.
            early: How eagerly to compute a result anew before it expires: 0 not at
                all, 1.0 as is usual. One caller does, the others go on with the
                old result.
            stale: How long after its lifetime a result is still given to others
                while one caller computes it anew.
            cache_exceptions: Exceptions to keep and raise again like results.
            timeout: As of `get_or_set`.
            lease_time: As of `get_or_set`.
            tags: As of `get_or_set`, or a function of the same arguments that
                returns them.

        Returns:
            A decorator. What it makes has the function's signature, and
            ``cache_key(...)``, ``invalidate(...)`` and ``__wrapped__``.

        Raises:
            TypeError, ValueError: An argument is out of its range; when
                decorating: a generator, a lambda, or no such parameter to ignore.
                A call raises TypeError for an argument of which no key can be
                made.
        """
        from fastmmap import memoize  # takes long, and not everybody needs it

        if key is not None and (tuple(ignore) or typed):
            raise ValueError("ignore= and typed= say how a key is made: not with key=")
        terms = single_flight.terms(lease_time, timeout, tags)
        plan = memoize.plan(self, expire_time, early, stale, cache_exceptions, terms)
        return memoize.decorator(plan, key, ignore, typed)

    def get_keys(self, mode: int = 0) -> list[Any]:
        """List what is in the cache; expired entries and tombstones are hidden.

        Args:
            mode: 0 for keys; 1 for dicts with ``key``, ``last_access``,
                ``expire_on`` (seconds since 1970, ``None`` for never), ``flags``
                (1 dirty, 2 compressed) and ``modseq``; 2 for those with
                ``value``.

        Returns:
            A list, which other processes may have made out of date already.

        Raises:
            ValueError: Another mode.
        """
        if mode not in _GET_KEYS_MODES:
            raise ValueError(f"mode is {mode!r}: expected 0, 1 or 2")
        return list(self._scan(mode))


def _is_async(default: Any) -> bool:
    """Tell whether it is a function whose result must be awaited."""
    if type(default) is FunctionType:
        return bool(default.__code__.co_flags & inspect.CO_COROUTINE)
    return callable(default) and inspect.iscoroutinefunction(default)
