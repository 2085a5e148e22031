"""Walks over all entries, a slice at a time: no request looks at a million of them.

Keys are spread over the pages by chance, so that what was seen by now is a fair
sample of the rest.
"""

import heapq
import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any, Optional, Protocol

from fastmmap import _core
from fastmmap.cli import records
from fastmmap.cli.contents import AT_ONCE, Tally, groups_json
from fastmmap.cli.output import printable
from fastmmap.cli.records import Record
from fastmmap.web import show

#: Seconds that a request walks, that lie between two such slices, and that an answer
#: counts as new, if not many times what it took.
SLICE, PAUSE, FRESH, TIMES = 0.08, 0.2, 4.0, 10
#: Keys of a list.
LISTED, SEARCHED = 12, 100
_TAGGED, _DIRTY = 8, 1


class Collector(Protocol):
    """What looks at the entries of a walk."""

    def add(self, some: list[Record]) -> bool:
        """Look at some entries; False: no more are wanted."""

    def as_json(self) -> dict[str, Any]:
        """Return the findings so far."""


class Census:
    """How many entries there are of each kind, and which stand out."""

    ORDERS = ("size", "age", "credit", "expiry")

    def __init__(self) -> None:
        self._tally = Tally(":")
        self._first: dict[str, list[Record]] = {name: [] for name in self.ORDERS}
        self._flags: Counter[int] = Counter()

    def add(self, some: list[Record]) -> bool:
        """Count some entries."""
        self._tally.add(some)
        self._flags.update(record[records.FLAG_BITS] for record in some)
        for name, before in self._first.items():
            order = records.ORDERS[name]
            self._first[name] = heapq.nsmallest(LISTED, before + some, key=order)
        return True

    def as_json(self) -> dict[str, Any]:
        """Return the findings."""
        found = self._tally.contents()
        prefixes = groups_json("prefix", found.prefixes)
        for group in prefixes:
            group["prefix"] = printable(group["prefix"])
        return {
            "sizes": groups_json("below", found.sizes),
            "prefixes": prefixes,
            "oldest": found.oldest,
            "median": found.median,
            "tagged": self._flagged(_TAGGED),
            "dirty": self._flagged(_DIRTY),
            "first": {
                name: list(map(show.record, some)) for name, some in self._kept()
            },
        }

    def _kept(self) -> Iterator[tuple[str, list[Record]]]:
        for name, some in self._first.items():
            if name == "expiry":
                some = [record for record in some if record[records.EXPIRE_ON]]
            if name == "credit":
                some = [record for record in some if record[records.CREDIT]]
            yield name, some

    def _flagged(self, bit: int) -> int:
        return sum(count for flags, count in self._flags.items() if flags & bit)


class Search:
    """Keys with a prefix, or of a pattern."""

    def __init__(self, text: str, order: Optional[str]) -> None:
        is_pattern = any(char in text for char in "*?[")
        self._prefix = None if is_pattern else text
        self._pattern = text if is_pattern else None
        self._order = order
        self._found: list[Record] = []
        self._matches = 0

    def add(self, some: list[Record]) -> bool:
        """Look at some entries; without an order the first ones do."""
        fitting = list(records.matching(some, self._prefix, self._pattern))
        self._matches += len(fitting)
        both = self._found + fitting
        self._found = list(records.first(both, self._order, SEARCHED))
        return self._order is not None or self._matches <= SEARCHED

    def as_json(self) -> dict[str, Any]:
        """Return the findings."""
        return {
            "matches": self._matches,
            "records": list(map(show.record, self._found)),
        }


class Walk:
    """One walk over a cache or a namespace."""

    def __init__(self, space: _core.Keyspace, collector: Collector) -> None:
        self._records = records.scan(space)
        self._collector = collector
        self._seen = 0
        self._took = 0.0
        self.done = False

    def advance(self) -> None:
        """Walk on for a moment."""
        began = time.monotonic()
        self._step()
        while not self.done and time.monotonic() - began < SLICE:
            self._step()
        self._took += time.monotonic() - began

    def _step(self) -> None:
        some = list(islice(self._records, AT_ONCE))
        self._seen += len(some)
        self.done = not self._collector.add(some) or len(some) < AT_ONCE

    def as_json(self) -> dict[str, Any]:
        """Return the findings, and how much was visited."""
        return {"seen": self._seen, "done": self.done, **self._collector.as_json()}

    def patience(self) -> float:
        """Return how many seconds what it found is good for."""
        return max(FRESH, TIMES * self._took)


class Repeated:
    """A walk that is made again from time to time; meanwhile its last result stands."""

    def __init__(self, space: _core.Keyspace, collect: Any) -> None:
        self._space, self._collect = space, collect
        self._lock = threading.Lock()
        self._walk: Optional[Walk] = None
        self._due = 0.0
        self._told: dict[str, Any] = {"seen": 0, "done": False}

    def look(self) -> dict[str, Any]:
        """Continue, if it is time; return the findings."""
        if self._lock.acquire(blocking=False):
            try:
                self._go_on()
            finally:
                self._lock.release()
        return self._told

    def _go_on(self) -> None:
        if time.monotonic() < self._due:
            return
        if self._walk is None:
            self._walk = Walk(self._space, self._collect())
        walk, self._walk = self._walk, None  # one that fails is not gone on with
        walk.advance()
        if walk.done or not self._told["done"]:
            self._told = walk.as_json()
        self._walk = None if walk.done else walk
        self._due = time.monotonic() + (walk.patience() if walk.done else PAUSE)
