"""A backend for dogpile.cache, registered there as ``fastmmap``."""

import inspect
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional

from fastmmap.contrib.requirement import require

require("dogpile.cache", "1.1.2", extra="dogpile")

from dogpile.cache.api import NO_VALUE, BytesBackend, CacheMutex

from fastmmap.cache import FastMmap
from fastmmap.contrib import exclusion
from fastmmap.contrib.shared import shared_cache, store, store_many

_OPTIONS = frozenset(inspect.signature(FastMmap).parameters)


class FastMmapBackend(BytesBackend):
    """A backend on one shared cache file.

    The region serializes; the file holds bytes. The region also looks after
    expiration, and wants to see values that have expired: give ``expire_time``
    only to drop them for good, later than ``expiration_time`` of the region.

    The creator of a value holds a lock by key that excludes all processes of
    the host, and that ends with the process.

    Args:
        arguments: Options of `FastMmap`. ``serializer`` is ``"raw"`` unless
            given. What is no option is left alone, with a warning.

    Raises:
        FormatError, OSError, ValueError, TypeError: As `FastMmap` does.
    """

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        unknown = sorted(arguments.keys() - _OPTIONS)
        if unknown:
            warnings.warn(f"no options of FastMmap: {', '.join(unknown)}", stacklevel=2)
        known = {name: arguments[name] for name in arguments if name in _OPTIONS}
        self._cache = shared_cache(**{"serializer": "raw", **known})

    def get_mutex(self, key: str) -> Optional[CacheMutex]:
        """Return a lock by key for all processes of the host.

        Returns ``None``, and so gets a lock of threads, off Linux and when the
        file was removed.
        """
        path = self._cache.share_file
        if not exclusion.available() or not os.path.exists(path):
            return None
        return exclusion.KeyMutex(path, key)

    def get_serialized(self, key: str) -> Any:
        """Return the bytes of a key, or ``NO_VALUE``."""
        return self._cache.get(key, NO_VALUE)

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
