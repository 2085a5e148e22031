"""Caches of one to three tiny pages, and values up to the largest one."""

from __future__ import annotations

import random

import pytest
from support import MakeCache

from fastmmap import FastMmap

BLOB = random.Random(1).randbytes(1 << 16)
SIZES = [(pages, size) for pages in (1, 2, 3) for size in (4096, 8192, 16384)]


def largest(cache: FastMmap) -> int:
    """Return how many bytes a value has at most."""
    fits, too_many = 0, len(BLOB)
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        cache.clear()
        if cache.set("key", BLOB[:middle]):
            fits = middle
        else:
            too_many = middle
    cache.clear()
    return fits


def check_stored(cache: FastMmap, key: str, value: bytes) -> None:
    """Whatever asks for a key finds what was stored just now."""
    keys = list(cache)
    assert cache.get(key) == value
    assert key in cache and key in keys and len(cache) == len(keys)
    assert cache.get_entry(key) is not None
    assert cache.touch(key, "1h") and not cache.add(key, b"other")


@pytest.mark.parametrize(("pages", "page_size"), SIZES)
def test_what_was_stored_is_there(
    make_cache: MakeCache, pages: int, page_size: int
) -> None:
    rng = random.Random(pages * page_size)
    cache = make_cache(num_pages=pages, page_size=page_size, serializer="raw")
    most = largest(cache)
    assert most > page_size // 8
    for _ in range(300):
        size = rng.choice([rng.randint(most * 3 // 4, most), rng.randint(0, most), 9])
        key = f"key {rng.randrange(6)}"
        if cache.set(key, BLOB[:size]):
            check_stored(cache, key, BLOB[:size])
