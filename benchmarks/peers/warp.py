"""warp_cache: a decorator over fixed slots in shared memory.

Its calls for one key, which the decorator adds to a function, do the work.
"""

from __future__ import annotations

from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from . import Peer, Place, Store

NAME = "warp_cache"
LARGEST = 4096
SLOT = 64 + LARGEST


def absent(key: str) -> None:
    """Stand for the function that is decorated; it has no values."""


def open_store(place: Place, kind: str) -> Store:
    """Decorate a function; processes meet by the place and its name."""
    name = f"{Path(place.directory).name}-{kind}"
    absent.__qualname__ = absent.__name__ = name
    decorate = import_module("warp_cache").cache(
        max_size=max(place.size // SLOT, 32768),
        backend="shared",
        max_key_size=64,
        max_value_size=LARGEST,
    )
    cached: Any = decorate(absent)
    return Store(cached.get, lambda key, value: cached.set(value, key))


def find(place: Place) -> Peer:
    """Return this peer; raises ImportError."""
    import_module("warp_cache")
    version = metadata.version("warp_cache")
    return Peer(NAME, version, open_store, largest=LARGEST)
