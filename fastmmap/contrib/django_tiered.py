"""A cache backend for Django: the cache of the host in front of Redis or Valkey.

In settings.py::

    CACHES = {
        "default": {
            "BACKEND": "fastmmap.contrib.django.TieredCache",
            "LOCATION": "redis://server:6379/0",
            "OPTIONS": {"share_file": "/dev/shm/mysite.cache", "cache_size": "64m"},
        }
    }

Keys and values are those of Django's own RedisCache, and of django-redis with its
default options: what is on the server already is read.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Optional

from django.core.cache.backends.base import DEFAULT_TIMEOUT, default_key_func
from django.core.exceptions import ImproperlyConfigured

from fastmmap.contrib.absent import AbsentCache
from fastmmap.contrib.django import Keys, Timeout
from fastmmap.contrib.shared import OF_TIER, shared_cache
from fastmmap.contrib.tiered import ServerOnly, tier_for
from fastmmap.redis.tier import RedisTier

_MISSING: Final = object()
#: Bytes of the cache of a process that cannot use the file.
_SMALL: Final = 65536


def _tier_for(location: str, options: Mapping[str, Any]) -> RedisTier:
    """Return this process's tier for these options."""
    of_tier = {name: options[name] for name in OF_TIER if name in options}
    others = {name: options[name] for name in options if name not in of_tier}
    cache = shared_cache(**others)
    if not isinstance(cache, AbsentCache):
        return tier_for(cache, location, of_tier)
    codec = {name: others[name] for name in ("serializer",) if name in others}
    small = shared_cache(cache_size=_SMALL, **codec)
    return tier_for(small, location, {**of_tier, "listen": False}, ServerOnly)


class _OpensAtFirstUse:
    """The attribute `tier` of backends: one that is not used opens nothing."""

    def __get__(self, backend: Any, owner: Optional[type] = None) -> RedisTier:
        """Open it; from then on it is an attribute of the backend."""
        tier = _tier_for(backend._location, backend._options)
        if not isinstance(tier, ServerOnly):
            backend.tier = tier
        return tier


class TieredCache(Keys):
    """A backend on a server, and a shared cache file in front of it.

    All backend objects of a process share one `RedisTier`, which is the attribute
    ``tier``, and which the first use opens. While the file is of a newer version, they
    ask the server for everything.

    Args:
        location: URL of the server.
        params: The entry of CACHES. ``OPTIONS`` needs ``share_file``, the path of the
            cache file; others are those of `RedisTier` and of `FastMmap`. Unless
            ``prefixes`` are given, keys with ``KEY_PREFIX`` are kept on this host.

    Raises:
        ImproperlyConfigured: There is no path, or more than one server.
    """

    tier = _OpensAtFirstUse()

    def __init__(self, location: Any, params: dict[str, Any]) -> None:
        super().__init__(params)
        options = dict(params.get("OPTIONS", {}))
        if not isinstance(location, str) or not location:
            raise ImproperlyConfigured(
                "LOCATION of CACHES has to be the URL of a server"
            )
        if not options.get("share_file"):
            raise ImproperlyConfigured('OPTIONS of CACHES needs "share_file", a path')
        plain = self.key_func is default_key_func
        options.setdefault("prefixes", (f"{self.key_prefix}:" if plain else "",))
        self._location, self._options = location, options

    def add(
        self,
        key: str,
        value: Any,
        timeout: Timeout = DEFAULT_TIMEOUT,
        version: Optional[int] = None,
    ) -> bool:
        """Store a value if the key is not there; return whether it was stored."""
        made = self.make_and_validate_key(key, version)
        return self.tier.add(made, value, self._lifetime(timeout))

    def get(self, key: str, default: Any = None, version: Optional[int] = None) -> Any:
        """Return the value of a key, or the default."""
        return self.tier.get(self.make_and_validate_key(key, version), default)

    def set(
        self,
        key: str,
        value: Any,
        timeout: Timeout = DEFAULT_TIMEOUT,
        version: Optional[int] = None,
        nx: bool = False,
    ) -> bool:
        """Store a value, with ``nx`` if the key is free; return whether it was."""
        made = self.make_and_validate_key(key, version)
        store = self.tier.add if nx else self.tier.set
        return store(made, value, self._lifetime(timeout))

    def touch(
        self,
        key: str,
        timeout: Timeout = DEFAULT_TIMEOUT,
        version: Optional[int] = None,
    ) -> bool:
        """Change the lifetime of a value; return whether there is one."""
        made = self.make_and_validate_key(key, version)
        return self.tier.touch(made, self._lifetime(timeout))

    def delete(self, key: str, version: Optional[int] = None) -> bool:
        """Remove a key; return whether it was there."""
        return bool(self.tier.delete(self.make_and_validate_key(key, version)))

    def get_many(
        self, keys: Iterable[str], version: Optional[int] = None
    ) -> dict[str, Any]:
        """Return the values of those keys that are there."""
        made = self._keys(keys, version)
        return {made[key]: value for key, value in self.tier.get_many(made).items()}

    def set_many(
        self,
        data: Mapping[str, Any],
        timeout: Timeout = DEFAULT_TIMEOUT,
        version: Optional[int] = None,
    ) -> list[str]:
        """Store several values; return the keys that were not stored."""
        made = self._keys(data, version)
        values = {key: data[name] for key, name in made.items()}
        if not values or self.tier.set_many(values, self._lifetime(timeout)):
            return []
        return list(data)

    def delete_many(self, keys: Iterable[str], version: Optional[int] = None) -> None:
        """Remove several keys."""
        self.tier.delete(*self._keys(keys, version))

    def has_key(self, key: str, version: Optional[int] = None) -> bool:
        """Tell whether a key is there."""
        return self.get(key, _MISSING, version) is not _MISSING

    def incr(self, key: str, delta: int = 1, version: Optional[int] = None) -> Any:
        """Add to a value in one step, keeping its lifetime; return the sum.

        Raises ValueError when there is no such key.
        """
        if not self.has_key(key, version):
            raise ValueError(f"Key {key!r} not found")
        return self.tier.incr(self.make_and_validate_key(key, version), delta)

    def get_or_set(
        self,
        key: str,
        default: Any,
        timeout: Timeout = DEFAULT_TIMEOUT,
        version: Optional[int] = None,
    ) -> Any:
        """Return the value of a key; where there is none, store the default.

        A default that is callable is called, by one caller of this host.
        """
        made = self.make_and_validate_key(key, version)
        return self.tier.get_or_set(made, default, self._lifetime(timeout))

    def clear(self) -> None:
        """Empty the server's database, as Django's RedisCache does."""
        self.tier.clear()

    # ------------------------------------------------- what django-redis adds

    def pttl(self, key: str, version: Optional[int] = None) -> Optional[int]:
        """Return the lifetime that is left, ms: ``None`` for ever, 0 for no key."""
        ms = int(self.tier._client.pttl(self.make_and_validate_key(key, version)))
        return None if ms == -1 else max(ms, 0)

    def ttl(self, key: str, version: Optional[int] = None) -> Optional[int]:
        """Return the lifetime that is left, seconds, as `pttl` does."""
        ms = self.pttl(key, version)
        return ms if ms is None else (ms + 500) // 1000

    def persist(self, key: str, version: Optional[int] = None) -> bool:
        """Let a value never expire; return whether there is one."""
        return self.touch(key, None, version)

    def expire(self, key: str, timeout: Timeout, version: Optional[int] = None) -> bool:
        """Change the lifetime of a value; return whether there is one."""
        return self.touch(key, timeout, version)

    def iter_keys(self, pattern: str, version: Optional[int] = None) -> Iterator[str]:
        """Iterate over the keys that a pattern of the server matches."""
        made = self.make_key(pattern, version)
        start = len(self.make_key("", version))
        for key in self.tier._client.scan_iter(made):
            yield key.decode("utf-8", "surrogateescape")[start:]

    def keys(self, pattern: str, version: Optional[int] = None) -> list[str]:
        """Return a list of what `iter_keys` iterates over."""
        return list(self.iter_keys(pattern, version))

    def delete_pattern(self, pattern: str, version: Optional[int] = None) -> int:
        """Remove the keys that a pattern matches; return how many there were."""
        made = [self.make_key(key, version) for key in self.iter_keys(pattern, version)]
        return self.tier.delete(*made)
