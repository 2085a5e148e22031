"""One open cache per process for all backend objects of a framework.

Frameworks make a backend per thread, per request or per region. All that name
the same options share one object here. It stays open until the process ends;
forked children use it on.
"""

import os
import threading
from collections.abc import Mapping
from typing import Any

from fastmmap.cache import FastMmap
from fastmmap.callbacks import log_refusal
from fastmmap.types import Key, Lifetime

_opened: list[tuple[dict[str, Any], FastMmap]] = []
_lock = threading.Lock()  #: guards `_opened`


def _renew_lock() -> None:
    """Let no child wait for a thread that it has not got."""
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


def shared_cache(share_file: Any = None, **options: Any) -> FastMmap:
    """Return this process's cache for these options of `FastMmap`.

    Raises what `FastMmap` raises.
    """
    if share_file:
        options = {"share_file": share_file, **options}
    with _lock:
        _opened[:] = [pair for pair in _opened if not pair[1].closed]
        for known, cache in _opened:
            if known == options:
                return cache
        opened = FastMmap(**options)
        _opened.append((options, opened))
        return opened


def add(cache: FastMmap, key: Key, value: Any, lifetime: Lifetime = None) -> bool:
    """Store a value if its key is free; one that does not fit is logged.

    Returns whether it was stored.
    """
    if cache.add(key, value, lifetime):
        return True
    if not cache.exists(key):
        log_refusal(key, cache.share_file)
    return False


def store(cache: FastMmap, key: Key, value: Any, lifetime: Lifetime = None) -> bool:
    """Store a value; one that does not fit is logged, and the key removed.

    Returns whether it was stored. For frameworks whose callers take no notice:
    what is left of an older value would be a wrong one.
    """
    if cache.set(key, value, lifetime):
        return True
    cache.remove(key)
    log_refusal(key, cache.share_file)
    return False


def store_many(
    cache: FastMmap, values: Mapping[str, Any], lifetime: Lifetime = None
) -> list[Any]:
    """Store several values like `store`; return the keys that did not fit."""
    refused = cache.set_many(values, lifetime)
    cache.delete_many(refused)
    for key in refused:
        log_refusal(key, cache.share_file)
    return refused


def clear_prefix(cache: FastMmap, prefix: str) -> None:
    """Remove all keys with a prefix; when it is empty, everything."""
    if not prefix:
        return cache.clear()
    keys = (key for key in cache if isinstance(key, str) and key.startswith(prefix))
    cache.delete_many(keys)
