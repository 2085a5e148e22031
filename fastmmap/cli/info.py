"""``fastmmap info``: what a cache file is like, and what is in it."""

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Any

from fastmmap import _core
from fastmmap.advice import shortages, stats_of
from fastmmap.cli import clients
from fastmmap.cli.command import FINE, FOUND, Command, add_file, add_json
from fastmmap.cli.contents import Contents, Group, facts_of, groups_json, walk
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
from fastmmap.errors import LockTimeout
from fastmmap.types import Client, Stats

INFO = """\
Print the properties of a cache file, its counters, the sizes of its entries, and who
has it open. Pages are visited one by one; no value is read. Keys in namespaces are
counted with the rest of the file, but not visited.
"""


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
        facts, stats = facts_of(cache), stats_of(cache)
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
        print(f"fastmmap: entries not visited: {harmless(problem)}", file=sys.stderr)
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
        "sizes": groups_json("below", contents.sizes),
        "prefixes": groups_json("prefix", contents.prefixes),
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
        help='separator that ends the prefix of a key (default: ":")',
    )


COMMANDS = (Command("info", run, add_arguments, INFO),)
