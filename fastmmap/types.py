"""The small records that go into and come out of a cache."""

import enum
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, NamedTuple, Optional, Union

Key = Union[str, bytes]
#: Seconds, a timedelta, or text such as "10s"; None is the cache's default.
Lifetime = Union[int, float, timedelta, str, None]
#: A lifetime, or a function that gives that of a value.
LifetimeOf = Union[Lifetime, Callable[[Any], Lifetime]]


class Entry(NamedTuple):
    """The value and properties of a key.

    Times are seconds since 1970; ``expire_on`` is ``None`` for never.
    ``last_access`` and ``stored_on`` are whole seconds. ``dirty`` says that the
    value must still be written back. ``size`` is the number of bytes that
    the entry takes in the file.
    """

    value: Any
    expire_on: Optional[float]
    last_access: float
    stored_on: float
    modseq: Optional[int]
    dirty: bool
    size: int


class CacheInfo(NamedTuple):
    """The calls of a memoized function in this process, like `functools.lru_cache`'s.

    ``misses`` counts the calls that computed, ``hits`` those that had the result
    from the cache, or waited for another caller. ``maxsize`` and
    ``currsize`` are ``None``: the results share the cache with all others.
    """

    hits: int
    misses: int
    maxsize: Optional[int] = None
    currsize: Optional[int] = None


class Store(NamedTuple):
    """The result of a ``get_and_set`` function that says how to store its value.

    ``expire_time`` and ``expire_on`` are those of ``FastMmap.set``; when both
    are ``None`` the entry keeps the expiry it has. ``read_cb`` may return one, too,
    without a ``modseq``; there is no expiry to be kept then.
    """

    value: Any
    expire_time: Lifetime = None
    expire_on: Union[int, float, None] = None
    modseq: Optional[int] = None


class Keep(enum.Enum):
    """The type of ``KEEP``."""

    KEEP = "KEEP"

    def __repr__(self) -> str:
        """Return the name under which it is imported."""
        return "fastmmap.KEEP"


#: What a ``get_and_set`` function returns to change nothing.
KEEP: Final = Keep.KEEP


class GetAndSetResult(NamedTuple):
    """The value that is in the cache now, and whether this call stored it."""

    value: Any
    stored: bool


class RemoveResult(NamedTuple):
    """The value that was removed or the default, and whether there was one."""

    value: Any
    removed: bool


class Stats(NamedTuple):
    """Counters of a cache file, of all processes together.

    ``entries`` counts index slots in use: values, tombstones and what has
    expired but is not yet reclaimed. ``bytes_live`` are the bytes of those,
    ``bytes_used`` adds bytes that wait to be reclaimed. ``reads``, ``hits`` and
    ``misses`` are those of everyone who ever had the file open. ``slot_evictions`` are
    values dropped for lack of an index slot, where the index could not grow.
    ``advice`` says in words which options do not fit the values, and which would.
    """

    entries: int
    bytes_live: int
    bytes_used: int
    bytes_total: int
    reads: int
    hits: int
    misses: int
    stores: int
    evictions: int
    expirations: int
    slot_evictions: int
    bytes_moved: int
    lock_waits: int
    recoveries: int
    pages_repaired: int
    advice: tuple[str, ...] = ()

    @property
    def hit_ratio(self) -> float:
        """The part of the reads that were hits, 0.0 to 1.0; 0.0 without reads."""
        return self.hits / self.reads if self.reads else 0.0


class NamespaceStats(NamedTuple):
    """The contents of a namespace, without namespaces inside it.

    ``entries`` are its live values, ``bytes_live`` their bytes; ``expiring`` of them
    have a lifetime. ``oldest`` is when the oldest was stored, ``last_access``
    when one was last used, in whole seconds since 1970; ``None`` if it is empty.
    """

    entries: int
    bytes_live: int
    expiring: int
    oldest: Optional[float]
    last_access: Optional[float]


class Client(NamedTuple):
    """A process that has the file open, and its operations since then.

    There is one for each open cache of a process. ``pid`` is the process id in its own
    container, ``command`` its name, at most 15 bytes. ``since`` is when it opened the
    file, in seconds since 1970. ``stores`` are values that it stored and integers that
    it changed, ``waits`` the times that a page was not free at once.
    """

    pid: int
    command: str
    since: float
    reads: int
    hits: int
    misses: int
    stores: int
    waits: int


class ResizeReport(NamedTuple):
    """The result of ``resize()``.

    ``values`` and ``bytes`` are those of the new file, with tombstones. ``no_room``
    values found no room; ``no_page`` values of ``multi_set()`` are left out because
    their page in the new file is unknown. ``locks`` by name were held and are lost.
    ``rounds`` is how often the file was copied, ``stopped`` the seconds in which nobody
    could store.
    """

    values: int
    bytes: int
    no_room: int
    no_page: int
    locks: int
    rounds: int
    stopped: float


class CheckReport(NamedTuple):
    """The result of ``check()``.

    ``ok`` is true if no page has a problem; ``problems`` has one line for each that
    does. ``pages`` and ``entries`` were checked, ``bytes_live`` are those of entries,
    ``bytes_dead`` wait to be reclaimed. ``advice`` is that of ``stats()``.
    """

    ok: bool
    pages: int
    entries: int
    bytes_live: int
    bytes_dead: int
    problems: tuple[str, ...]
    advice: tuple[str, ...] = ()
