"""The cache that a backend uses while its own cannot be opened."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, Optional

from fastmmap.cache import FastMmap
from fastmmap.types import KEEP, GetAndSetResult, Key, Store

#: Seconds until the file is looked for again.
_RETRY = 1.0


class AbsentCache(FastMmap):
    """A cache without a file, for a second: nothing is found in it, nothing kept.

    Storing reports success, as the dummy caches of Django and cachelib do: their users
    continue as if the value had been evicted at once.

    Args:
        share_file: Path of the file that could not be opened.
    """

    def __init__(self, share_file: str) -> None:
        self._path = share_file
        self._until = time.monotonic() + _RETRY

    @property
    def share_file(self) -> str:
        """Path of the file that could not be opened."""
        return self._path

    @property
    def closed(self) -> bool:
        """Whether it is time to try again."""
        return time.monotonic() >= self._until

    def get(self, key: Key, default: Any = None, **terms: Any) -> Any:
        """Return the default."""
        return default

    def _find(self, key: Key, default: Any = None) -> Any:
        return default

    def get_many(self, keys: Iterable[Key]) -> dict[Any, Any]:
        """Find none."""
        return {}

    def get_or_set(self, key: Key, default: Any, *args: Any, **terms: Any) -> Any:
        """Compute the value, whoever else does."""
        return default() if callable(default) else default

    def get_and_set(self, key: Key, func: Callable[..., Any]) -> GetAndSetResult:
        """Call the function as for a missing key."""
        made = func(key, None, None)
        value = made.value if isinstance(made, Store) else made
        return GetAndSetResult(None if value is KEEP else value, value is not KEEP)

    def set(self, key: Key, value: Any, *args: Any, **terms: Any) -> bool:
        """Store nothing, and say that all is well."""
        return True

    add = set

    def set_many(self, mapping: Any, *args: Any, **terms: Any) -> list[Any]:
        """Store nothing, and name no key that did not fit."""
        return []

    def incr(self, key: Key, delta: int = 1, *, initial: int = 0, **terms: Any) -> int:
        """Return the sum that a missing key gives."""
        return initial + delta

    def exists(self, key: Key) -> bool:
        """Find nothing."""
        return False

    def touch(self, key: Key, *args: Any, **terms: Any) -> bool:
        """Find nothing."""
        return False

    def ttl(self, key: Key) -> Optional[float]:
        """Find nothing."""
        raise KeyError(key)

    def remove(self, key: Key, **terms: Any) -> bool:
        """Find nothing."""
        return False

    def delete_many(self, keys: Iterable[Key]) -> int:
        """Find none."""
        return 0

    def delete_prefix(self, prefix: Key) -> int:
        """Find none."""
        return 0

    def clear(self) -> None:
        """Do nothing."""

    def flush(self) -> None:
        """Do nothing."""

    def __iter__(self) -> Iterator[Any]:
        """Yield nothing."""
        return iter(())

    def lock(self, key: Key, timeout: Any = None) -> Any:
        """Exclude nobody, from an item that is not there."""
        return nullcontext(SimpleNamespace(exists=False, value=None))
