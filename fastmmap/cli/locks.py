"""``fastmmap locks``: who has a lock, or computes a key."""

import argparse
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
)
from fastmmap.cli.opening import opened, space_of
from fastmmap.cli.output import age_text, print_json, print_table, printable
from fastmmap.sync.naming import key_of
from fastmmap.types import Key

LOCKS = """\
Print who has the locks that are named, since when and until when. With --key, who
computes these keys at the moment. Exit status 1: nobody has any of them.
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


def run(arguments: argparse.Namespace) -> int:
    """Print who has a lock, or computes a key."""
    outer = arguments.namespace
    with opened(arguments.file) as cache:
        # Locks lie in the cache itself, under keys that name their namespaces.
        space = space_of(cache, outer if arguments.key else [])
        told = [
            _look(space, name, name if arguments.key else key_of("lock", name, *outer))
            for name in arguments.name
        ]
    if arguments.json:
        print_json(told)
    else:
        print_table(("PID", "SINCE", "LEFT", "NAME"), map(_row, told))
    return FINE if any(lock["pid"] is not None for lock in told) else FOUND


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``locks``."""
    add_file(parser)
    parser.add_argument("name", metavar="NAME", nargs="+", help="of a lock, or a key")
    add_json(parser)
    add_namespace(parser)
    parser.add_argument("--key", action="store_true", help="the names are keys")


COMMANDS = (Command("locks", run, add_arguments, LOCKS),)
