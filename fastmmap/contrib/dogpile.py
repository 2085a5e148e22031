"""A backend for dogpile.cache, registered there as ``fastmmap``."""

import inspect
import pickle
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Optional

from fastmmap.contrib.requirement import require

require("dogpile.cache", "1.1.2", extra="dogpile")

from dogpile.cache.api import NO_VALUE, BytesBackend, CantDeserializeException

from fastmmap import unreadable
from fastmmap.cache import FastMmap
from fastmmap.contrib.absent import AbsentCache
from fastmmap.contrib.shared import (
    OF_TIER,
    OpensAtFirstUse,
    opening,
    store,
    store_many,
)
from fastmmap.sync import Lock, LockLost

_OF_FILE = inspect.signature(FastMmap).parameters
_OPTIONS = {*_OF_FILE, "ignore_exceptions", "server", *OF_TIER}


class KeyMutex:
    """A lock by key, for all processes of the host, that ends with its holder.

    If it is lost, for instance because the file was emptied, a value is computed twice:
    that is not an error.
    """

    def __init__(self, cache: FastMmap, key: str) -> None:
        self._cache, self._key = cache, key

    @property
    def _lock(self) -> Lock:
        """The lock; a region asks for a mutex at each hit, and takes few of them."""
        made: Optional[Lock] = self.__dict__.get("made")
        if made is None:  # of threads that come at once one makes it
            lock = Lock(self._cache, f"dogpile.cache:{self._key}")
            made = self.__dict__.setdefault("made", lock)
        return made

    def acquire(self, wait: bool = True) -> bool:
        """Acquire the lock; without ``wait`` only if it is free."""
        return self._lock.acquire(wait)

    def release(self) -> None:
        """Give the lock back; any thread may. RuntimeError when it is not held."""
        with suppress(LockLost):
            self._lock.release()

    def locked(self) -> bool:
        """Tell whether anybody holds the lock."""
        return self._lock.locked()


class FastMmapBackend(BytesBackend):
    """A backend on one shared cache file.

    The region serializes; the file holds bytes. The region also handles expiration, and
    needs values that have expired: give ``expire_time`` only to drop them for good,
    later than ``expiration_time`` of the region.

    The creator of a value holds a lock by key that excludes all processes of the host
    and ends with its process.

    Args:
        arguments: Options of `FastMmap`. ``serializer`` is ``"raw"`` unless
            given. With ``ignore_exceptions`` all keys are missing while the file
            cannot be opened, and an error is logged once a minute. Unknown options are
            ignored, with a warning. With ``server``, a URL of Redis or Valkey, the
            bytes are there, and the file keeps what this host reads; then options of
            `RedisTier` are taken, too.

    Raises:
        ValueError, TypeError, ImportError: As `FastMmap` does for its options.
            The first use raises its other errors.
    """

    _cache = OpensAtFirstUse()

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        unknown = sorted(arguments.keys() - _OPTIONS)
        if unknown:
            warnings.warn(
                f"not options of FastMmap: {', '.join(unknown)}", stacklevel=2
            )
        known = {name: arguments[name] for name in arguments if name in _OPTIONS}
        self._opening = opening(**{"serializer": "raw", **known})
        self.deserializer: Any = self._loads

    def _loads(self, data: bytes) -> Any:
        """Return the value of such bytes; of those that cannot be read there is none.

        The region makes it again. It does not tell the key.
        """
        try:
            return pickle.loads(data)
        except Exception as error:
            path = self._cache.share_file
            if not unreadable.tell("made again", "(unknown)", path, error):
                raise
            raise CantDeserializeException from error

    def get_mutex(self, key: str) -> Optional[KeyMutex]:
        """Return a lock by key for all processes of the host.

        ``None``, a lock for the threads of this one, while there is no cache.
        """
        cache = getattr(self._cache, "file", self._cache)  # a server has no locks
        return None if isinstance(cache, AbsentCache) else KeyMutex(cache, key)

    def get_serialized(self, key: str) -> Any:
        """Return the bytes of a key, or ``NO_VALUE``."""
        return self._cache._find(key, NO_VALUE)

    def get_serialized_multi(self, keys: Iterable[str]) -> Sequence[Any]:
        """Return the bytes of keys, each or ``NO_VALUE``."""
        wanted = list(keys)
        found = self._cache.get_many(wanted)
        return [found.get(key, NO_VALUE) for key in wanted]

    def set_serialized(self, key: str, value: bytes) -> None:
        """Store bytes; what does not fit is logged, and the key is free."""
        store(self._cache, key, value)

    def set_serialized_multi(self, mapping: Mapping[str, bytes]) -> None:
        """Store bytes of several keys; see `set_serialized`."""
        store_many(self._cache, mapping)

    def delete(self, key: str) -> None:
        """Remove a key."""
        self._cache.remove(key)

    def delete_multi(self, keys: Iterable[str]) -> None:
        """Remove several keys."""
        self._cache.delete_many(keys)
