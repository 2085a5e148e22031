"""``fastmmap namespaces``, ``tags``, ``clear-namespace``, ``invalidate-tag``."""

import argparse
from typing import Any

from fastmmap import _core
from fastmmap.advice import stats_of
from fastmmap.cli import census
from fastmmap.cli.command import (
    FINE,
    FOUND,
    Command,
    add_file,
    add_json,
    add_namespace,
    add_yes,
)
from fastmmap.cli.opening import opened, space_of
from fastmmap.cli.output import (
    confirm,
    print_json,
    print_table,
    printable,
    size_text,
)

NAMESPACES = """\
Count the keys and bytes of the namespaces that you name, or of all whose names the
file knows, and of keys without a namespace. The file keeps names of namespaces in
use, in at most a five-hundredth of its bytes. All others are counted together, with
values that have expired or were dropped and are not reclaimed yet.
"""
TAGS = """\
Count the values with each tag, and their bytes, in the cache and in all known
namespaces. The file keeps the names of tags in use, in at most a five-hundredth
of its bytes.
"""
CLEAR = """\
Drop all keys of a namespace, and of those inside it, for all users of the cache.
It asks first, unless --yes is given.
"""
INVALIDATE = "Drop all values with a tag, for all users of the cache."


def _group(path: census.Path, amount: census.Amount) -> dict[str, Any]:
    return {"namespace": list(path), "entries": amount.entries, "bytes": amount.size}


def _rest(cache: _core.Cache, told: list[dict[str, Any]]) -> dict[str, Any]:
    """Count what is in none of them."""
    stats = stats_of(cache)
    entries = stats.entries - sum(group["entries"] for group in told)
    size = stats.bytes_live - sum(group["bytes"] for group in told)
    return {"namespace": None, "entries": max(entries, 0), "bytes": max(size, 0)}


def _row(group: dict[str, Any]) -> tuple[str, ...]:
    names = group["namespace"]
    shown = "(others)" if names is None else " / ".join(map(printable, names))
    return str(group["entries"]), size_text(group["bytes"]), shown or "(none)"


def _is_inside(path: census.Path, outer: census.Path) -> bool:
    return not path or (len(path) > len(outer) and path[: len(outer)] == outer)


def namespaces(arguments: argparse.Namespace) -> int:
    """Count the keys and bytes of namespaces."""
    outer = tuple(arguments.namespace)
    asked = [(*outer, name) for name in arguments.name]
    with opened(arguments.file) as cache:
        found = census.take(cache, asked).namespaces
        paths = [(), *asked] if asked else [p for p in found if _is_inside(p, outer)]
        told = [_group(path, found[path]) for path in paths]
        told.append(_rest(cache, told))
    if arguments.json:
        print_json(told)
    else:
        print_table(("ENTRIES", "BYTES", "NAMESPACE"), map(_row, told))
    return FINE


def add_namespaces_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``namespaces``."""
    add_file(parser)
    parser.add_argument("name", metavar="NAME", nargs="*", help="of a namespace")
    add_json(parser)
    add_namespace(parser)


def tags(arguments: argparse.Namespace) -> int:
    """Count the values of tags."""
    outer = tuple(arguments.namespace)
    with opened(arguments.file) as cache:
        found = census.take(cache)
    told = [
        {"tag": printable(tag), **_group(path, amount)}
        for (path, tag), amount in found.tags.items()
        if path[: len(outer)] == outer
    ]
    if arguments.json:
        print_json(told)
    else:
        print_table(("ENTRIES", "BYTES", "TAG", "NAMESPACE"), map(_tag_row, told))
        _tell_nameless(found)
    return FINE


def _tag_row(group: dict[str, Any]) -> tuple[str, ...]:
    entries, size, names = _row(group)
    return entries, size, group["tag"], names


def _tell_nameless(found: census.Census) -> None:
    if found.nameless_tags:
        print(f"and {found.nameless_tags} tags whose names the file does not know")


def add_tags_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``tags``."""
    add_file(parser)
    add_json(parser)
    add_namespace(parser)


def clear_namespace(arguments: argparse.Namespace) -> int:
    """Drop all keys of a namespace."""
    names = [*arguments.namespace, arguments.name]
    with opened(arguments.file, change=True) as cache:
        shown = " / ".join(map(printable, names))
        if not confirm(f"Drop the namespace {shown}?", arguments.yes):
            return FOUND
        space_of(cache, names).clear()
    return FINE


def add_clear_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``clear-namespace``."""
    add_file(parser)
    parser.add_argument("name", metavar="NAME", help="of the namespace")
    add_namespace(parser)
    add_yes(parser)


def invalidate_tag(arguments: argparse.Namespace) -> int:
    """Drop all values that have a tag."""
    with opened(arguments.file, change=True) as cache:
        space_of(cache, arguments.namespace).invalidate_tag(arguments.tag)
    return FINE


def add_tag_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``invalidate-tag``."""
    add_file(parser)
    parser.add_argument("tag", metavar="TAG", help="the tag")
    add_namespace(parser)


COMMANDS = (
    Command("namespaces", namespaces, add_namespaces_arguments, NAMESPACES),
    Command("tags", tags, add_tags_arguments, TAGS),
    Command("clear-namespace", clear_namespace, add_clear_arguments, CLEAR),
    Command("invalidate-tag", invalidate_tag, add_tag_arguments, INVALIDATE),
)
