"""cachetools.LRUCache: private to a process, hands out references."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from . import Missing, Peer, Place, Store

NAME = "cachetools"


def open_store(place: Place, kind: str) -> Store:
    """Return a new cache that counts the bytes of its values."""
    if kind != "raw":
        raise Missing("it keeps references, not copies")
    cachetools = import_module("cachetools")
    cache: Any = cachetools.LRUCache(maxsize=place.size, getsizeof=size_of)

    def increment(key: str) -> None:
        cache[key] = cache.get(key, 0) + 1

    return Store(cache.get, cache.__setitem__, increment)


def size_of(value: Any) -> int:
    """Return the bytes of a value and about its overhead."""
    return (len(value) if isinstance(value, bytes) else 8) + 32


def find(place: Place) -> Peer:
    """Return this peer; raises ImportError."""
    version: str = import_module("cachetools").__version__
    return Peer(NAME, version, open_store, shared=False)
