"""Metrics of caches for Prometheus, by prometheus_client.

The numbers are those of the file, of all processes together: whichever process
answers says the same. So a collector belongs in the registry that is scraped, also
in the multi-process mode of prometheus_client, together with the
``MultiProcessCollector``.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Optional, Union

from fastmmap.contrib.requirement import require

require("prometheus_client", "0.15", extra="prometheus")

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from fastmmap import _core
from fastmmap.advice import stats_of
from fastmmap.errors import Error
from fastmmap.keyspace import Keyspace
from fastmmap.types import Stats

_Family = Callable[..., Metric]
_Read = Callable[[Stats], float]

#: Name without the prefix, kind, help, and what it is.
_METRICS: tuple[tuple[str, _Family, str, _Read], ...] = (
    (
        "entries",
        GaugeMetricFamily,
        "Values in the cache, including expired ones that are not reclaimed yet.",
        lambda stats: stats.entries,
    ),
    (
        "live_bytes",
        GaugeMetricFamily,
        "Bytes of the file that entries take.",
        lambda stats: stats.bytes_live,
    ),
    (
        "used_bytes",
        GaugeMetricFamily,
        "Bytes of entries and of those that wait to be reclaimed.",
        lambda stats: stats.bytes_used,
    ),
    (
        "size_bytes",
        GaugeMetricFamily,
        "Bytes of the file, without the table of its clients.",
        lambda stats: stats.bytes_total,
    ),
    (
        "reads",
        CounterMetricFamily,
        "Reads of values, by all processes.",
        lambda stats: stats.reads,
    ),
    (
        "hits",
        CounterMetricFamily,
        "Reads that found a value.",
        lambda stats: stats.hits,
    ),
    ("stores", CounterMetricFamily, "Values stored.", lambda stats: stats.stores),
    (
        "evictions",
        CounterMetricFamily,
        "Values evicted for lack of room or index slots.",
        lambda stats: stats.evictions,
    ),
    (
        "slot_evictions",
        CounterMetricFamily,
        "Values evicted for lack of an index slot.",
        lambda stats: stats.slot_evictions,
    ),
    (
        "expirations",
        CounterMetricFamily,
        "Values dropped after the end of their lifetime.",
        lambda stats: stats.expirations,
    ),
    (
        "moved_bytes",
        CounterMetricFamily,
        "Bytes copied to keep values in use.",
        lambda stats: stats.bytes_moved,
    ),
    (
        "lock_waits",
        CounterMetricFamily,
        "Waits for a page.",
        lambda stats: stats.lock_waits,
    ),
    (
        "lock_recoveries",
        CounterMetricFamily,
        "Pages taken over from processes that had died.",
        lambda stats: stats.recoveries,
    ),
    (
        "repaired_pages",
        CounterMetricFamily,
        "Pages that were found damaged, and repaired.",
        lambda stats: stats.pages_repaired,
    ),
)

Cache = Union[_core.Cache, Keyspace]


class Collector:
    """A collector for a registry of prometheus_client.

    .. code-block:: python

        REGISTRY.register(Collector(cache))

    Args:
        caches: Open caches, or a function that returns them, called at each scrape.
            One that is closed by then, or cannot be read, is left out.
    """

    def __init__(
        self, *caches: Cache, find: Optional[Callable[[], Iterable[Cache]]] = None
    ) -> None:
        self._find = find or (lambda: caches)

    def describe(self) -> Iterator[Metric]:
        """Yield the metrics without values; nothing is looked at."""
        return families({})

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of all caches."""
        found = {}
        for cache in self._find():
            try:
                found[label(cache.share_file)] = stats_of(_root(cache))
            except Error:
                continue
        return families(found)


def _root(cache: Cache) -> _core.Cache:
    root = cache._root if isinstance(cache, Keyspace) else cache
    assert isinstance(root, _core.Cache)
    return root


def label(path: str) -> str:
    """Return a path that can be written in UTF-8: other bytes are escaped."""
    return path.encode("utf-8", "backslashreplace").decode()


def families(found: dict[str, Stats]) -> Iterator[Metric]:
    """Yield each metric with the values of all files, by their paths."""
    for name, family, text, read in _METRICS:
        metric = family(f"fastmmap_{name}", text, labels=["file"])
        for path, stats in found.items():
            metric.add_metric([path], read(stats))
        yield metric


class _Snapshot:
    """A collector of counters that were read."""

    def __init__(self, found: dict[str, Stats]) -> None:
        self._found = {label(path): stats for path, stats in found.items()}

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        return families(self._found)


def registry_of(found: dict[str, Stats]) -> CollectorRegistry:
    """Return a registry of the counters of files, by their paths."""
    registry = CollectorRegistry()
    registry.register(_Snapshot(found))
    return registry
