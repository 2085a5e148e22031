"""Two parts of a program that know the cache only as one of cachelib."""

from __future__ import annotations

import tempfile
from datetime import timedelta

from cachelib.base import BaseCache

from fastmmap.contrib.cachelib import FastMmapCache


def price(cache: BaseCache, fruit: str) -> int:
    """Look a price up, in the cache first."""
    found = cache.get(fruit)
    if found is None:
        print("asking for the price of", fruit)
        found = len(fruit)
        cache.set(fruit, found, timeout=timedelta(minutes=5))
    return int(found)


def main() -> None:
    """Use one cache by two objects, as two processes would."""
    with tempfile.TemporaryDirectory() as folder:  # /dev/shm is a good place
        first = FastMmapCache(f"{folder}/prices.cache", cache_size="1m")
        second = FastMmapCache(f"{folder}/prices.cache", cache_size="1m")
        print(price(first, "apple"), price(second, "apple"))
        print(first.inc("sold"), second.inc("sold", 10))


if __name__ == "__main__":
    main()
