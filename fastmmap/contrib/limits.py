"""A storage for limits: Flask-Limiter, slowapi and their like count for the whole host.

Importing this module registers the schemes ``fastmmap`` and ``async+fastmmap``.
"""

import ast
import math
import struct
from array import array
from bisect import bisect_left
from typing import Any, Optional
from urllib.parse import parse_qsl, unquote, urlsplit

from fastmmap.contrib.requirement import require

require("limits", "5.0", extra="limits")

from limits import aio
from limits.storage import (
    MovingWindowSupport,
    SlidingWindowCounterSupport,
    Storage,
)

from fastmmap import _core
from fastmmap.contrib.absent import AbsentCache
from fastmmap.contrib.shared import Opening, OpensAtFirstUse
from fastmmap.errors import Error
from fastmmap.types import KEEP, Store
from fastmmap.waiting import patiently

#: All keys begin with it; a letter for each strategy follows.
_PREFIX = "limits:"
#: Of a sliding window: its number, what the one before counted, what it has counted.
_SLIDING = struct.Struct("<qqq")
_FLAGS = {"true": True, "false": False}
_ERRORS = (Error, OSError, ValueError)


def _now() -> float:
    """Return the time, as `time_travel` has it."""
    return _core.now_ns() / 1e9


def _value_of(text: str) -> Any:
    """Return what an option in a URI stands for: a number, a flag or text."""
    if text.lower() in _FLAGS:
        return _FLAGS[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _opening_of(uri: Optional[str], options: dict[str, Any]) -> Opening:
    """Return the opening of the file that a URI names."""
    parts = urlsplit(uri or "")
    query = {name: _value_of(text) for name, text in parse_qsl(parts.query)}
    path = unquote(parts.netloc + parts.path)
    return Opening(path, **{"serializer": "raw", **query, **options})


def _times_since(stored: object, since: float) -> "array[float]":
    """Return the times of a moving window, oldest first, from a moment on."""
    times = array("d")
    if isinstance(stored, bytes) and len(stored) % times.itemsize == 0:
        times.frombytes(stored)
    return times[bisect_left(times, since) :]


def _sliding_at(stored: object, number: int) -> tuple[int, int]:
    """Return what the window before that number counted, and that one."""
    if not isinstance(stored, bytes) or len(stored) != _SLIDING.size:
        return 0, 0
    last, previous, current = _SLIDING.unpack(stored)
    if last == number:
        return previous, current
    return (current, 0) if last == number - 1 else (0, 0)


class _Counters:
    """What the strategies of limits count, each in one step for all processes."""

    _cache = OpensAtFirstUse()
    _opening: Opening

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        """What may go wrong."""
        return _ERRORS

    @property
    def storage(self) -> Any:
        """The cache that they are in: ``flask limiter config`` shows it."""
        return self._cache

    def _incr(self, key: str, expiry: float, amount: int) -> int:
        return self._cache.incr(f"{_PREFIX}f:{key}", amount, expire_time=expiry)

    def _get(self, key: str) -> int:
        return int(self._cache.get(f"{_PREFIX}f:{key}", 0))

    def _expiry(self, key: str) -> float:
        try:
            left = self._cache.ttl(f"{_PREFIX}f:{key}")
        except KeyError:
            left = 0
        return _now() + (left or 0)

    def _clear(self, key: str) -> None:
        self._cache.delete_many(f"{_PREFIX}{kind}:{key}" for kind in "fm")

    def _reset(self) -> int:
        return self._cache.delete_prefix(_PREFIX)

    def _check(self) -> bool:
        return not isinstance(self._cache, AbsentCache)

    def _enter(self, key: str, limit: int, expiry: int, amount: int) -> bool:
        def entered(_: Any, stored: Any, entry: Any) -> Any:
            now = _now()
            times = _times_since(stored, now - expiry)
            if len(times) + amount > limit:
                return KEEP
            times.extend([now] * amount)
            return Store(times.tobytes(), expiry)

        if amount > limit:
            return False
        return self._cache.get_and_set(f"{_PREFIX}m:{key}", entered).stored

    def _moving(self, key: str, expiry: int) -> tuple[float, int]:
        now = _now()
        stored = self._cache.get(f"{_PREFIX}m:{key}")
        times = _times_since(stored, now - expiry)
        return (times[0], len(times)) if times else (now, 0)

    def _slide(self, key: str, limit: int, expiry: int, amount: int) -> bool:
        def slid(_: Any, stored: Any, entry: Any) -> Any:
            number, part = divmod(_now() / expiry, 1)
            previous, current = _sliding_at(stored, int(number))
            if math.floor(previous * (1 - part) + current) + amount > limit:
                return KEEP
            counts = _SLIDING.pack(int(number), previous, current + amount)
            return Store(counts, 2 * expiry)

        if amount > limit:
            return False
        return self._cache.get_and_set(f"{_PREFIX}s:{key}", slid).stored

    def _sliding(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        number, part = divmod(_now() / expiry, 1)
        stored = self._cache.get(f"{_PREFIX}s:{key}")
        previous, current = _sliding_at(stored, int(number))
        left = (1 - part) * expiry
        return previous, left if previous else 0.0, current, left + expiry

    def _clear_sliding(self, key: str) -> None:
        self._cache.remove(f"{_PREFIX}s:{key}")


class FastMmapStorage(
    _Counters, Storage, MovingWindowSupport, SlidingWindowCounterSupport
):
    """Counters of all processes of the host, in one cache file.

    ``fastmmap:///dev/shm/limits.cache?cache_size=16m`` names the path and options
    of `FastMmap`; without a path the file is private to the process and those that
    it forks. Each hit is one step for all processes. Counters may be evicted when
    the file is full: give them a separate file.

    Args:
        uri: The URI; options after ``?`` are numbers, flags or text.
        wrap_exceptions: Raise a ``StorageError`` of limits for what goes wrong.
        options: Further options of `FastMmap`; ``ignore_exceptions`` counts nothing
            while the file cannot be opened.

    Raises:
        ValueError, TypeError: An option is wrong.
            The first use raises what else `FastMmap` raises.
    """

    STORAGE_SCHEME = ["fastmmap"]  # noqa: RUF012  (as its base declares it)

    def __init__(
        self, uri: Optional[str] = None, wrap_exceptions: bool = False, **options: Any
    ) -> None:
        super().__init__(uri, wrap_exceptions=wrap_exceptions)
        self._opening = _opening_of(uri, options)

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count in a fixed window, which begins with the first; return the sum."""
        return self._incr(key, expiry, amount)

    def get(self, key: str) -> int:
        """Return what a fixed window has counted."""
        return self._get(key)

    def get_expiry(self, key: str) -> float:
        """Return when a fixed window ends, seconds since 1970; now if there is none."""
        return self._expiry(key)

    def check(self) -> bool:
        """Tell whether the file is open, or can be opened."""
        return self._check()

    def reset(self) -> Optional[int]:
        """Forget all that was counted; return how many keys there were."""
        return self._reset()

    def clear(self, key: str) -> None:
        """Forget a fixed and a moving window."""
        self._clear(key)

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Enter a moving window, unless it is full; tell whether it was not."""
        return self._enter(key, limit, expiry, amount)

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """Return when the oldest in a moving window came, and how many are in it."""
        return self._moving(key, expiry)

    def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        """Count in a sliding window, unless it is full; tell whether it was not."""
        return self._slide(key, limit, expiry, amount)

    def get_sliding_window(
        self, key: str, expiry: int
    ) -> tuple[int, float, int, float]:
        """Return the counts of the last window and this, each with its seconds left."""
        return self._sliding(key, expiry)

    def clear_sliding_window(self, key: str, expiry: int) -> None:
        """Forget a sliding window."""
        self._clear_sliding(key)


class AsyncFastMmapStorage(
    _Counters,
    aio.storage.Storage,
    aio.storage.MovingWindowSupport,
    aio.storage.SlidingWindowCounterSupport,
):
    """The same for event loops: `FastMmapStorage` has the arguments.

    No call leaves the thread of the loop: each takes microseconds. While somebody
    else holds a page that it needs, the loop continues.
    """

    STORAGE_SCHEME = ["async+fastmmap"]  # noqa: RUF012  (as its base declares it)

    def __init__(
        self, uri: Optional[str] = None, wrap_exceptions: bool = False, **options: Any
    ) -> None:
        super().__init__(uri, wrap_exceptions=wrap_exceptions)
        self._opening = _opening_of(uri, options)

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count in a fixed window, which begins with the first; return the sum."""
        return await patiently(self._incr, key, expiry, amount)

    async def get(self, key: str) -> int:
        """Return what a fixed window has counted."""
        return await patiently(self._get, key)

    async def get_expiry(self, key: str) -> float:
        """Return when a fixed window ends, seconds since 1970; now if there is none."""
        return await patiently(self._expiry, key)

    async def check(self) -> bool:
        """Tell whether the file is open, or can be opened."""
        return self._check()

    async def reset(self) -> Optional[int]:
        """Forget all that was counted; return how many keys there were."""
        return await patiently(self._reset)

    async def clear(self, key: str) -> None:
        """Forget a fixed and a moving window."""
        await patiently(self._clear, key)

    async def acquire_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        """Enter a moving window, unless it is full; tell whether it was not."""
        return await patiently(self._enter, key, limit, expiry, amount)

    async def get_moving_window(
        self, key: str, limit: int, expiry: int
    ) -> tuple[float, int]:
        """Return when the oldest in a moving window came, and how many are in it."""
        return await patiently(self._moving, key, expiry)

    async def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        """Count in a sliding window, unless it is full; tell whether it was not."""
        return await patiently(self._slide, key, limit, expiry, amount)

    async def get_sliding_window(
        self, key: str, expiry: int
    ) -> tuple[int, float, int, float]:
        """Return the counts of the last window and this, each with its seconds left."""
        return await patiently(self._sliding, key, expiry)

    async def clear_sliding_window(self, key: str, expiry: int) -> None:
        """Forget a sliding window."""
        await patiently(self._clear_sliding, key)
