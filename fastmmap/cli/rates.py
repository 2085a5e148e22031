"""How often things happen: the counters of a file, looked at again and again.

A look takes no lock and writes nothing but to tell a replaced file.
"""

import time
from typing import NamedTuple, Optional

from fastmmap import _core
from fastmmap.advice import stats_of
from fastmmap.types import Stats

#: What is counted, a second, in the order in which it is shown.
RATES = ("gets", "hits", "sets", "evictions", "waits")


class Look(NamedTuple):
    """What the counters said, and what happened a second since the look before."""

    moment: float  #: seconds since 1970
    stats: Stats
    rates: tuple[float, ...]  #: of `RATES`

    def as_json(self) -> dict[str, object]:
        """Return it for machines."""
        return {
            "moment": self.moment,
            **dict(zip(RATES, self.rates, strict=True)),
            "entries": self.stats.entries,
            "bytes_live": self.stats.bytes_live,
            "bytes_total": self.stats.bytes_total,
        }


def _counters(stats: Stats) -> tuple[int, ...]:
    return stats.reads, stats.hits, stats.stores, stats.evictions, stats.lock_waits


class Watch:
    """The counters of an open cache, from look to look."""

    def __init__(self, cache: _core.Cache) -> None:
        self._cache = cache
        self._before: Optional[tuple[int, ...]] = None
        self._looked = 0.0

    def look(self) -> Look:
        """Look now; rates are those since the last look, at first 0.

        Counters that went back, for the file was replaced or its statistics were
        cleared, count as 0.
        """
        now, stats = time.monotonic(), stats_of(self._cache)
        counters = _counters(stats)
        span = now - self._looked if self._before else float("inf")
        pairs = zip(counters, self._before or counters, strict=True)
        rates = tuple(max(new - old, 0) / max(span, 1e-9) for new, old in pairs)
        self._before, self._looked = counters, now
        return Look(time.time(), stats, rates)
