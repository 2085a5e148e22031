"""diskcache.Cache, as it comes but for its size."""

from __future__ import annotations

from importlib import import_module

from . import Peer, Place, Store

NAME = "diskcache"


def open_store(place: Place, kind: str) -> Store:
    """Open a directory of the place."""
    diskcache = import_module("diskcache")
    cache = diskcache.Cache(place.file(f"diskcache-{kind}"), size_limit=place.size)
    return Store(cache.get, cache.set, cache.incr, close=cache.close)


def find(place: Place) -> Peer:
    """Return this peer; raises ImportError."""
    return Peer(NAME, import_module("diskcache").__version__, open_store)
