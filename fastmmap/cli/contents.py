"""What is in a cache, by size, prefix and age."""

import os
from collections import Counter
from collections.abc import Callable
from itertools import islice
from operator import itemgetter
from typing import Any, NamedTuple, Optional

from fastmmap import _core
from fastmmap.cli import records
from fastmmap.cli.records import Record
from fastmmap.types import Key

#: Prefixes that are told; the others are few, or small.
_PREFIXES = 10
#: Entries that are looked at together.
AT_ONCE = 1_000


class Group(NamedTuple):
    """Entries that have something in common."""

    name: Any
    entries: int
    bytes: int


class Contents(NamedTuple):
    """What a walk over the entries found."""

    sizes: list[Group]  #: by a size that is above those of its entries, a power of 2
    prefixes: list[Group]  #: those with the most bytes
    oldest: Optional[int]  #: when the oldest was stored, seconds since 1970
    median: Optional[int]


class Tally:
    """Entries counted by prefix, size and moment."""

    def __init__(self, separator: str) -> None:
        self._separator = separator
        self._kinds: Counter[tuple[str, int]] = Counter()  #: by prefix and size
        self._moments: Counter[int] = Counter()

    def add(self, some: list[Record]) -> None:
        """Count some entries."""
        names = self._names([record[records.KEY] for record in some])
        sizes = map(itemgetter(records.SIZE), some)
        self._kinds.update(zip(names, sizes, strict=True))
        self._moments.update(map(itemgetter(records.STORED_ON), some))

    def _names(self, keys: list[Key]) -> list[str]:
        """Return what each key has before its first separator; "" without one."""
        mark = self._separator
        texts = [key if type(key) is str else os.fsdecode(key) for key in keys]
        return [
            text.partition(mark)[0] + mark if mark in text else "" for text in texts
        ]

    def contents(self) -> Contents:
        """Return the findings."""
        moments = sorted(self._moments)
        prefixes = self._groups(lambda name, size: name)
        return Contents(
            sizes=sorted(self._groups(lambda name, size: 1 << size.bit_length())),
            prefixes=sorted(prefixes, key=lambda group: -group.bytes)[:_PREFIXES],
            oldest=moments[0] if moments else None,
            median=self._median(moments),
        )

    def _median(self, moments: list[int]) -> Optional[int]:
        left = self._moments.total() // 2
        for moment in moments:
            left -= self._moments[moment]
            if left < 0:
                return moment
        return None

    def _groups(self, name_of: Callable[[str, int], Any]) -> list[Group]:
        """Sum the entries up by a name that is made of prefix and size."""
        groups: dict[Any, Group] = {}
        for (prefix, size), n in self._kinds.items():
            name = name_of(prefix, size)
            before = groups.get(name, Group(name, 0, 0))
            groups[name] = Group(name, before.entries + n, before.bytes + n * size)
        return list(groups.values())


def groups_json(name: str, groups: list[Group]) -> list[dict[str, Any]]:
    """Return groups for machines; what they have in common is called `name`."""
    return [
        {name: group.name, "entries": group.entries, "bytes": group.bytes}
        for group in groups
    ]


def walk(cache: _core.Cache, separator: str) -> Contents:
    """Look at all entries of a cache but those in namespaces."""
    tally, found = Tally(separator), records.scan(cache)
    while some := list(islice(found, AT_ONCE)):
        tally.add(some)
    return tally.contents()


def facts_of(cache: _core.Cache) -> dict[str, Any]:
    """Return what a file is like, for machines."""
    facts = cache._info()
    return {
        "file": cache.share_file,
        "format_version": facts["version"],
        "created": facts["created_ms"] / 1000,
        "serializer": cache.serializer,
        "compressor": cache.compressor,
        "file_size": facts["file_size"],
        "pages": cache.num_pages,
        "page_size": cache.page_size,
        "first_slots": facts["slots"],
        "largest_entry": facts["max_entry"],
        "largest_value": facts["max_value"],
    }
