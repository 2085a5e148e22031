"""The command line: ``python -m fastmmap info`` and ``check``."""

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Optional

from fastmmap import __version__, verify
from fastmmap.errors import Error
from fastmmap.types import Stats

FINE, FOUND, UNUSABLE = 0, 1, 2

EPILOG = """\
exit status:
  0  the file is sound; with --repair: it is by now
  1  check found a problem, or a page that it could not look at
  2  there is no such file, it is no cache file of this version and machine, it
     is truncated, it cannot be opened, or the command line is wrong
"""

CHECK = """\
Verify every page of a cache file, also while it is in use. Nothing is changed
but the lock of a page while that page is looked at, and the counters of a page
whose holder died. A file that nobody has open since the boot, or a copy of one,
is looked at in a private copy.

With --repair a damaged page keeps what is sound in it. It is emptied only when
the chain of its entries is broken, for then nothing in it can be told from
noise.
"""


def info(arguments: argparse.Namespace) -> int:
    """Print what a cache file is like, and its counters."""
    cache = verify.open_file(arguments.file)
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
    print(f"largest value   {facts['max_value']} bytes")
    for name, value in Stats(*cache._stats())._asdict().items():
        print(f"{name:15} {value}")
    cache.close()
    return FINE


def check(arguments: argparse.Namespace) -> int:
    """Verify every page of a cache file, and repair it if told so."""
    report = verify.check_file(
        arguments.file, repair=arguments.repair, wait_ms=round(arguments.wait * 1000)
    )
    print(report.as_json() if arguments.json else report.as_text())
    return FINE if report.sound else FOUND


def seconds(text: str) -> float:
    """Read an argument that is a time to wait."""
    value = float(text)
    if not 0 <= value < 1e9:
        raise ValueError(text)
    return value


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    result = argparse.ArgumentParser(
        prog="python -m fastmmap",
        description="Look at a cache file, and repair it.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("--version", action="version", version=__version__)
    commands = result.add_subparsers(required=True, metavar="COMMAND")
    for name, function, text in (("check", check, CHECK), ("info", info, "")):
        command = commands.add_parser(
            name,
            help=function.__doc__,
            description=text or function.__doc__,
            epilog=EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(run=function)
        command.add_argument("file", metavar="FILE", help="path of the cache file")
        if function is check:
            add_check_options(command)
    return result


def add_check_options(command: argparse.ArgumentParser) -> None:
    """Add what only ``check`` takes."""
    command.add_argument(
        "--repair", action="store_true", help="mend what is damaged, keep the rest"
    )
    command.add_argument("--json", action="store_true", help="print a report as JSON")
    command.add_argument(
        "--wait",
        type=seconds,
        default=5.0,
        metavar="SECONDS",
        help="how long to wait for a page that somebody holds (default: 5)",
    )


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run one command; return the exit status."""
    given = parser().parse_args(arguments)
    try:
        status: int = given.run(given)
    except (Error, OSError, ValueError) as error:
        print(f"fastmmap: {error}", file=sys.stderr)
        return UNUSABLE
    return status


if __name__ == "__main__":
    sys.exit(main())
