"""The properties of the entries of a cache, without their values."""

import fnmatch
import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Optional, TypeVar

from fastmmap import _core
from fastmmap.cli.output import json_text
from fastmmap.types import Key

#: Where what is in a record; a flag is one of `FLAGS`.
KEY: Final = 0
SIZE: Final = 1
EXPIRE_ON: Final = 2
STORED_ON: Final = 3
LAST_ACCESS: Final = 4
FLAG_BITS: Final = 5
CREDIT: Final = 6
FLAGS = {1: "dirty", 2: "compressed", 4: "parts", 8: "tagged"}

#: A key, bytes in the file, seconds since 1970 or None for never, two more of
#: those, flags, credit: how much it is wanted.
Record = tuple[Key, int, Optional[float], int, int, int, int]
Order = Callable[[Record], Any]
_Row = TypeVar("_Row", bound=tuple[Any, ...])


def _expiry(record: Record) -> float:
    moment = record[EXPIRE_ON]
    return float("inf") if moment is None else moment


def _credit(record: Record) -> tuple[int, int]:
    return -record[CREDIT], -record[LAST_ACCESS]


#: What comes first: the largest, the oldest, what expires soonest, was last used, is
#: most wanted.
ORDERS: dict[str, Order] = {
    "size": lambda record: -record[SIZE],
    "age": lambda record: record[STORED_ON],
    "expiry": _expiry,
    "access": lambda record: -record[LAST_ACCESS],
    "credit": _credit,
}


def scan(space: _core.Keyspace) -> Iterator[Record]:
    """Yield the records of a cache or namespace; a page is copied at a time."""
    return space._scan(_core.SCAN_RECORDS)


def entries(space: _core.Keyspace) -> Iterator[tuple[Any, ...]]:
    """Yield records with the value at the end; what cannot be read is left out."""
    return space._scan(_core.SCAN_ENTRIES)


def flags_of(bits: int) -> list[str]:
    """Return the names of flags."""
    return [name for bit, name in FLAGS.items() if bits & bit]


def as_json(record: Record) -> dict[str, Any]:
    """Return the properties of an entry, for programs."""
    key, size, expire_on, stored_on, last_access, bits, credit = record
    return {
        "key": json_text(key),
        "size": size,
        "expire_on": expire_on,
        "stored_on": stored_on,
        "last_access": last_access,
        "flags": flags_of(bits),
        "credit": credit,
    }


def matching(
    records: Iterable[_Row], prefix: Optional[str], pattern: Optional[str]
) -> Iterable[_Row]:
    """Leave out other keys than those with a prefix, or of a shell pattern.

    Of bytes, those count that the text is in UTF-8.
    """
    if prefix is not None:
        begins = _beginner(prefix)
        records = (record for record in records if begins(record[KEY]))
    if pattern is not None:
        matches = _matcher(pattern)
        records = (record for record in records if matches(record[KEY]))
    return records


def _beginner(prefix: str) -> Callable[[Key], bool]:
    other = prefix.encode("utf-8", "surrogateescape")

    def begins(key: Key) -> bool:
        if isinstance(key, bytes):
            return key.startswith(other)
        return key.startswith(prefix)

    return begins


def _matcher(pattern: str) -> Callable[[Key], bool]:
    other = pattern.encode("utf-8", "surrogateescape")

    def matches(key: Key) -> bool:
        if isinstance(key, bytes):
            return fnmatch.fnmatchcase(key, other)
        return fnmatch.fnmatchcase(key, pattern)

    return matches


def first(
    records: Iterable[Record], order: Optional[str], limit: Optional[int]
) -> Iterable[Record]:
    """Return the first records by an order, or as they come."""
    if order is None:
        return itertools.islice(records, limit)
    if limit is None:
        return sorted(records, key=ORDERS[order])
    return heapq.nsmallest(limit, records, key=ORDERS[order])
