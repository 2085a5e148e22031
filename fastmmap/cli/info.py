"""``fastmmap info``: what a cache file is like, and what is in it."""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from operator import itemgetter
from typing import Any, NamedTuple, Optional

from fastmmap import _core
from fastmmap.advice import shortages, stats_of
from fastmmap.cli import clients, records
from fastmmap.cli.command import FINE, FOUND, Command, add_file, add_json
from fastmmap.cli.opening import opened
from fastmmap.cli.output import (
    age_text,
    harmless,
    percent_text,
    print_facts,
    print_json,
    print_table,
    printable,
    size_text,
)
from fastmmap.cli.records import Record
from fastmmap.errors import LockTimeout
from fastmmap.types import Client, Key, Stats

INFO = """\
Print what a cache file is like, its counters, how large its entries are, and who has
it open. The pages are walked one by one; no value is read. Keys in namespaces are
counted with the rest of the file, and not walked.
"""
#: Prefixes that are told; the others are few, or small.
_PREFIXES = 10
#: Entries that are looked at together.
_AT_ONCE = 1_000


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


class _Tally:
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
        """Return what was found."""
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


def walk(cache: _core.Cache, separator: str) -> Contents:
    """Look at all entries of a cache but those in namespaces."""
    tally, found = _Tally(separator), records.scan(cache)
    while some := list(islice(found, _AT_ONCE)):
        tally.add(some)
    return tally.contents()


def _facts(cache: _core.Cache) -> dict[str, Any]:
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


def _lines(facts: dict[str, Any], stats: Stats) -> Iterator[tuple[str, object]]:
    created = time.localtime(facts["created"])
    yield "file", printable(facts["file"])
    yield "format version", facts["format_version"]
    yield "created", time.strftime("%Y-%m-%d %H:%M:%S %z", created)
    yield "serializer", printable(facts["serializer"])
    yield "compressor", printable(facts["compressor"] or "none")
    yield "file size", f"{facts['file_size']} bytes"
    yield "pages", f"{facts['pages']} of {facts['page_size']} bytes"
    yield "slots per page", f"{facts['first_slots']} at first"
    yield "largest entry", f"{facts['largest_entry']} bytes"
    yield "largest value", f"{facts['largest_value']} bytes"
    yield from stats._replace(advice=())._asdict().items()


def _findings(stats: Stats, contents: Contents) -> Iterator[tuple[str, object]]:
    now = time.time()
    yield "hit ratio", percent_text(stats.hits, stats.reads)
    yield "fill", percent_text(stats.bytes_live, stats.bytes_total)
    yield "short of", ", ".join(shortages(stats)) or "nothing"
    if contents.oldest is not None and contents.median is not None:
        yield "oldest entry", f"stored {age_text(now - contents.oldest)} ago"
        yield "median entry", f"stored {age_text(now - contents.median)} ago"
    for text in stats.advice:
        yield "advice", text


def _print_clients(users: list[Client]) -> None:
    if users:
        print()
        print_table(clients.HEAD, (clients.row(u, clients.counts_of(u)) for u in users))


def _print(facts: dict[str, Any], stats: Stats, contents: Contents) -> None:
    lines = [line for line in _lines(facts, stats) if line[0] != "advice"]
    print_facts([*lines, *_findings(stats, contents)])
    for title, groups in (("BELOW", contents.sizes), ("PREFIX", contents.prefixes)):
        if groups:
            print()
            print_table((title, "ENTRIES", "BYTES"), map(_group_row, groups))


def _group_row(group: Group) -> tuple[str, ...]:
    name = group.name
    shown = size_text(name) if isinstance(name, int) else printable(name) or "(none)"
    return shown, str(group.entries), size_text(group.bytes)


def _walk(cache: _core.Cache, separator: str) -> tuple[Contents, str]:
    """Look at all entries; else say why not."""
    try:
        return walk(cache, separator), ""
    except LockTimeout as error:
        return Contents([], [], None, None), str(error)


def run(arguments: argparse.Namespace) -> int:
    """Print what a cache file is like, and what is in it."""
    with opened(arguments.file) as cache:
        facts, stats = _facts(cache), stats_of(cache)
        contents, problem = _walk(cache, arguments.separator)
        users = clients.clients_of(cache)
    if arguments.json:
        told = _for_json(facts, stats, contents)
        told["clients"] = [user._asdict() for user in users]
        print_json({**told, "problem": problem or None})
    else:
        _print(facts, stats, contents)
        _print_clients(users)
    if problem:
        print(f"fastmmap: entries not looked at: {harmless(problem)}", file=sys.stderr)
    return FOUND if problem else FINE


def _for_json(
    facts: dict[str, Any], stats: Stats, contents: Contents
) -> dict[str, Any]:
    return {
        **facts,
        **stats._asdict(),
        "short_of": shortages(stats),
        "oldest_stored_on": contents.oldest,
        "median_stored_on": contents.median,
        "sizes": [
            {"below": group.name, "entries": group.entries, "bytes": group.bytes}
            for group in contents.sizes
        ],
        "prefixes": [
            {"prefix": group.name, "entries": group.entries, "bytes": group.bytes}
            for group in contents.prefixes
        ],
    }


def _separator(text: str) -> str:
    if len(text) != 1:
        raise ValueError(text)
    return text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``info``."""
    add_file(parser)
    add_json(parser)
    parser.add_argument(
        "--separator",
        type=_separator,
        default=":",
        metavar="CHARACTER",
        help='what ends the prefix of a key (default: ":")',
    )


COMMANDS = (Command("info", run, add_arguments, INFO),)
