"""``fastmmap export``, ``fastmmap import``: a cache as lines of JSON.

The first line says what follows; each further one is an entry: its key, its value and
how that is encoded, when it expires, its namespace.
"""

import argparse
import contextlib
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn, Optional, TextIO

from fastmmap import __version__, _core
from fastmmap.advice import stats_of
from fastmmap.cli import records, values
from fastmmap.cli.command import FINE, FOUND, Command, add_file, add_json
from fastmmap.cli.keys import add_selection
from fastmmap.cli.opening import opened, space_of
from fastmmap.cli.output import (
    Progress,
    from_json_text,
    json_text,
    print_facts,
    print_json,
    progress_bar,
    watched,
)
from fastmmap.types import Key

FORMAT = 1

EXPORT = """\
Write the entries of a cache to standard output, as lines of JSON, while it is in
use. Keys in namespaces are left out; --namespace writes those of one. Pickled values,
and those of serializers other than JSON, are written only with --pickle, as bytes:
they are not unpickled. Tags are not written: the file knows them only by number.
Standard error counts the entries left out, at the end.
"""
IMPORT = """\
Store what `export` wrote, from a file or from standard input. Existing keys stay
unchanged, unless --overwrite is given, so you can start an interrupted import again.
Pickles are stored only with --pickle: whoever reads the cache will unpickle them.
"""
IMPORT_EPILOG = """\
exit status:
  0    every unexpired entry is in the cache
  1    entries were left out: the report counts them
  2    the input or the cache cannot be used, or the command line is wrong
  130  interrupted: start it again to continue
"""


# ---------------------------------------------------------------------- export


def _entry(key: Key, value: object, expire_on: Optional[float]) -> dict[str, Any]:
    told = {"key": json_text(key), **values.to_json(value)}
    if expire_on is not None:
        told["expire_on"] = expire_on
    return told


def _export(
    space: _core.Keyspace, arguments: argparse.Namespace, progress: Progress
) -> Counter[str]:
    """Write the entries; count them and those left out."""
    counts: Counter[str] = Counter()
    total = None if arguments.prefix or arguments.match else len(space)
    found = watched(records.entries(space), progress, total)
    for entry in records.matching(found, arguments.prefix, arguments.match):
        key, value, bits = entry[records.KEY], entry[-1], entry[records.FLAG_BITS]
        if isinstance(value, values.Stored) and not arguments.pickle:
            counts["not_plain"] += 1
            continue
        counts["exported"] += 1
        counts["tags_lost"] += "tagged" in records.flags_of(bits)
        print(json.dumps(_entry(key, value, entry[records.EXPIRE_ON])))
    return counts


def export(arguments: argparse.Namespace) -> int:
    """Write a cache as lines of JSON."""
    with opened(arguments.file) as cache, progress_bar("exporting") as progress:
        space = space_of(cache, arguments.namespace)
        head = {
            "fastmmap": __version__,
            "format": FORMAT,
            "serializer": cache.serializer,
            "namespace": arguments.namespace,
        }
        print(json.dumps(head))
        counts = _export(space, arguments, progress)
        elsewhere = stats_of(cache).entries - counts["exported"] - counts["not_plain"]
    sys.stdout.flush()
    told = ", ".join(f"{name} {n}" for name, n in counts.items() if n)
    others = f"; {elsewhere} others, of namespaces or expired" if elsewhere > 0 else ""
    print(f"fastmmap: {told or 'nothing exported'}{others}", file=sys.stderr)
    return FOUND if counts["not_plain"] else FINE


def add_export_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``export``."""
    add_file(parser)
    add_selection(parser)
    parser.add_argument(
        "--pickle", action="store_true", help="also write pickles, as bytes"
    )


# ---------------------------------------------------------------------- import

_Store = Callable[..., bool]


def _broken(number: int, why: object) -> NoReturn:
    raise ValueError(f"line {number} is not from an export: {why}")


def _head(line: str) -> dict[str, Any]:
    try:
        head = json.loads(line)
        if head["format"] != FORMAT:
            _broken(1, f"format {head['format']!r}, expected {FORMAT}")
    except (ValueError, TypeError, KeyError) as error:
        _broken(1, error)
    if not isinstance(head, dict):
        _broken(1, "it is not an object")
    return head


def _import_line(
    store: _Store, record: dict[str, Any], serializer: str, pickles: bool
) -> str:
    """Store one entry; return what became of it."""
    key, value = from_json_text(record["key"]), values.from_json(record)
    expire_on = record.get("expire_on")
    if isinstance(value, values.Stored):
        if value.serializer != serializer:
            return "other_serializer"
        if not pickles:
            return "not_plain"
    if expire_on is not None and expire_on <= _core.now():
        return "expired"
    lifetime = "never" if expire_on is None else None
    try:
        stored = store(key, value, lifetime, expire_on=expire_on)
    except (TypeError, ValueError, OverflowError):
        return "unstorable"
    return "imported" if stored else "kept_or_refused"


def _import(
    cache: _core.Cache,
    lines: Iterable[str],
    arguments: argparse.Namespace,
    progress: Progress,
) -> Counter[str]:
    numbered = enumerate(watched(lines, progress, arguments.size, len), 1)
    head = _head(next(numbered, (1, ""))[1])
    space = space_of(cache, [*arguments.namespace, *head.get("namespace", [])])
    store = space.set if arguments.overwrite else space.add
    counts: Counter[str] = Counter()
    for number, line in numbered:
        try:
            outcome = _import_line(
                store, json.loads(line), cache.serializer, arguments.pickle
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            _broken(number, error)
        counts[outcome] += 1
    return counts


@contextlib.contextmanager
def _source(path: str) -> Iterator[TextIO]:
    if path == "-":
        yield sys.stdin
        return
    with open(path, encoding="utf-8") as file:
        yield file


def import_(arguments: argparse.Namespace) -> int:
    """Store exported entries."""
    source = arguments.source
    arguments.size = None if source == "-" else os.path.getsize(source)
    with (
        _source(source) as lines,
        opened(arguments.file, change=True) as cache,
        progress_bar("importing") as progress,
    ):
        counts = _import(cache, lines, arguments, progress)
    if arguments.json:
        print_json(counts)
    else:
        print_facts(counts.items())
    left_out = counts["other_serializer"] + counts["not_plain"] + counts["unstorable"]
    return FOUND if left_out else FINE


def add_import_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``import``."""
    add_file(parser)
    parser.add_argument(
        "source", metavar="EXPORT", help="what `export` wrote; - is stdin"
    )
    parser.add_argument(
        "--namespace",
        metavar="NAME",
        action="append",
        default=[],
        help="store inside this namespace",
    )
    add_json(parser)
    parser.add_argument(
        "--overwrite", action="store_true", help="replace existing values"
    )
    parser.add_argument("--pickle", action="store_true", help="also store pickles")


COMMANDS = (
    Command("export", export, add_export_arguments, EXPORT),
    Command("import", import_, add_import_arguments, IMPORT, IMPORT_EPILOG),
)
