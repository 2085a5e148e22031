"""``python -m fastmmap check FILE`` and ``python -m fastmmap info FILE``.

Exit status: 0 all is well, 1 ``check`` found something, 2 the file is missing,
no cache file or not to be opened, or the command line is wrong.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import Optional

from fastmmap import __version__, _core
from fastmmap.errors import Error
from fastmmap.types import Stats

FINE, FOUND, UNUSABLE = 0, 1, 2


def check(cache: _core.Cache) -> int:
    """Print what is wrong with the pages of a file; change nothing."""
    entries = bad = 0
    for page in range(cache.num_pages):
        found, _, _, problem = cache._check_page(page)
        entries += found
        if problem:
            bad += 1
            print(f"page {page}: {problem}")
    print(f"{cache.num_pages} pages, {entries} entries, {bad} pages with problems")
    return FOUND if bad else FINE


def info(cache: _core.Cache) -> int:
    """Print what a file is like and its counters."""
    facts = cache._info()
    created = time.strftime(
        "%Y-%m-%d %H:%M:%S %z", time.localtime(facts["created_ms"] / 1000)
    )
    print(f"file            {cache.share_file}")
    print(f"format version  {facts['version']}")
    print(f"created         {created}")
    print(f"serializer      {cache.serializer}")
    print(f"compressor      {cache.compressor or 'none'}")
    print(f"file size       {facts['file_size']} bytes")
    print(f"pages           {cache.num_pages} of {cache.page_size} bytes")
    print(f"slots per page  {facts['slots']}")
    print(f"largest entry   {facts['max_entry']} bytes")
    for name, value in Stats(*cache._stats())._asdict().items():
        print(f"{name:15} {value}")
    return FINE


COMMANDS: dict[str, Callable[[_core.Cache], int]] = {"check": check, "info": info}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    result = argparse.ArgumentParser(
        prog="python -m fastmmap",
        description="Look at a cache file. Nothing is changed.",
        epilog="Exit status: 0 fine, 1 check found a problem, 2 cannot be read.",
    )
    result.add_argument("--version", action="version", version=__version__)
    commands = result.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, function in COMMANDS.items():
        text = (function.__doc__ or "").strip()
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("file", metavar="FILE", help="path of the cache file")
    return result


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run one command; return the exit status."""
    given = parser().parse_args(arguments)
    try:
        # No value is read, so none can do harm.
        cache = _core.Cache(given.file, must_exist=True, allow_shared=True)
    except (Error, OSError, ValueError) as error:
        print(f"fastmmap: {error}", file=sys.stderr)
        return UNUSABLE
    try:
        return COMMANDS[given.command](cache)
    finally:
        cache.close()


if __name__ == "__main__":
    sys.exit(main())
