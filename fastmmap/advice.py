"""What the counters of a cache file say about its options, in words."""

from collections.abc import Iterator

from fastmmap import _core
from fastmmap.types import Stats

#: Bytes that an entry takes beside its key and its value.
_OVERHEAD = 32
#: Fewer of the evictions, per cent, are no want of slots; of the bytes, no waste.
_SLOTS_PERCENT, _LIVE_PERCENT = 33, 80
#: So many values a page holds where they fill it, and a file at the least.
_FILLING, _FEW = 40, 64
#: With fewer reads than that, and up to so many misses in a hundred, all is well.
_READS, _MISSES_PERCENT = 1000, 20


def _power(least: int) -> int:
    """Return the smallest power of two that is as large."""
    return 1 << (least - 1).bit_length()


def _text(size: int) -> str:
    """Return a size as an option may have it; up to a megabyte, in kilobytes."""
    return f'"{size // 1024}k"' if size < 1 << 20 else f'"{-(-size // (1 << 20))}m"'


def shortages(stats: Stats) -> list[str]:
    """Return the shortages that values were evicted for: "bytes", "slots".

    While an index grows, a few are evicted for lack of a slot: that says nothing.
    """
    if not stats.evictions:
        return []
    share = stats.slot_evictions * 100 // stats.evictions
    found = {"bytes": share < 100, "slots": share >= _SLOTS_PERCENT}
    return [name for name, short in found.items() if short]


def _slots(stats: Stats, mean: int) -> Iterator[str]:
    """Advise on entries that are too small for the index, even after it grew."""
    share = stats.slot_evictions * 100 // stats.evictions
    if "slots" in shortages(stats) and stats.evictions >= stats.entries:
        yield (
            f"{share} % of the evictions are for lack of index slots: make the file "
            f"again with entry_size={max(mean - _OVERHEAD, 1)}"
        )


def _sizes(stats: Stats, mean: int, page_size: int, num_pages: int) -> Iterator[str]:
    """Advise on values that are large for the pages, or for the file."""
    live = stats.bytes_live * 100 // stats.bytes_total
    if live >= _LIVE_PERCENT or mean * _FILLING <= page_size:
        return
    larger = _power(mean * _FILLING)
    pages = -(-max(page_size * num_pages, mean * _FEW) // larger)
    yield (
        f"values of {mean} bytes on average leave {100 - live} % of the file unused: "
        f"make it again with page_size={_text(larger)}, num_pages={pages}"
    )


def _misses(stats: Stats, page_size: int, num_pages: int) -> Iterator[str]:
    """Advise on a file that is too small for its reads."""
    if stats.reads < _READS or stats.evictions < stats.entries:
        return
    share = stats.misses * 100 // stats.reads
    if share > _MISSES_PERCENT:
        double = _text(2 * page_size * num_pages)
        yield (
            f"{share} % of the reads found nothing, and the file is full: "
            f"cache_size={double} may keep more of them"
        )


def _advise(stats: Stats, page_size: int, num_pages: int) -> Iterator[str]:
    if stats.evictions and stats.entries:
        mean = stats.bytes_live // stats.entries
        yield from _slots(stats, mean)
        yield from _sizes(stats, mean, page_size, num_pages)
        yield from _misses(stats, page_size, num_pages)


def stats_of(cache: _core.Cache) -> Stats:
    """Return the counters of a file, and which of its options do not fit them.

    Its advice is a sentence for each, with the option and a number; there is none
    while nothing was evicted.
    """
    stats = Stats._make((*cache._stats(), ()))
    told = tuple(_advise(stats, cache.page_size, cache.num_pages))
    return stats._replace(advice=told)
