"""``fastmmap keys``: which keys there are, what they take, and their values."""

import argparse
import json
import time
from collections.abc import Iterable, Iterator
from typing import Any, Optional

from fastmmap import _core
from fastmmap.cli import records, values
from fastmmap.cli.command import (
    FINE,
    FOUND,
    Command,
    add_file,
    add_json,
    add_namespace,
    add_pickle,
)
from fastmmap.cli.opening import opened, space_of
from fastmmap.cli.output import (
    age_text,
    print_table,
    printable,
    size_text,
)
from fastmmap.cli.records import Record
from fastmmap.types import Key

KEYS = """\
Print the keys of a cache, one per line, unsorted, or first the largest, the oldest,
the next to expire, the last used or the most used. Control characters are escaped;
bytes are written as b'..'. With --json each line is an object.

Values of plain types and JSON are shown, others by their size.
"""

_HEAD = ("SIZE", "STORED", "USED", "EXPIRES IN", "KEY")


def chosen(space: _core.Keyspace, arguments: argparse.Namespace) -> list[Record]:
    """Return the records of the requested keys."""
    found = records.matching(records.scan(space), arguments.prefix, arguments.match)
    return list(records.first(found, arguments.sort, arguments.limit))


def values_of(space: _core.Keyspace, found: list[Record]) -> dict[Key, Any]:
    """Return the values of keys; one that has gone by now is left out.

    They are read page by page, which does not count as a use.
    """
    wanted = {record[records.KEY] for record in found}
    return {key: value for key, value in space._scan(_core.SCAN_ITEMS) if key in wanted}


def _row(record: Record, now: float) -> tuple[str, ...]:
    key, size, expire_on, stored_on, last_access, *_ = record
    left: Optional[float] = None if expire_on is None else expire_on - now
    return (
        size_text(size),
        age_text(now - stored_on),
        age_text(now - last_access),
        age_text(left),
        printable(key),
    )


def _json_lines(
    found: Iterable[Record], read: Optional[dict[Key, Any]]
) -> Iterator[str]:
    for record in found:
        told = records.as_json(record)
        if read is not None and record[records.KEY] in read:
            told.update(values.to_json(read[record[records.KEY]]))
        yield json.dumps(told)


def _print(found: list[Record], read: Optional[dict[Key, Any]], detailed: bool) -> None:
    if read is not None:
        for record in found:
            key = record[records.KEY]
            shown = values.show(read[key]) if key in read else "<gone>"
            print(f"{printable(key)}\t{shown}")
    elif detailed:
        now = time.time()
        print_table(_HEAD, (_row(record, now) for record in found))
    else:
        for record in found:
            print(printable(record[records.KEY]))


def run(arguments: argparse.Namespace) -> int:
    """Print the keys of a cache and their properties."""
    with opened(arguments.file, decode=arguments.pickle) as cache:
        space = space_of(cache, arguments.namespace)
        found = chosen(space, arguments)
        read = values_of(space, found) if arguments.values else None
    if arguments.json:
        for line in _json_lines(found, read):
            print(line)
    elif found:
        _print(found, read, arguments.long or arguments.sort is not None)
    return FINE if found else FOUND


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Add which keys are meant."""
    add_namespace(parser)
    parser.add_argument(
        "--prefix", metavar="TEXT", help="only keys that begin with this"
    )
    parser.add_argument(
        "--match",
        metavar="PATTERN",
        help="only keys that match a shell pattern: * ? [..]",
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``keys``."""
    add_file(parser)
    add_json(parser)
    add_selection(parser)
    parser.add_argument(
        "--sort", choices=[*records.ORDERS], help="what to list first; implies --long"
    )
    parser.add_argument("--limit", type=_count, metavar="N", help="no more than N")
    parser.add_argument(
        "--long", action="store_true", help="also show size, age, expiry"
    )
    parser.add_argument("--values", action="store_true", help="also show the values")
    add_pickle(parser, "with --values: run the serializer of the file, also pickle")


COMMANDS = (Command("keys", run, add_arguments, KEYS),)
