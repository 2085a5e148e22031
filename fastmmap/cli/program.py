"""The command ``fastmmap`` as a whole: its parser, and how it ends."""

import argparse
import io
import os
import signal
import sys
from collections.abc import Sequence
from typing import Optional

from fastmmap import __version__, ownership
from fastmmap.cli import (
    bench,
    caches,
    check,
    completion,
    diskcache,
    entry,
    groups,
    host,
    info,
    keys,
    locks,
    metrics,
    monitor,
    redis_listener,
    resize,
    top,
    transfer,
    watch,
    web,
    whole,
)
from fastmmap.cli.command import EXITS, INTERRUPTED, UNUSABLE, Command, Parser
from fastmmap.cli.output import harmless
from fastmmap.errors import Error

_AS_OWNER = "run the command as its owner, as with sudo -u"

#: What an operator does first comes first.
COMMANDS: tuple[Command, ...] = (
    *caches.COMMANDS,
    *info.COMMANDS,
    *top.COMMANDS,
    *watch.COMMANDS,
    *monitor.COMMANDS,
    *web.COMMANDS,
    *check.COMMANDS,
    *keys.COMMANDS,
    *entry.COMMANDS,
    *whole.COMMANDS,
    *groups.COMMANDS,
    *locks.COMMANDS,
    *resize.COMMANDS,
    *transfer.COMMANDS,
    *diskcache.COMMANDS,
    *bench.COMMANDS,
    *metrics.COMMANDS,
    *redis_listener.COMMANDS,
    *completion.COMMANDS,
)

#: The names of those that take a file that is there, for others who know which.
ON_ONE_FILE = [
    command.name
    for command in COMMANDS
    if command.name not in ("list", "import-diskcache", "completion")
]


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    result = Parser(
        prog="fastmmap",
        description="Inspect and maintain cache files.",
        epilog=EXITS,
    )
    result.add_argument("--version", action="version", version=__version__)
    commands = result.add_subparsers(metavar="COMMAND")
    for command in COMMANDS:
        command.add_to(commands)
    return result


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run one command; return the exit status."""
    reader = parser()
    completion.complete(reader)
    given = reader.parse_args(arguments)
    if "run" not in given:
        reader.print_help(sys.stderr)
        return UNUSABLE
    try:
        if "file" in given and given.file is None:
            given.file = host.only_open()
        status: int = given.run(given)
        sys.stdout.flush()
    except (Error, OSError, ValueError, ImportError) as error:
        print(f"fastmmap: {_told(error)}", file=sys.stderr)
        return UNUSABLE
    except KeyboardInterrupt:
        print("fastmmap: interrupted", file=sys.stderr)
        return INTERRUPTED
    return status


def _told(error: Exception) -> str:
    """Return a message that no terminal obeys; of several lines it stays so."""
    return "\n".join(map(harmless, f"{error}{_owner_of(error)}".splitlines()))


def _owner_of(error: Exception) -> str:
    """Return what to add about a file that this user may not open."""
    if not isinstance(error, PermissionError) or not os.path.exists(
        error.filename or ""
    ):
        return ""
    told = ownership.explain(os.path.abspath(error.filename), _AS_OWNER)
    return told and f"; {told}"


def entry_point() -> None:
    """Run the command of the command line, and exit.

    Who reads no more ends it without a word, as with any other program. What cannot
    be written in the terminal's encoding is escaped.
    """
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    status = main()
    sys.exit(status)
