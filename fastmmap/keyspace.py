"""What caches and namespaces have in common beside their C methods."""

from collections.abc import (
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    MutableMapping,
)
from types import FunctionType
from typing import (
    TYPE_CHECKING,
    Any,
    Optional,
    ParamSpec,
    TypeVar,
    Union,
    overload,
)

from fastmmap import _core, single_flight, waiting, words
from fastmmap.single_flight import ABSENT, LEASE_TIME
from fastmmap.types import Key, Lifetime, LifetimeOf
from fastmmap.views import CacheItems, CacheValues

if TYPE_CHECKING:
    from fastmmap.memoized import Decorator, Memoized
    from fastmmap.namespace import Namespace

_Value = TypeVar("_Value")
_Text = TypeVar("_Text", str, bytes)
_P = ParamSpec("_P")
_R = TypeVar("_R")
_GET_KEYS_MODES = (0, 1, 2)
_CO_COROUTINE = 0x80  # inspect's


class Keyspace(_core.Keyspace, words.OtherMethods, MutableMapping[Key, Any]):
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
        """Return a view of this cache with separate keys.

        Args:
            name: Its name. All namespaces of a name are one, in all processes.

        Returns:
            A `Namespace`, whose ``clear()`` takes the same short time however much
            is in it.

        Raises:
            TypeError: The name is not a str.
            ValueError: It is too long, or more than 16 are in one another.
        """
        from fastmmap.namespace import Namespace  # it is made of this class

        return Namespace(self, name)

    def __dir__(self) -> Iterable[str]:
        """Leave out what is there only to name another word."""
        return [name for name in super().__dir__() if name not in words.METHODS]

    def persist(self, key: Key) -> bool:
        """Remove the lifetime of a value.

        Returns:
            Whether it is there.

        Raises:
            TypeError: The key is of another type.
        """
        return self.touch(key, "never")

    def iter_prefix(self, prefix: _Text) -> Iterator[_Text]:
        """Iterate over the keys that begin with something.

        It walks the whole file, one page at a time, and holds no lock between steps.
        A `namespace` keeps keys apart without a walk.

        Args:
            prefix: str for keys that are str, bytes for those that are bytes.

        Returns:
            An iterator of keys.

        Raises:
            TypeError: The prefix is of another type.
        """
        if not isinstance(prefix, (str, bytes)):
            kind = type(prefix).__name__
            raise TypeError(f"a prefix must be str or bytes, not {kind}")
        kind = str if isinstance(prefix, str) else bytes
        return (key for key in self if isinstance(key, kind) and key.startswith(prefix))

    def delete_prefix(self, prefix: _Text) -> int:
        """Remove all keys that begin with something; see `iter_prefix`.

        Args:
            prefix: str for keys that are str, bytes for those that are bytes.

        Returns:
            How many were removed.

        Raises:
            TypeError: The prefix is of another type.
        """
        return self.delete_many(self.iter_prefix(prefix))

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

    def _get_or_set(
        self,
        key: Key,
        default: Any,
        expire_time: LifetimeOf = None,
        **terms: Any,
    ) -> Any:
        """Do what `get_or_set` does, for a default that may have to be awaited."""
        if _is_async(default):
            return self.get_or_set_async(key, default, expire_time, **terms)
        value = self._find(key, ABSENT)
        if value is not ABSENT:
            return value
        return self._compute(key, default, expire_time, **terms)

    def _compute(
        self,
        key: Key,
        default: Any,
        expire_time: LifetimeOf = None,
        *,
        timeout: Union[int, float, None] = None,
        lease_time: Lifetime = LEASE_TIME,
        tags: Iterable[Key] = (),
    ) -> Any:
        """Do what `get_or_set` does, for a key that was seen to have no value."""
        terms = single_flight.terms(lease_time, timeout, tags, expire_time)
        func = default if callable(default) else lambda: default
        return single_flight.compute(self, key, func, expire_time, terms)

    async def get_or_set_async(
        self,
        key: Key,
        default: Callable[[], Awaitable[_Value]],
        expire_time: LifetimeOf = None,
        *,
        timeout: Union[int, float, None] = None,
        lease_time: Lifetime = LEASE_TIME,
        tags: Iterable[Key] = (),
    ) -> _Value:
        """Return the value of a key as `get_or_set` does, and block no event loop.

        Args:
            default: A callable without arguments that returns an awaitable, such as an
                ``async def``.
            key, expire_time, timeout, lease_time, tags: As in `get_or_set`.

        Returns:
            The existing value, or the one that this or another caller computed.

        Raises:
            LockTimeout, LockError: As in `get_or_set`.
        """
        value = await waiting.patiently(self._find, key, ABSENT)
        if value is not ABSENT:
            found: _Value = value
            return found
        terms = single_flight.terms(lease_time, timeout, tags, expire_time)
        return await single_flight.compute_async(self, key, default, expire_time, terms)

    @overload
    def memoize(self, first: Callable[_P, _R], /) -> "Memoized[_P, _R]": ...
    @overload
    def memoize(
        self,
        first: Lifetime = None,
        /,
        *,
        expire_time: LifetimeOf = None,
        key: Optional[Callable[..., Key]] = None,
        ignore: Iterable[str] = (),
        typed: bool = False,
        name: Optional[str] = None,
        version: Union[str, int, None] = None,
        negative: Lifetime = None,
        early: float = 0.0,
        stale: Lifetime = 0,
        stale_on_error: Lifetime = 0,
        cache_exceptions: Union[type[Exception], tuple[type[Exception], ...]] = (),
        timeout: Union[int, float, None] = None,
        lease_time: Lifetime = LEASE_TIME,
        tags: Union[Iterable[Key], Callable[..., Iterable[Key]]] = (),
        copy: bool = True,
    ) -> "Decorator": ...
    def memoize(
        self,
        first: Any = None,
        /,
        *,
        expire_time: LifetimeOf = None,
        key: Optional[Callable[..., Key]] = None,
        ignore: Iterable[str] = (),
        typed: bool = False,
        name: Optional[str] = None,
        version: Union[str, int, None] = None,
        negative: Lifetime = None,
        early: float = 0.0,
        stale: Lifetime = 0,
        stale_on_error: Lifetime = 0,
        cache_exceptions: Union[type[Exception], tuple[type[Exception], ...]] = (),
        timeout: Union[int, float, None] = None,
        lease_time: Lifetime = LEASE_TIME,
        tags: Union[Iterable[Key], Callable[..., Iterable[Key]]] = (),
        copy: bool = True,
        **unexpected: Any,
    ) -> Any:
        """Return a decorator that keeps the results of a function in the cache.

        Of all calls with the same arguments one computes, as in `get_or_set`. It
        takes ``def`` and ``async def``, methods, class and static methods; also
        as ``@cache.memoize`` alone.

        Args:
            first: The ``expire_time``, or the function itself.
            expire_time: Lifetime of the results; ``None`` is the cache's default.
                By name it may be a function of the result.
            key: A function of the same arguments that returns the key. Without
                it, name and arguments make the key.
            ignore: Names of parameters that are not part of the key.
            typed: Whether ``1``, ``1.0`` and ``True`` are different arguments.
            name: What the keys begin with, instead of the function's module and
                name. Functions without a distinct name need it.
            version: A str or int that is part of the key: results of other versions
                are not seen. ``"source"`` stands for the code and the constants of
                the function, without those that it calls.
            negative: Lifetime of a result that is ``None``, and of kept exceptions;
                ``None``: as for others. That of an exception is the cache's default
                when ``expire_time`` is a function.
            early: How eagerly to compute a result again before it expires: 0 never,
                1.0 the usual. One caller does, the others use the old result.
            stale: How long after its lifetime a result is still returned to others
                while one caller computes it again.
            stale_on_error: How long after its lifetime a result is returned if the
                computation fails: the exception is logged, and not raised.
            cache_exceptions: Exceptions to keep and raise again like results.
            timeout: As in `get_or_set`.
            lease_time: As in `get_or_set`.
            tags: As in `get_or_set`, or a function of the same arguments that
                returns them; 15 at most.
            copy: ``False`` promises that nobody changes a result: then callers may
                get the same object again, as with ``functools.lru_cache``. It is kept
                in the process while the cache has it.

        Returns:
            A decorator. What it makes has the function's signature, and
            ``cache_key(...)``, ``invalidate(...)``, ``cache_info()``,
            ``cache_clear()``, ``cache_parameters()`` and ``__wrapped__``.

        Raises:
            TypeError, ValueError: An argument is out of its range; when
                decorating: a generator, no such parameter to ignore, or a function
                whose name others have: a lambda, one inside another function that
                uses its variables, one of a notebook, the second of a name.
                A call raises TypeError for an argument of which no key can be
                made.
        """
        from fastmmap import memoize  # takes long, and not everybody needs it

        words.refuse("memoize", unexpected)
        if first is None or memoize.is_function(first):
            function, lifetime = first, expire_time
        else:
            function, lifetime = None, first
            if expire_time is not None:
                raise TypeError(f"expire_time is {first!r} and {expire_time!r}")
        naming = memoize.naming(key, ignore, typed, name, version)
        terms = single_flight.terms(lease_time, timeout, tags)
        plan = memoize.plan(
            self,
            lifetime,
            negative,
            early,
            stale,
            stale_on_error,
            cache_exceptions,
            terms,
            share=not copy,
        )
        decorator = memoize.decorator(plan, naming)
        return decorator if function is None else decorator(function)

    def get_keys(self, mode: int = 0) -> list[Any]:
        """List the keys in the cache, without expired entries and tombstones.

        Keys of `multi_set` are listed too, without their page key; iteration,
        ``len``, `items` and `values` leave them out.

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
        return bool(default.__code__.co_flags & _CO_COROUTINE)
    if not callable(default):
        return False
    import inspect  # rarely needed, and slow to import

    return inspect.iscoroutinefunction(default)
