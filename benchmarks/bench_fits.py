"""How many values does a cache keep?

Twice as many keys as fit are stored once each, with default options; counted is what
can be read afterwards.
"""

from __future__ import annotations

import servers
from peers import Place
from runner import Figures, Scale, Skipped, report

from fastmmap import FastMmap

SIZES = (30, 100, 1 << 10, 10 << 10, 100 << 10, 1 << 20, 10 << 20)  # bytes
ENTRY = 44  # bytes of an entry beside the value: its header, and a key of 12


def kept(place: Place, size: int, cache_size: int) -> int | None:
    """Return how many values of a size can be read; None: they are too large."""
    value = bytes(size)
    keys = range(max(2 * cache_size // (size + ENTRY), 4))
    path = place.file(f"fits-{size}-{cache_size}")
    with FastMmap(path, cache_size=cache_size, unlink_on_exit=True) as cache:
        if not all([cache.set(f"key-{key:08}", value) for key in keys]):
            return None
        return [cache.get(f"key-{key:08}") for key in keys].count(value)


def measure(scale: Scale, skipped: Skipped) -> Figures:
    """Return the numbers by the size of a value and that of the cache, in MiB."""
    caches = scale.pick((1, 16, 64, 256), (1, 16), (1,))
    sizes = scale.pick(SIZES, SIZES, SIZES[2:])
    with servers.home() as place:
        results = {
            str(size): {str(mib): kept(place, size, mib << 20) for mib in caches}
            for size in sizes
        }
    return report(scale, skipped, results=results)
