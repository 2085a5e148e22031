"""fastmmap itself."""

from __future__ import annotations

import fastmmap
from fastmmap import FastMmap

from . import Peer, Place, Store

NAME = "fastmmap"
LARGEST = 300_000  # bytes of a value, with pages of 1 MiB


def open_store(place: Place, kind: str) -> Store:
    """Open a cache file of the place's size."""
    cache = FastMmap(
        place.file(f"fastmmap-{kind}"),
        serializer="raw" if kind == "raw" else "pickle",
        cache_size=place.size,
    )
    return Store(
        get=cache.get,
        set=cache.set,
        incr=cache.incr if kind == "typed" else None,
        get_many=cache.get_many,
        set_many=cache.set_many,
        close=cache.close,
    )


def find(place: Place) -> Peer:
    """Return this peer."""
    return Peer(NAME, fastmmap.__version__, open_store, largest=LARGEST)
