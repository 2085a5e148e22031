"""One open cache per process for all backend objects of a framework.

Frameworks make a backend per thread, per request or per region. All that name
the same options share one object here. It stays open until the process ends;
forked children use it on.
"""

import math
import os
import threading
import time
from collections.abc import Collection, Mapping
from typing import Any, Final, Optional, TypeVar

from fastmmap.cache import FastMmap, check_options
from fastmmap.callbacks import log_refusal, log_unopened
from fastmmap.contrib.absent import AbsentCache
from fastmmap.errors import CorruptError, FormatError, VersionError
from fastmmap.types import Key, Lifetime

Options = dict[str, Any]
_Some = TypeVar("_Some", bound=FastMmap)

_opened: list[tuple[Options, FastMmap]] = []
_absent: list[tuple[Options, AbsentCache]] = []  #: what stands in for them
#: Until when nothing more is logged about such an error of a file.
_told: dict[tuple[str, type[Exception]], float] = {}
#: Guards these. Opening logs: a handler that uses a cache comes here again.
_lock = threading.RLock()

#: Seconds between two words about a file that cannot be opened.
_TELL_EVERY = 60.0
_UNOPENED = (OSError, FormatError, CorruptError)
_Errors = tuple[type[Exception], ...]

#: Options of `RedisTier` that adapters take with ``server``.
OF_TIER: Final[tuple[str, ...]] = (
    "prefixes",
    "max_lag",
    "on_down",
    "retry_after",
    "listen",
)


def _renew_lock() -> None:
    """Let no child wait for a thread that it has not got."""
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_renew_lock)


def _find(known: list[tuple[Options, _Some]], options: Options) -> Optional[_Some]:
    """Return what these options stand for, if it is not closed."""
    known[:] = [pair for pair in known if not pair[1].closed]
    return next((cache for wanted, cache in known if wanted == options), None)


def _complete(share_file: Any, options: Mapping[str, Any]) -> Options:
    """Return all options of `FastMmap`; here a file that differs is replaced."""
    named = {"share_file": share_file} if share_file else {}
    return {"on_mismatch": "replace", **named, **options}


def shared_cache(share_file: Any = None, **options: Any) -> FastMmap:
    """Return this process's cache for these options of `FastMmap`.

    While the file is of a newer version, it is an `AbsentCache`. Raises what else
    `FastMmap` raises.
    """
    return _shared_or_absent(_complete(share_file, options), (VersionError,))


def _shared(options: Options) -> FastMmap:
    with _lock:
        cache = _find(_opened, options)
        if cache is None:
            cache = FastMmap(**options)
            _opened.append((options, cache))
        return cache


def _shared_or_absent(options: Options, ignored: _Errors) -> FastMmap:
    """Return this process's cache, or a stand-in for one that cannot be opened."""
    wanted = {"ignored": ignored, **options}
    with _lock:
        absent = _find(_absent, wanted)
    if absent is not None:
        return absent
    try:
        return _shared(options)
    except ignored as error:
        return _stand_in(wanted, error)


def _stand_in(options: Options, error: Exception) -> AbsentCache:
    path = os.fsdecode(options.get("share_file") or "a private cache")
    absent, kind = AbsentCache(path), type(error)
    now = time.monotonic()
    silence = math.inf if kind is VersionError else _TELL_EVERY
    with _lock:
        _absent.append((options, absent))
        tell = now >= _told.get((path, kind), now)
        if tell:
            _told[path, kind] = now + silence
    if tell:
        log_unopened(path, error)
    return absent


class Opening:
    """The opening of a backend's cache, for when it is used.

    A private cache is opened at once: children that are forked later share it.
    While the file is of a newer version of fastmmap, the backend does without: that
    is logged once.

    Args:
        share_file: Path of the file; empty for a private one.
        ignore_exceptions: Continue without a cache while it cannot be opened, and
            log that once a minute.
        options: Options of `FastMmap`.

    Raises:
        ValueError, TypeError, ImportError: As `FastMmap` does for its options.
    """

    #: Whether calls of the cache may wait for a server.
    asks_a_server = False

    def __init__(
        self, share_file: Any = None, *, ignore_exceptions: bool = False, **options: Any
    ) -> None:
        self._options = _complete(share_file, options)
        self._ignored = _UNOPENED if ignore_exceptions else (VersionError,)
        if share_file:
            check_options(share_file, options)
        else:
            self.open()

    @property
    def share_file(self) -> str:
        """Path of the file, whether it is there or not."""
        return os.fsdecode(self._options.get("share_file") or self.open().share_file)

    def open(self) -> FastMmap:
        """Return the cache, or a stand-in; raises what `FastMmap` does."""
        return _shared_or_absent(self._options, self._ignored)


def opening(
    share_file: Any = None, prefix: str = "", *, server: Any = None, **options: Any
) -> Opening:
    """Return the opening of a backend's cache, with a server behind it if one is given.

    Args:
        share_file: As in `Opening`.
        prefix: What all keys of the backend begin with.
        server: A URL or a client, as in `RedisTier`.
        options: As in `Opening`; those in ``OF_TIER`` go with a server only.
    """
    if server is None:
        return Opening(share_file, **options)
    from fastmmap.contrib.tiered import TierOpening  # few have a server

    of_tier: Options = {name: options.pop(name) for name in OF_TIER if name in options}
    return TierOpening(share_file, prefix, server, of_tier, **options)


class OpensAtFirstUse:
    """The attribute `_cache` of backends: what their `_opening` opens.

    Who makes a backend and does not use it, creates nothing.
    """

    def __get__(self, backend: Any, owner: Optional[type] = None) -> FastMmap:
        """Open the cache; from then on it is an attribute of the backend."""
        cache: FastMmap = backend._opening.open()
        if not isinstance(cache, AbsentCache):
            backend._cache = cache
        return cache


def add(cache: FastMmap, key: Key, value: Any, lifetime: Lifetime = None) -> bool:
    """Store a value if its key is free; one that does not fit is logged.

    Returns whether it was stored.
    """
    if cache.add(key, value, lifetime):
        return True
    if not cache.exists(key):
        tell_refused(key, cache, value)
    return False


def tell_refused(key: Key, cache: FastMmap, value: Any) -> None:
    """Log that a value does not fit.

    A server that did not take one is down: ``on_down`` says that this is not an error.
    """
    if not hasattr(cache, "tier"):
        log_refusal(key, cache, value)


def store(cache: FastMmap, key: Key, value: Any, lifetime: Lifetime = None) -> bool:
    """Store a value; one that does not fit is logged, and the key removed.

    Returns whether it was stored. For frameworks whose callers ignore that: an older
    value would be wrong.
    """
    if cache.set(key, value, lifetime):
        return True
    cache.remove(key)
    tell_refused(key, cache, value)
    return False


def store_many(
    cache: FastMmap, values: Mapping[str, Any], lifetime: Lifetime = None
) -> list[Any]:
    """Store several values like `store`; return the keys that did not fit."""
    refused = cache.set_many(values, lifetime)
    cache.delete_many(refused)
    tell_all_refused(cache, values, refused)
    return refused


def tell_all_refused(
    cache: FastMmap, values: Mapping[str, Any], refused: Collection[Any]
) -> None:
    """Log those of several values that did not fit."""
    for key in refused:
        tell_refused(key, cache, values[key])


def clear_prefix(cache: FastMmap, prefix: str) -> None:
    """Remove all keys with a prefix; when it is empty, everything."""
    if not prefix:
        return cache.clear()
    cache.delete_prefix(prefix)
