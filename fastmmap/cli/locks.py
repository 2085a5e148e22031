"""``fastmmap locks``: the holder of a lock, or the process that computes a key."""

import argparse
import sys
import time
from typing import Any

from fastmmap import _core
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
from fastmmap.cli.output import age_text, confirm, print_json, print_table, printable
from fastmmap.sync.naming import key_of
from fastmmap.types import Key

LOCKS = """\
Print who holds the named locks, since when and until when. With --key, who computes
these keys now. Exit status 1: nobody holds any of them.

With --break, held locks end, whatever their holders are doing: others can acquire
them then. It asks first, unless --yes is given. The holders get an error when they
release their locks. A lock that is not held as it was shown is not ended: exit
status 1.
"""


def _look(space: _core.Keyspace, name: str, key: Key) -> dict[str, Any]:
    found = space._lease_peek(key)
    pid, since, until = found or (None, None, None)
    return {"name": name, "pid": pid, "since": since, "until": until}


def _row(told: dict[str, Any]) -> tuple[str, ...]:
    now = time.time()
    if told["pid"] is None:
        return "-", "-", "-", printable(told["name"])
    since, left = now - told["since"], told["until"] - now
    return str(told["pid"]), age_text(since), age_text(left), printable(told["name"])


def _keys(arguments: argparse.Namespace) -> dict[str, Key]:
    """Return the keys of what is named.

    Locks are in the cache itself, under keys that name their namespaces.
    """
    if arguments.key:
        return {name: name for name in arguments.name}
    return {name: key_of("lock", name, *arguments.namespace) for name in arguments.name}


def _print(told: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(told)
    else:
        print_table(("PID", "SINCE", "LEFT", "NAME"), map(_row, told))


def _break(
    space: _core.Keyspace, shown: list[dict[str, Any]], keys: dict[str, Key], yes: bool
) -> bool:
    """End the locks that were shown as held, if that is meant.

    Returns whether all of them ended: one that changed hands meanwhile stays.
    """
    names = ", ".join(printable(lock["name"]) for lock in shown)
    if not confirm(f"End {names}, whatever the holders are doing?", yes):
        return False
    return all([_end(space, lock, keys[lock["name"]]) for lock in shown])


def _end(space: _core.Keyspace, shown: dict[str, Any], key: Key) -> bool:
    """End a lock, unless it is not held as it was shown."""
    if _look(space, shown["name"], key) == shown:
        space.remove(key)
        return True
    name = printable(shown["name"])
    print(f"{name} was released or extended meanwhile: not ended", file=sys.stderr)
    return False


def run(arguments: argparse.Namespace) -> int:
    """Print who has a lock, or computes a key; end locks."""
    if arguments.key and arguments.end:
        raise ValueError("--break is for locks: `delete` ends what computes a key")
    keys = _keys(arguments)
    with opened(arguments.file, change=arguments.end) as cache:
        space = space_of(cache, arguments.namespace if arguments.key else [])
        told = [_look(space, name, key) for name, key in keys.items()]
        held = [lock for lock in told if lock["pid"] is not None]
        _print(told, arguments.json)
        if held and arguments.end:
            return FINE if _break(space, held, keys, arguments.yes) else FOUND
    return FINE if held else FOUND


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``locks``."""
    add_file(parser)
    parser.add_argument(
        "name", metavar="NAME", nargs="+", help="name of a lock, or a key"
    )
    add_json(parser)
    add_namespace(parser)
    parser.add_argument("--key", action="store_true", help="the names are keys")
    parser.add_argument(
        "--break", action="store_true", dest="end", help="end held locks"
    )
    add_yes(parser)


COMMANDS = (Command("locks", run, add_arguments, LOCKS),)
