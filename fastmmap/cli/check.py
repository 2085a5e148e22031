"""``fastmmap check``: whether a file is sound, and its repair."""

import argparse

from fastmmap import verify
from fastmmap.cli.command import FINE, FOUND, Command, add_file, add_json, seconds

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
        "--repair", action="store_true", help="mend what is damaged, keep the rest"
    )
    parser.add_argument(
        "--wait",
        type=seconds,
        default=5.0,
        metavar="SECONDS",
        help="how long to wait for a page that somebody holds (default: 5)",
    )


COMMANDS = (Command("check", run, add_arguments, CHECK, EPILOG),)
