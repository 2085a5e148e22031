"""A cache for cachelib, and so for Flask-Session and the like."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Optional, Union

from fastmmap.contrib.requirement import require

require("cachelib", "0.10", extra="cachelib")

from cachelib.base import BaseCache

from fastmmap.cache import Path
from fastmmap.contrib.shared import (
    OpensAtFirstUse,
    add,
    clear_prefix,
    opening,
    tell_all_refused,
)
from fastmmap.types import Lifetime

#: Seconds or a timedelta; 0 is for ever, None the default of the object.
Timeout = Union[int, float, timedelta, None]


class FastMmapCache(BaseCache):
    """A cache of cachelib on one shared cache file.

    Objects with the same path and options share one open `FastMmap`, which
    the first use opens and which stays open until the process ends. Values that
    are too large are refused with ``False``, and logged.

    Args:
        share_file: Path of the file; ``None`` makes a private one, for this
            process and those that it forks.
        default_timeout: Seconds or a timedelta; 0 is for ever.
        ignore_delete_many_errors: As in cachelib; nothing that was removed is
            still there here.
        key_prefix: Put before every key. ``clear()`` spares other prefixes.
        ignore_exceptions: While the file cannot be opened, all is missing, and an
            error is logged once a minute.
        options: Options of `FastMmap`. With ``server``, a URL of Redis or Valkey, the
            values are there, and the file keeps what this host reads; then options
            of `RedisTier` are taken, too.

    Raises:
        ValueError, TypeError, ImportError: As `FastMmap` does for its options.
            The first use raises what else it raises.
    """

    _cache = OpensAtFirstUse()

    #: What is set here, a serializer of cachelib, is used before the one of
    #: the file; ints stay ints, so that `inc` and `dec` work.
    serializer: Any = None

    def __init__(
        self,
        share_file: Optional[Path] = None,
        default_timeout: Timeout = 300,
        *,
        ignore_delete_many_errors: bool = True,
        key_prefix: str = "",
        ignore_exceptions: bool = False,
        **options: Any,
    ) -> None:
        super().__init__()
        self.default_timeout = default_timeout
        self.ignore_delete_many_errors = ignore_delete_many_errors
        self.key_prefix = key_prefix
        self._opening = opening(
            share_file, key_prefix, ignore_exceptions=ignore_exceptions, **options
        )

    def _lifetime(self, timeout: Timeout) -> Lifetime:
        """Return what `FastMmap` calls a timeout of cachelib: 0 is for ever, too.

        A negative one has expired already.
        """
        chosen = self.default_timeout if timeout is None else timeout
        seconds = chosen.total_seconds() if isinstance(chosen, timedelta) else chosen
        negative = isinstance(seconds, (int, float)) and seconds < 0
        return "now" if negative else chosen

    def _dump(self, value: Any) -> Any:
        if self.serializer is None or type(value) is int:
            return value
        return self.serializer.dumps(value)

    def _load(self, stored: Any) -> Any:
        if self.serializer is None or not isinstance(stored, bytes):
            return stored
        return self.serializer.loads(stored)

    def get(self, key: str) -> Any:
        """Return the value of a key, or ``None``.

        One that cannot be read any more is logged and removed: ``None``, too.
        """
        return self._load(self._cache._find(self.key_prefix + key, None))

    def get_many(self, *keys: str) -> list[Any]:
        """Return the values of keys, ``None`` for those that are missing."""
        made = [self.key_prefix + key for key in keys]
        found = self._cache.get_many(made)
        return [self._load(found.get(key)) for key in made]

    def set(self, key: str, value: Any, timeout: Timeout = None) -> bool:
        """Store a value; return whether it fitted."""
        return self.set_many({key: value}, timeout) == [key]

    def set_many(
        self, mapping: Mapping[str, Any], timeout: Timeout = None
    ) -> list[Any]:
        """Store several values; return the keys of those that fitted."""
        values = {self.key_prefix + key: self._dump(mapping[key]) for key in mapping}
        refused = set(self._cache.set_many(values, self._lifetime(timeout)))
        tell_all_refused(self._cache, values, refused)
        return [key for key in mapping if self.key_prefix + key not in refused]

    def add(self, key: str, value: Any, timeout: Timeout = None) -> bool:
        """Store a value if the key is not there; return whether it was stored."""
        lifetime = self._lifetime(timeout)
        made = self.key_prefix + key
        return add(self._cache, made, self._dump(value), lifetime)

    def delete(self, key: str) -> bool:
        """Remove a key; return whether it was there."""
        return self._cache.remove(self.key_prefix + key)

    def delete_many(self, *keys: str) -> list[Any]:
        """Remove several keys; return them, whether they were there or not."""
        self._cache.delete_many(self.key_prefix + key for key in keys)
        return list(keys)

    def has(self, key: str) -> bool:
        """Tell whether a key is there."""
        return self._cache.exists(self.key_prefix + key)

    def clear(self) -> bool:
        """Remove all keys with this prefix; return ``True``."""
        clear_prefix(self._cache, self.key_prefix)
        return True

    def inc(self, key: str, delta: int = 1) -> int:
        """Add to a value in one step, keeping its lifetime; return the sum.

        A new one gets the default lifetime. TypeError unless the value is an int.
        """
        lifetime = self._lifetime(None)
        return self._cache.incr(self.key_prefix + key, delta, expire_time=lifetime)

    def dec(self, key: str, delta: int = 1) -> int:
        """Subtract from a value in one step; see `inc`."""
        return self.inc(key, -delta)
