"""``fastmmap get``, ``set``, ``delete``, ``touch``: single keys."""

import argparse
import json
import sys
from typing import Any

from fastmmap.cli import values
from fastmmap.cli.command import (
    FINE,
    FOUND,
    Command,
    add_file,
    add_json,
    add_keys,
    add_pickle,
    lifetime,
)
from fastmmap.cli.opening import key_of, opened, space_of
from fastmmap.cli.output import json_text
from fastmmap.types import Entry, Key

GET = """\
Print the value of a key. It counts as a read, but calls no callback. Control
characters are escaped; with --raw, text and bytes are written unchanged.

Values of plain types and JSON are shown, others by their size.
"""
SET = """\
Store a value: text, with --json a JSON value, or with --bytes bytes. VALUE - reads
standard input. No callback is called. Exit status 1: it was refused.
"""
DELETE = "Remove keys. No callback is called. Exit status 1: one did not exist."
TOUCH = "Change the lifetime of keys. Exit status 1: one did not exist."


# ------------------------------------------------------------------------- get


def _json_of(key: Key, entry: Entry) -> dict[str, Any]:
    return {
        "key": json_text(key),
        **entry._asdict(),
        **values.to_json(entry.value),
    }


def _write_raw(value: object) -> None:
    if isinstance(value, values.Stored):
        value = value.data
    if not isinstance(value, (bytes, str)):
        raise ValueError("--raw is for text and bytes, and this value is neither")
    data = value if isinstance(value, bytes) else value.encode(errors="surrogatepass")
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def get(arguments: argparse.Namespace) -> int:
    """Print the value of a key."""
    key = key_of(arguments.key, arguments.escaped)
    with opened(arguments.file, decode=arguments.pickle) as cache:
        entry = space_of(cache, arguments.namespace).get_entry(key)
    if entry is None:
        return FOUND
    if arguments.json:
        print(json.dumps(_json_of(key, entry)))
    elif arguments.raw:
        _write_raw(entry.value)
    else:
        print(values.show(entry.value))
    return FINE


def add_get_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``get``."""
    add_file(parser)
    add_keys(parser)
    add_json(parser)
    parser.add_argument(
        "--raw", action="store_true", help="write text and bytes unchanged"
    )
    add_pickle(parser, "run the serializer of the file, also pickle")


# ------------------------------------------------------------------------- set


def _value(arguments: argparse.Namespace) -> Any:
    """Return the value that is to be stored."""
    given: bytes = arguments.value.encode(errors="surrogateescape")
    if arguments.value == "-":
        given = sys.stdin.buffer.read()
    if arguments.json:
        return json.loads(given)
    return given if arguments.bytes else given.decode()


def set_(arguments: argparse.Namespace) -> int:
    """Store a value."""
    key, value = key_of(arguments.key, arguments.escaped), _value(arguments)
    with opened(arguments.file, change=True) as cache:
        space = space_of(cache, arguments.namespace)
        stored = space.set(key, value, arguments.ttl, tags=arguments.tag)
    if not stored:
        print("fastmmap: not stored: too large, or refused", file=sys.stderr)
    return FINE if stored else FOUND


def add_set_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``set``."""
    add_file(parser)
    add_keys(parser)
    parser.add_argument("value", metavar="VALUE", help="the value; - is standard input")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--json", action="store_true", help="VALUE is JSON")
    kind.add_argument("--bytes", action="store_true", help="VALUE is bytes, not text")
    parser.add_argument(
        "--tag", metavar="TAG", action="append", default=[], help="give it this tag"
    )
    _add_lifetime(parser, "never")


def _add_lifetime(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "--ttl",
        type=lifetime,
        default=default,
        metavar="LIFETIME",
        help=f"such as 10m, or a number of seconds (default: {default})",
    )


# ----------------------------------------------------------------------- others


def _each(arguments: argparse.Namespace, what: str, *more: object) -> int:
    """Call a method of the cache for each key; all are to have an effect."""
    keys = [key_of(key, arguments.escaped) for key in arguments.key]
    with opened(arguments.file, change=True) as cache:
        space = space_of(cache, arguments.namespace)
        done = sum(getattr(space, what)(key, *more) for key in keys)
    if arguments.json:
        print(json.dumps({"keys": len(keys), "done": done}))
    return FINE if done == len(keys) else FOUND


def delete(arguments: argparse.Namespace) -> int:
    """Remove keys."""
    return _each(arguments, "remove")


def touch(arguments: argparse.Namespace) -> int:
    """Change the lifetime of keys."""
    return _each(arguments, "touch", arguments.ttl)


def add_delete_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``delete``."""
    add_file(parser)
    add_keys(parser, "+")
    add_json(parser)


def add_touch_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``touch``."""
    add_delete_arguments(parser)
    _add_lifetime(parser, "never")


COMMANDS = (
    Command("get", get, add_get_arguments, GET),
    Command("set", set_, add_set_arguments, SET),
    Command("delete", delete, add_delete_arguments, DELETE),
    Command("touch", touch, add_touch_arguments, TOUCH),
)
