"""A cache backend for Django: one cache for all processes of a host.

In settings.py::

    CACHES = {
        "default": {
            "BACKEND": "fastmmap.contrib.django.FastMmapCache",
            "LOCATION": "/dev/shm/mysite.cache",
            "OPTIONS": {"cache_size": "64m"},
        }
    }
"""

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Optional, Union

from fastmmap.contrib.requirement import require

require("Django", "4.2", extra="django")

from django.core.cache.backends.base import (
    DEFAULT_TIMEOUT,
    MEMCACHE_MAX_KEY_LENGTH,
    BaseCache,
    default_key_func,
)
from django.core.exceptions import ImproperlyConfigured

from fastmmap.contrib.shared import Opening, OpensAtFirstUse, add, store, store_many
from fastmmap.types import Lifetime
from fastmmap.waiting import patiently

#: Seconds; None is for ever, 0 and less has expired; or DEFAULT_TIMEOUT.
Timeout = Union[int, float, None, object]

#: What may be found in OPTIONS, but is said in another way.
_ELSEWHERE = {
    "MAX_ENTRIES": 'the size is in bytes, the option "cache_size"',
    "CULL_FREQUENCY": "a full cache evicts the least wanted values, one by one",
    "share_file": "the path is LOCATION",
    "expire_time": "the default lifetime is TIMEOUT",
}


def _options_of(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of `Opening`."""
    options = dict(params.get("OPTIONS", {}))
    for name, advice in _ELSEWHERE.items():
        if name in options:
            raise ImproperlyConfigured(f"OPTIONS of CACHES has {name!r}: {advice}")
    ignore = options.pop("IGNORE_EXCEPTIONS", False)
    return {"ignore_exceptions": ignore, **options}


def _as_async(default: Any) -> Callable[[], Awaitable[Any]]:
    """Return a default of `get_or_set` as an ``async def``: waiting blocks no loop."""

    async def compute() -> Any:
        value = default() if callable(default) else default
        return await value if inspect.isawaitable(value) else value

    asynchronous: bool = inspect.iscoroutinefunction(default)
    return default if asynchronous else compute


class Keys(BaseCache):
    """How keys are made: as Django does, with fewer steps for those that are fine."""

    def make_key(self, key: str, version: Optional[int] = None) -> str:
        """Return the key of the file, as ``KEY_FUNCTION`` says."""
        if version is None:
            version = self.version
        if self.key_func is default_key_func:
            return f"{self.key_prefix!s}:{version!s}:{key!s}"
        made: str = self.key_func(key, self.key_prefix, version)
        return made

    def make_and_validate_key(self, key: str, version: Optional[int] = None) -> str:
        """Return the key of the file; warn of one that memcached would refuse."""
        made = self.make_key(key, version)
        if not _is_portable(made) or self._validates:
            self.validate_key(made)
        return made

    @property
    def _validates(self) -> bool:
        """Whether a subclass has a say in what keys are valid."""
        return type(self).validate_key is not BaseCache.validate_key

    def _lifetime(self, timeout: Timeout) -> Lifetime:
        """Return what this library calls a timeout of Django."""
        chosen: Any = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        if chosen is None:
            return "never"
        return "now" if chosen <= 0 else chosen

    def _keys(self, keys: Iterable[str], version: Optional[int]) -> dict[Any, str]:
        """Return the keys as they are stored, each with the key it is made of."""
        return {self.make_and_validate_key(key, version): key for key in keys}


def _is_portable(made: str) -> bool:
    """Tell at a glance that Django has nothing to say of a key; of others it may."""
    return (
        len(made) <= MEMCACHE_MAX_KEY_LENGTH and made.isprintable() and " " not in made
    )


class _AsyncMethods(Keys):
    """The asynchronous methods, which go through no thread.

    Handing a call to a thread and back takes a hundred times longer than the
    call itself. While somebody else holds a page that it needs, the loop continues.
    """

    async def aadd(
        self,
        key: str,
        value: Any,
        timeout: Timeout = DEFAULT_TIMEOUT,
        version: Optional[int] = None,
    ) -> bool:
        """See `add`."""
        return bool(await patiently(self.add, key, value, timeout, version))

    async def aget(
        self, key: str, default: Any = None, version: Optional[int] = None
    ) -> Any:
        """See `get`."""
        return await patiently(self.get, key, default, version)

    async def aget_or_set(
        self,
        key: str,
        default: Any,
        timeout: Timeout = DEFAULT_TIMEOUT,
        version: Optional[int] = None,
    ) -> Any:
        """See `get_or_set`; the default may return an awaitable."""
        return await self.get_or_set(key, _as_async(default), timeout, version)

    async def aset(
        self,
        key: str,
        value: Any,
        timeout: Timeout = DEFAULT_TIMEOUT,
        version: Optional[int] = None,
    ) -> None:
        """See `set`."""
        await patiently(self.set, key, value, timeout, version)

    async def atouch(
        self,
        key: str,
        timeout: Timeout = DEFAULT_TIMEOUT,
        version: Optional[int] = None,
    ) -> bool:
        """See `touch`."""
        return bool(await patiently(self.touch, key, timeout, version))

    async def adelete(self, key: str, version: Optional[int] = None) -> bool:
        """See `delete`."""
        return bool(await patiently(self.delete, key, version))

    async def aget_many(
        self, keys: Iterable[str], version: Optional[int] = None
    ) -> dict[str, Any]:
        """See `get_many`."""
        return dict(await patiently(self.get_many, list(keys), version))

    async def aset_many(
        self,
        data: Mapping[str, Any],
        timeout: Timeout = DEFAULT_TIMEOUT,
        version: Optional[int] = None,
    ) -> list[str]:
        """See `set_many`."""
        return list(await patiently(self.set_many, data, timeout, version))

    async def adelete_many(
        self, keys: Iterable[str], version: Optional[int] = None
    ) -> None:
        """See `delete_many`."""
        await patiently(self.delete_many, list(keys), version)

    async def ahas_key(self, key: str, version: Optional[int] = None) -> bool:
        """See `has_key`."""
        return bool(await patiently(self.has_key, key, version))

    async def aincr(
        self, key: str, delta: int = 1, version: Optional[int] = None
    ) -> Any:
        """See `incr`."""
        return await patiently(self.incr, key, delta, version)

    async def aclear(self) -> None:
        """See `clear`."""
        await patiently(self.clear)

    async def aclose(self, **kwargs: Any) -> None:
        """Do nothing, like `close`."""


class FastMmapCache(_AsyncMethods):
    """A backend on one shared cache file.

    All backend objects of a process share one open `FastMmap`, which the first use
    opens; ``close()``, which Django calls after each request, leaves it open.

    Args:
        location: Path of the file; empty makes a private one, for this process
            and those that it forks.
        params: The entry of CACHES; ``OPTIONS`` are the options of `FastMmap`, and
            ``IGNORE_EXCEPTIONS``: while the file cannot be opened, all is missing,
            and an error is logged once a minute.

    Raises:
        ImproperlyConfigured: ``OPTIONS`` holds what is said elsewhere.
        ValueError, TypeError, ImportError: As `FastMmap` does for its options.
            The first use raises what else it raises.
    """

    _cache = OpensAtFirstUse()

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        self._opening = Opening(location, **_options_of(params))

    def add(
        self,
        key: str,
        value: Any,
        timeout: Timeout = DEFAULT_TIMEOUT,
        version: Optional[int] = None,
    ) -> bool:
        """Store a value if the key is not there; return whether it was stored.

        One that does not fit is logged.
        """
        made = self.make_and_validate_key(key, version)
        return add(self._cache, made, value, self._lifetime(timeout))

    def get(self, key: str, default: Any = None, version: Optional[int] = None) -> Any:
        """Return the value of a key, or the default."""
        return self._cache.get(self.make_and_validate_key(key, version), default)

    def get_or_set(
        self,
        key: str,
        default: Any,
        timeout: Timeout = DEFAULT_TIMEOUT,
        version: Optional[int] = None,
    ) -> Any:
        """Return the value of a key; where there is none, store the default.

        A default that is callable is called, by one caller of the whole host;
        the others wait for its value.
        """
        made = self.make_and_validate_key(key, version)
        return self._cache.get_or_set(made, default, self._lifetime(timeout))

    def set(
        self,
        key: str,
        value: Any,
        timeout: Timeout = DEFAULT_TIMEOUT,
        version: Optional[int] = None,
    ) -> None:
        """Store a value; one that does not fit is logged, and the key is free."""
        made = self.make_and_validate_key(key, version)
        store(self._cache, made, value, self._lifetime(timeout))

    def touch(
        self,
        key: str,
        timeout: Timeout = DEFAULT_TIMEOUT,
        version: Optional[int] = None,
    ) -> bool:
        """Change the lifetime of a value; return whether there is one."""
        made = self.make_and_validate_key(key, version)
        return self._cache.touch(made, self._lifetime(timeout))

    def delete(self, key: str, version: Optional[int] = None) -> bool:
        """Remove a key; return whether it was there."""
        return self._cache.remove(self.make_and_validate_key(key, version))

    def get_many(
        self, keys: Iterable[str], version: Optional[int] = None
    ) -> dict[str, Any]:
        """Return the values of those keys that are there."""
        made = self._keys(keys, version)
        found = self._cache.get_many(made)
        return {made[key]: value for key, value in found.items()}

    def set_many(
        self,
        data: Mapping[str, Any],
        timeout: Timeout = DEFAULT_TIMEOUT,
        version: Optional[int] = None,
    ) -> list[str]:
        """Store several values; return the keys of those that did not fit."""
        made = self._keys(data, version)
        values = {key: data[name] for key, name in made.items()}
        refused = store_many(self._cache, values, self._lifetime(timeout))
        return [made[key] for key in refused]

    def delete_many(self, keys: Iterable[str], version: Optional[int] = None) -> None:
        """Remove several keys."""
        self._cache.delete_many(self._keys(keys, version))

    def has_key(self, key: str, version: Optional[int] = None) -> bool:
        """Tell whether a key is there."""
        return self._cache.exists(self.make_and_validate_key(key, version))

    def incr(self, key: str, delta: int = 1, version: Optional[int] = None) -> Any:
        """Add to a value in one step, keeping its lifetime; return the sum.

        Raises ValueError when there is no such key.
        """

        def increased(_: Any, value: Any, entry: Any) -> Any:
            if entry is None:
                raise ValueError(f"Key {key!r} not found")
            return value + delta

        made = self.make_and_validate_key(key, version)
        return self._cache.get_and_set(made, increased).value

    def clear(self) -> None:
        """Remove everything from the file, whatever its prefix and version."""
        self._cache.clear()


def __getattr__(name: str) -> Any:
    """Import what few need: `TieredCache`, in front of Redis."""
    if name != "TieredCache":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fastmmap.contrib.django_tiered import TieredCache

    return TieredCache
