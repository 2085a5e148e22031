"""``fastmmap check``: whether a file is sound, and its repair."""

import argparse

from fastmmap import verify
from fastmmap.cli.command import FINE, FOUND, Command, add_file, add_json, seconds

EPILOG = """\
exit status:
  0  the file is sound; with --repair: it is now
  1  check found a problem, or a page that it could not check
  2  there is no such file, it is not a cache file of this version and machine,
     it is truncated, it cannot be opened, or the command line is wrong
"""

CHECK = """\
Verify every page of a cache file, even while it is in use. This changes only the
lock of a page while it is read, and the counters of a page whose holder died. A
file that nobody has opened since the boot, or a copy of one, is checked in a
private copy.

With --repair a damaged page keeps its sound entries. It is emptied only when the
chain of its entries is broken, for then nothing in it can be told from noise.
"""


def run(arguments: argparse.Namespace) -> int:
    """Verify every page of a cache file, and repair it if told so."""
    report = verify.check_file(
        arguments.file, repair=arguments.repair, wait_ms=round(arguments.wait * 1000)
    )
    print(report.as_json() if arguments.json else report.as_text())
    return FINE if report.sound else FOUND


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``check``."""
    add_file(parser)
    add_json(parser)
    parser.add_argument(
        "--repair", action="store_true", help="repair damaged pages, keep the rest"
    )
    parser.add_argument(
        "--wait",
        type=seconds,
        default=5.0,
        metavar="SECONDS",
        help="seconds to wait for a page that is held (default: 5)",
    )


COMMANDS = (Command("check", run, add_arguments, CHECK, EPILOG),)
