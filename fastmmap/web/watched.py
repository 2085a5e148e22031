"""The caches that the page shows, each opened to look at it."""

import contextlib
import hashlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Optional

from fastmmap.advice import shortages, stats_of
from fastmmap.cli import host
from fastmmap.cli.contents import facts_of
from fastmmap.cli.opening import open_to_look, space_of
from fastmmap.cli.output import harmless, printable
from fastmmap.errors import Error
from fastmmap.types import Client
from fastmmap.web.history import COLUMNS, History
from fastmmap.web.messages import Refused
from fastmmap.web.picture import picture
from fastmmap.web.walks import Census, Repeated, Search

#: Seconds that a list of the host's caches counts as new, and the caches of it.
_FRESH, _MOST = 5.0, 64
#: Walks that are kept for each cache.
_WALKS = 16
_UNUSABLE = (Error, OSError, ValueError)


class Watched:
    """One cache that is looked at."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.cache = open_to_look(path)
        self.identity = _identity(path)
        self.history = History(self.cache)
        self._lock = threading.Lock()
        self._walks: OrderedDict[Any, Repeated] = OrderedDict()

    def live(self, since: float) -> dict[str, Any]:
        """Return what changes all the time."""
        look = self.history.look()
        return {
            "moment": time.time(),
            "stats": {**look.stats._asdict(), "short_of": shortages(look.stats)},
            "columns": COLUMNS,
            "rows": self.history.since(since),
            "map": picture(self.cache),
            "clients": [
                _client_json(Client._make(fields)) for fields in self.cache._clients()
            ],
        }

    def facts(self) -> dict[str, Any]:
        """Return what stays."""
        facts = facts_of(self.cache)
        return {**facts, "file": printable(facts["file"])}

    def contents(self, names: Sequence[str]) -> dict[str, Any]:
        """Return what is in the cache, or in a namespace of it."""
        return self._walk(("contents", *names), names, Census).look()

    def search(
        self, text: str, order: Optional[str], names: Sequence[str]
    ) -> dict[str, Any]:
        """Return keys with a prefix, or of a pattern."""
        mark = ("search", text, order, *names)
        return self._walk(mark, names, lambda: Search(text, order)).look()

    def _walk(self, mark: Any, names: Sequence[str], collect: Any) -> Repeated:
        with self._lock:
            if mark not in self._walks:
                space = space_of(self.cache, names)
                self._walks[mark] = Repeated(space, collect)
            self._walks.move_to_end(mark)
            while len(self._walks) > _WALKS:
                self._walks.popitem(last=False)
            return self._walks[mark]

    def forget(self) -> None:
        """Forget what walks found: something was changed."""
        with self._lock:
            self._walks.clear()

    def close(self) -> None:
        """Close the file."""
        self.cache.close()


def _client_json(client: Client) -> dict[str, Any]:
    return {**client._asdict(), "command": printable(client.command)}


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def name_of(path: str) -> str:
    """Return what requests call a cache: no path comes from outside."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]


class Caches:
    """All caches that the page shows: those that were named, or those of the host."""

    def __init__(self, files: Sequence[str]) -> None:
        self._files = list(files)
        self._lock = threading.Lock()
        self._open: dict[str, Watched] = {}
        self._found: dict[str, str] = {}  #: paths by their names
        self._looked = float("-inf")

    def paths(self) -> dict[str, str]:
        """Return the paths of all caches, by the names that requests use."""
        with self._lock:
            if time.monotonic() - self._looked >= _FRESH:
                self._found = {name_of(path): path for path in self._find()}
                self._looked = time.monotonic()
            return dict(self._found)

    def _find(self) -> list[str]:
        if self._files:
            return self._files
        found = [place.path for place in host.survey().places if not place.reason]
        return found[:_MOST]

    def get(self, name: str) -> Watched:
        """Return a cache by its name.

        Raises:
            Refused: There is none.
            Error, OSError: It cannot be opened.
        """
        path = self.paths().get(name)
        if path is None:
            raise Refused(404, "there is no such cache")
        with self._lock:
            return self._opened(path)

    def _opened(self, path: str) -> Watched:
        """Return an open cache, unless another file has replaced it."""
        found = self._open.pop(path, None)
        if found is not None and found.identity != _identity(path):
            found.close()
            found = None
        self._open[path] = found or Watched(path)
        return self._open[path]

    def summaries(self) -> list[dict[str, Any]]:
        """Return a line about each cache; "problem" says why there is none."""
        return [self._summary(name, path) for name, path in self.paths().items()]

    def _summary(self, name: str, path: str) -> dict[str, Any]:
        told = {"id": name, "path": printable(path), "problem": None}
        try:
            stats = stats_of(self.get(name).cache)
        except (*_UNUSABLE, Refused) as error:
            return {**told, "problem": harmless(str(error))}
        return {**told, **stats._asdict()}

    def look(self) -> None:
        """Look at the caches that were named or shown, for their history."""
        for name, path in self.paths().items():
            if path in self._files or path in self._open:
                with contextlib.suppress(Refused, *_UNUSABLE):
                    self.get(name).history.look()

    def close(self) -> None:
        """Close all files."""
        with self._lock:
            for watched in self._open.values():
                watched.close()
            self._open.clear()
