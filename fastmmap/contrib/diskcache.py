"""Bringing what a directory of diskcache holds into a cache file.

Keys and values are read by diskcache's own ``Disk``, the rows by a connection
that only reads: a ``diskcache.Cache`` writes its settings when it is opened, and
by some policies with every ``get``.
"""

import errno
import json
import logging
import math
import os
import sqlite3
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, Optional, Union

from fastmmap import _core
from fastmmap.contrib.requirement import require

require("diskcache", "5.4", extra="diskcache")

from diskcache import Disk, JSONDisk

from fastmmap.cache import FastMmap
from fastmmap.errors import Error
from fastmmap.types import KEEP, Entry, Keep, Key, Store

_logger = logging.getLogger("fastmmap")

_DATABASE = "cache.db"
_COLUMNS = "key, raw, store_time, expire_time, tag, mode, filename, value"
#: Bytes, of a file that takes what a directory holds.
_SMALLEST_CACHE, _SMALLEST_PAGE = 2 << 20, 256 << 10
#: Seconds to wait for a writer of the directory, as diskcache does.
_TIMEOUT = 60

#: What is told of progress: entries done, and entries in all.
Progress = Callable[[int, int], object]


class ImportReport(NamedTuple):
    """The results of an import.

    Each entry is counted once, except in ``tags``, which are those of ``imported``
    that had a tag. ``evicted`` are values, of any origin, that the cache dropped for
    lack of room since the import began.
    """

    imported: int = 0
    kept: int = 0  #: the cache had the key, stored no earlier
    expired: int = 0
    odd_keys: int = 0  #: neither str nor bytes
    unreadable: int = 0  #: its file or class is gone
    unstorable: int = 0  #: the cache's serializer does not take it
    too_large: int = 0  #: for the cache
    tags: int = 0
    evicted: int = 0

    @property
    def left_out(self) -> int:
        """Count what is worth having, and is not in the cache."""
        return self.odd_keys + self.unreadable + self.unstorable + self.too_large


class _Row(NamedTuple):
    """One entry as it is in the database."""

    key: Any
    raw: int
    store_time: float
    expire_time: Optional[float]
    tag: Any
    mode: int
    filename: Optional[str]
    value: Any


class _Position(NamedTuple):
    """Where an entry was when it was listed: what comes later is greater."""

    shard: int = 0
    store_time: float = 0.0
    rowid: int = 0


@contextmanager
def _reading(directory: Path) -> Iterator[None]:
    """Say of what directory it is that a database cannot be read."""
    try:
        yield
    except sqlite3.Error as error:
        what = f"{directory}: not readable as a diskcache: {error}"
        raise ValueError(what) from error


class _Shard:
    """One database of a directory; a ``FanoutCache`` has several."""

    def __init__(self, folder: Path, disk: Optional[type[Disk]]) -> None:
        uri = f"{(folder / _DATABASE).as_uri()}?mode=ro"
        self._connection = sqlite3.connect(uri, uri=True, timeout=_TIMEOUT)
        try:
            ask = self._connection.execute
            (self.count,) = ask("SELECT COUNT(*) FROM Cache").fetchone()
            settings = dict(ask("SELECT key, value FROM Settings"))
            self._disk = _disk_of(folder, disk, settings)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def listed(self, after: _Position) -> Iterator[tuple[float, int]]:
        """List the rows after a position in the order in which they were stored.

        That order stays valid while others write: their entries come
        last. No transaction stays open for longer than the listing takes.
        """
        rows = self._connection.execute(
            "SELECT store_time, rowid FROM Cache WHERE (store_time, rowid) > (?, ?)"
            " ORDER BY store_time, rowid",
            after[1:],
        )
        times, rowids = array("d"), array("q")
        for store_time, rowid in rows:
            times.append(store_time)
            rowids.append(rowid)
        return zip(times, rowids, strict=True)

    def row(self, rowid: int) -> Optional[_Row]:
        """Return a row, or ``None`` when somebody has deleted it."""
        found = self._connection.execute(
            f"SELECT {_COLUMNS} FROM Cache WHERE rowid = ?", (rowid,)
        ).fetchone()
        return None if found is None else _Row(*found)

    def read(self, row: _Row) -> tuple[Any, Any]:
        """Return key and value; raises whatever unpickling and reading raise."""
        key = self._disk.get(row.key, row.raw)
        if not isinstance(key, (str, bytes)):
            return key, None
        return key, self._disk.fetch(row.mode, row.filename, row.value, False)


def _disk_of(
    folder: Path, disk: Optional[type[Disk]], settings: dict[str, Any]
) -> Disk:
    """Return what reads keys and values, made as the settings say."""
    options = {
        name.removeprefix("disk_"): value
        for name, value in settings.items()
        if name.startswith("disk_")
    }
    usual = JSONDisk if "compress_level" in options else Disk
    return (disk or usual)(str(folder), **options)


def _shards(directory: Path) -> list[Path]:
    """Return the folders that have a database.

    Raises FileNotFoundError when there is none.
    """
    if (directory / _DATABASE).is_file():
        return [directory]
    found = sorted(path.parent for path in directory.glob(f"[0-9]*/{_DATABASE}"))
    if not found:
        what = f"not a diskcache directory: it has no {_DATABASE}"
        raise FileNotFoundError(errno.ENOENT, what, str(directory))
    return found


class _Journal:
    """How far an import has come, kept in the cache that it fills.

    What happens to the cache happens to the journal as well: when it is lost,
    the import starts again, and finds the values it has stored.
    """

    def __init__(self, cache: FastMmap, directory: Path) -> None:
        self._cache = cache
        self._key = f"fastmmap import-diskcache {directory}"
        self.position = _Position()
        self._counts: Counter[str] = Counter()
        self._evicted_before = cache.stats().evictions
        known = cache.get(self._key)
        if known is not None:
            position, counts, self._evicted_before = json.loads(known)
            self.position = _Position(*position)
            self._counts.update(counts)

    @property
    def done(self) -> int:
        """Count the entries that were looked at."""
        return self._counts.total() - self._counts["tags"]

    def note(self, position: _Position, outcome: str, tagged: bool) -> None:
        """Remember what became of one entry."""
        self.position = position
        self._counts[outcome] += 1
        self._counts["tags"] += tagged and outcome == "imported"
        known = [position, self._counts, self._evicted_before]
        self._cache.set(self._key, json.dumps(known), "never")

    def close(self) -> ImportReport:
        """Forget everything but the counts."""
        self._cache.remove(self._key)
        evicted = self._cache.stats().evictions - self._evicted_before
        return ImportReport(**self._counts, evicted=evicted)


def _rows(shards: list[_Shard], start: _Position) -> Iterator[tuple[_Position, _Row]]:
    """Yield what is to be read after a position."""
    for number, shard in enumerate(shards[start.shard :], start.shard):
        for listed in shard.listed(max(start, _Position(number))):
            row = shard.row(listed[1])
            if row is not None:
                yield _Position(number, *listed), row


def _store(cache: FastMmap, key: Key, value: Any, row: _Row, overwrite: bool) -> str:
    """Store a value unless a newer one is there; return the outcome's name."""
    outcome = "too_large"
    lifetime = "never" if row.expire_time is None else None
    new = Store(value, lifetime, row.expire_time)

    def newer(_: Key, present: Any, entry: Optional[Entry]) -> Union[Store, Keep]:
        nonlocal outcome
        # Of two stored in the same second nobody knows: stored_on has no parts.
        if overwrite or not entry or entry.stored_on < math.floor(row.store_time):
            return new
        outcome = "kept"
        return KEEP

    return "imported" if cache.get_and_set(key, newer).stored else outcome


def _transfer(cache: FastMmap, shard: _Shard, row: _Row, overwrite: bool) -> str:
    """Bring one entry over; return what became of it, a field of the report."""
    if row.expire_time is not None and row.expire_time <= _core.now():
        return "expired"
    try:
        key, value = shard.read(row)
    except MemoryError:
        raise
    except Exception as error:
        _logger.info("key %r is not imported: unreadable", row.key, exc_info=error)
        return "unreadable"
    if not isinstance(key, (str, bytes)):
        _logger.info("key %r is not imported: neither str nor bytes", key)
        return "odd_keys"
    try:
        outcome = _store(cache, key, value, row, overwrite)
    except (Error, OSError, MemoryError):
        raise
    except Exception as error:
        _logger.info("key %r is not imported: unstorable", key, exc_info=error)
        return "unstorable"
    if outcome == "too_large":
        _logger.info("key %r is not imported: too large", key)
    return outcome


def import_directory(
    cache: FastMmap,
    directory: Union[str, "os.PathLike[str]"],
    *,
    overwrite: bool = False,
    disk: Optional[type[Disk]] = None,
    progress: Optional[Progress] = None,
) -> ImportReport:
    """Bring the entries of a diskcache directory into a cache.

    The directory is only read, and may be in use. Entries keep the moment when
    they expire. An import that was interrupted, even by SIGKILL, continues when you
    start it again with the same cache and directory; its notes for that are removed
    at the end.

    Args:
        cache: An open cache, without callbacks.
        directory: That of a ``diskcache.Cache`` or ``FanoutCache``, which is
            trusted: its values are unpickled.
        overwrite: Whether to replace values that were stored in the cache no
            earlier than those in the directory.
        disk: The class of ``diskcache.Disk`` that the directory is written by;
            ``None`` tells ``Disk`` from ``JSONDisk``.
        progress: Called after each entry with the number of those done, and of
            all.

    Returns:
        An `ImportReport`. Each key that was left out is logged at level INFO.

    Raises:
        FileNotFoundError: There is no database in the directory.
        ValueError: It is not readable as one of diskcache, or not to its end.
    """
    root = Path(os.path.realpath(directory))
    journal = _Journal(cache, root)
    with _reading(root), ExitStack() as opened:
        shards = [
            opened.enter_context(closing(_Shard(folder, disk)))
            for folder in _shards(root)
        ]
        total = sum(shard.count for shard in shards)
        for position, row in _rows(shards, journal.position):
            outcome = _transfer(cache, shards[position.shard], row, overwrite)
            journal.note(position, outcome, row.tag is not None)
            if progress is not None:
                progress(journal.done, total)
    return journal.close()


def room_for(directory: Union[str, "os.PathLike[str]"]) -> dict[str, int]:
    """Return options of `FastMmap` for a new file that takes all of a directory.

    They are ``cache_size``, ``page_size`` and ``entry_size``, bytes. A page has
    room for some of the largest values, unless these are a large part of the
    whole.

    Raises FileNotFoundError or ValueError like `import_directory`.
    """
    root = Path(os.path.realpath(directory))
    count = size = largest = 0
    for folder in _shards(root):
        with _reading(root), closing(_Shard(folder, None)) as shard:
            count += shard.count
    for path in root.rglob("*"):
        with suppress(FileNotFoundError):  # it went just now
            bytes_of_file = path.stat().st_size
            size += bytes_of_file
            if path.suffix == ".val":
                largest = max(largest, bytes_of_file)
    cache_size = max(_SMALLEST_CACHE, 2 * size)
    page_size = min(max(_SMALLEST_PAGE, 8 * largest), cache_size // 4)
    return {
        "cache_size": cache_size,
        "page_size": 1 << (page_size.bit_length() - 1),
        "entry_size": max(1, size // max(1, count)),
    }
