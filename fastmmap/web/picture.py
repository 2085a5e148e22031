"""The map of a file: its pages as a picture, seen without their locks."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from fastmmap import _core

#: Cells of the picture, and pages that are looked at for it: of a file with more,
#: some stand for the others.
CELLS, LOOKED_AT = 512, 4096
#: A share is told in so many parts.
_WHOLE = 1000


class PageStats(NamedTuple):
    """One page, in bytes and counters; ``holder`` is a process id, 0 where unknown."""

    bytes_total: int
    bytes_used: int
    bytes_new: int
    bytes_main: int
    entries: int
    stores: int
    evictions: int
    held: bool
    holder: int


def picture(cache: _core.Cache) -> dict[str, Any]:
    """Return the cells: each is a page, or some that lie side by side.

    A cell is a list: thousandths that live on probation, that live and proved their
    worth, that are dead; entries, stores, evictions; and who holds one of its pages.
    """
    per_cell = -(-cache.num_pages // CELLS)
    step = -(-cache.num_pages // LOOKED_AT)
    firsts = range(0, cache.num_pages, per_cell)
    cells = [
        _cell(cache, range(first, min(first + per_cell, cache.num_pages), step))
        for first in firsts
    ]
    return {"pages": cache.num_pages, "per_cell": per_cell, "cells": cells}


def _cell(cache: _core.Cache, pages: Iterable[int]) -> list[Any]:
    seen = [PageStats._make(cache._page_stats(page)) for page in pages]
    whole = sum(page.bytes_total for page in seen) or 1
    new = sum(page.bytes_new for page in seen)
    main = sum(page.bytes_main for page in seen)
    used = sum(page.bytes_used for page in seen)
    return [
        new * _WHOLE // whole,
        main * _WHOLE // whole,
        max(used - new - main, 0) * _WHOLE // whole,
        sum(page.entries for page in seen),
        sum(page.stores for page in seen),
        sum(page.evictions for page in seen),
        list(_holders(seen)),
    ]


def _holders(pages: Iterable[PageStats]) -> Iterator[int]:
    """Yield who holds them; 0 for one that cannot be told."""
    for page in pages:
        if page.held:
            yield page.holder
