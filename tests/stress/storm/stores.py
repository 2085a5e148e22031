"""The caches that a storm can blow over, opened in one way."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fastmmap import FastMmap

from .journal import Journal
from .perl import PerlReader
from .plan import Plan
from .sabotage import SABOTAGES
from .values import Values


class FastMmapStore:
    """This project's cache."""

    forkable = True

    def __init__(self, plan: Plan, directory: Path, journal: Journal, values: Values):
        self._class = SABOTAGES[plan.sabotage] if plan.sabotage else FastMmap
        self._options = dict(
            plan.mode.options,
            share_file=str(directory / "cache.fmm"),
            lock_timeout=plan.patience,
            unlink_on_exit=False,
            **plan.mode.callbacks(journal, values),
        )
        self._geometry = plan.mode.geometry

    def create(self) -> FastMmap:
        """Make the file and return a cache that children may inherit."""
        return self._class(**self._options, **self._geometry)

    def open(self) -> FastMmap:
        """Return a cache of this process's own."""
        return self._class(**self._options)

    def inspect(self, cache: FastMmap) -> dict[str, int]:
        """Return what the cache says about itself when all is over."""
        report, stats = cache.check(), cache.stats()
        for problem in report.problems:
            print(f"check: {problem}")
        return {
            "emptied": stats.pages_repaired + len(report.problems) + (not report.ok),
            "evictions": stats.evictions,
            "recoveries": stats.recoveries,
        }


class DiskcacheStore:
    """diskcache: SQLite and files. Values above 32 KiB are files."""

    forkable = False

    def __init__(self, plan: Plan, directory: Path, journal: Journal, values: Values):
        self._directory = str(directory / "diskcache")
        self._options: dict[str, object] = {
            "timeout": plan.patience,
            "disk_min_file_size": 1 << 13,
            "eviction_policy": "none",
        }
        if plan.mode.evicts:
            self._options.update(
                size_limit=1 << 17, eviction_policy="least-recently-stored"
            )

    def create(self) -> Any:
        """Make the tables; SQLite connections are not for inheriting."""
        self.open().cache.close()

    def open(self) -> Any:
        """Return a cache of this process's own."""
        import diskcache

        return DiskcacheAdapter(diskcache.Cache(self._directory, **self._options))

    def inspect(self, cache: Any) -> dict[str, int]:
        """Return what its own check complains about."""
        warned = cache.cache.check()
        kinds = [str(warning.message).partition(":")[0] for warning in warned]
        return {"emptied": 0, "evictions": 0, "check_warnings": len(kinds)}


class DiskcacheAdapter:
    """diskcache in the words of the modes."""

    def __init__(self, cache: Any) -> None:
        self.cache = cache
        self.get, self.set, self.incr = cache.get, cache.set, cache.incr

    def get_and_set(self, key: str, function: Any) -> Any:
        """Read, modify and write in a transaction."""
        with self.cache.transact():
            self.cache.set(key, function(key, self.cache.get(key), None))
        return Stored()


class Stored:
    """What a mode wants to know of `get_and_set`."""

    stored = True


class PerlStore:
    """Perl's Cache::FastMmap: writers and a server for reading in Perl."""

    forkable = False
    program = str(Path(__file__).with_name("peer_fastmmap.pl"))

    def __init__(self, plan: Plan, directory: Path, journal: Journal, values: Values):
        self._path = str(directory / "cache.perl")
        self._plan, self._journal = plan, journal

    def create(self) -> None:
        """Make the file."""
        self.open().close()

    def open(self) -> Any:
        """Return a cache for reading, served by a Perl process."""
        return PerlReader(self._command("serve"), self._plan.mode_name)

    def write_forever(self, lane: int, seed: str) -> None:
        """Become the Perl program that writes in one lane until it is killed."""
        journal, mode = self._journal, self._plan.mode
        numbers = [journal.keys, journal.lanes, lane, mode.largest, mode.one_in]
        words = [str(word) for word in (journal.path, *numbers, journal.columns)]
        os.execvp("perl", [*self._command("write"), *words, seed])

    def inspect(self, cache: Any) -> dict[str, int]:
        """Return nothing: it keeps no such books."""
        return {"emptied": 0, "evictions": 0}

    def _command(self, task: str) -> list[str]:
        geometry = self._plan.mode.geometry
        size, number = str(geometry["page_size"]), str(geometry["num_pages"])
        mode = self._plan.mode_name
        return ["perl", self.program, task, mode, self._path, size, number]


STORES: dict[str, Any] = {
    "fastmmap": FastMmapStore,
    "diskcache": DiskcacheStore,
    "Cache::FastMmap": PerlStore,
}
