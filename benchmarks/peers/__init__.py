"""The caches that are compared, each behind the same few calls.

A peer in Python opens a `Store`; a peer in another language is a `Driver`, a
program that times its own loops. Each peer is a module of this package, found
by `available`, which names those that are not installed. A question asks for the
peers that it can use and opens them at its `Place`.

Names: "raw" stores take and give bytes; "typed" ones any object that pickles.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from runner import Skipped

HERE = Path(__file__).parent
FILL_PART = 100  # keys
MODULES = (
    "ours",
    "dicts",
    "cachetools_lru",
    "warp",
    "apcu",
    "lmdb_map",
    "perl",
    "uwsgi_cache",
    "diskcache_sql",
    "manager_dict",
    "memcached_lib",
    "memcached_pure",
    "redis_server",
    "memory_dict",
)


class Missing(Exception):
    """A peer, or a part of it, is not there; the message says what to do."""


class Place(NamedTuple):
    """Where caches are and how large they may be; children get it, too.

    A socket is "" where its server was not to be had.
    """

    directory: str
    size: int = 16 << 20
    redis: str = ""
    memcached: str = ""
    manager: str = ""

    def file(self, name: str) -> str:
        """Return the path of a file of this place."""
        return str(Path(self.directory, name))


def nothing() -> None:
    """Close what needs no closing."""


@dataclass
class Store:
    """The calls of an open cache; those that it does not have are None."""

    get: Callable[[str], Any]
    set: Callable[[str, Any], Any]
    incr: Callable[[str], Any] | None = None
    get_many: Callable[[list[str]], Any] | None = None
    set_many: Callable[[dict[str, Any]], Any] | None = None
    close: Callable[[], Any] = nothing

    def fill(self, keys: Sequence[str], value: Any) -> None:
        """Store the value under all keys, many at once where that is possible.

        A client that sends everything before it reads an answer blocks for ever
        once the answers fill the socket, hence the parts.
        """
        for first in range(0, len(keys), FILL_PART):
            part = keys[first : first + FILL_PART]
            if self.set_many is not None:
                self.set_many(dict.fromkeys(part, value))
                continue
            for key in part:
                self.set(key, value)


class Driver:
    """A program that times loops over its cache, asked line by line.

    It prints its version first, then a line of numbers for each line of
    words, separated by tabs.
    """

    def __init__(self, command: list[str], hint: str) -> None:
        pipe = subprocess.PIPE
        try:
            self.process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
            )
        except FileNotFoundError:
            raise Missing(hint) from None
        assert self.process.stdin is not None and self.process.stdout is not None
        self.requests, self.answers = self.process.stdin, self.process.stdout
        self.version = self.answers.readline().strip()
        if not self.version:
            self.process.communicate()
            raise Missing(hint)

    def ask(self, *words: object) -> list[float]:
        """Send a request; return the numbers of the answer."""
        print(*words, sep="\t", file=self.requests, flush=True)
        answer = self.answers.readline()
        if not answer:
            raise Missing(f"{self.process.args!r} ended at {words}")
        return [float(word) for word in answer.split("\t")]

    def close(self) -> None:
        """End the program and wait for it."""
        self.process.communicate(timeout=60)


@dataclass(frozen=True)
class Peer:
    """One cache: how to find it, how to open it, what it can do."""

    name: str
    version: str
    #: Open a store of one kind, "raw" or "typed"; raises Missing.
    open: Callable[[Place, str], Store]
    #: Start the program that times it, for peers that are not in Python.
    drive: Callable[[Place], Driver] | None = None
    #: Operations on objects that the program knows; the sets come first.
    objects: tuple[str, ...] = ()
    #: All processes of the host see one cache.
    shared: bool = True
    #: It drops old entries when it is full.
    evicts: bool = True
    #: Bytes of the largest value; 0: no limit that matters here.
    largest: int = 0

    @property
    def title(self) -> str:
        """Return name and version."""
        return f"{self.name} {self.version}".strip()


def no_store(place: Place, kind: str) -> Store:
    """Refuse: this peer is a program."""
    raise Missing("its calls cannot be made from Python")


def available(
    place: Place, skipped: Skipped, modules: Sequence[str] = MODULES
) -> list[Peer]:
    """Return the peers that can be used here; note the others by name."""
    found = []
    for module in modules:
        maker = import_module(f"peers.{module}")
        try:
            found.append(maker.find(place))
        except (ImportError, Missing) as error:
            skipped.note(maker.NAME, error)
    return found
