"""``fastmmap import-diskcache``: what a directory of diskcache holds."""

import argparse
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from fastmmap import FastMmap
from fastmmap.cli.command import FINE, FOUND, Command
from fastmmap.cli.opening import opened
from fastmmap.cli.output import Progress, print_facts, progress_bar

IMPORT = """\
Copy a directory of diskcache into a cache file. The directory is only read, and
may be in use. The file is created if it does not exist. Entries keep their expiry.
A value of the file stays if it was stored no earlier than the entry of the
directory.

An interrupted import continues when you start it again.
"""

EPILOG = """\
exit status:
  0    everything worth keeping is in the file
  1    entries were left out: the report counts them, --verbose names them
  2    the directory or the file cannot be used, or the command line is wrong
  130  interrupted: start it again to continue
"""


@contextmanager
def _progress() -> Iterator[Progress]:
    from fastmmap.contrib.requirement import require

    require("rich", "12", extra="diskcache")
    with progress_bar("importing") as progress:
        yield progress


def run(arguments: argparse.Namespace) -> int:
    """Bring a directory of diskcache into a cache file."""
    from fastmmap.contrib import diskcache

    if arguments.verbose:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
    options = {"cache_size": arguments.cache_size, "page_size": arguments.page_size}
    if not os.path.exists(arguments.file):
        room = diskcache.room_for(arguments.directory)
        options = {**room, **{name: n for name, n in options.items() if n is not None}}
    elif os.path.getsize(arguments.file) != 0:
        with opened(arguments.file):  # no command replaces a file of another version
            pass
    with (
        _progress() as progress,
        FastMmap(arguments.file, **options) as cache,
    ):
        report = diskcache.import_directory(
            cache,
            arguments.directory,
            overwrite=arguments.overwrite,
            progress=progress,
        )
    print_facts(report._asdict().items())
    return FOUND if report.left_out else FINE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``import-diskcache``."""
    parser.add_argument(
        "directory",
        metavar="DIRECTORY",
        help="directory of a diskcache Cache or FanoutCache",
    )
    parser.add_argument("file", metavar="FILE", help="path of the cache file")
    parser.add_argument(
        "--overwrite", action="store_true", help="also replace newer values of the file"
    )
    parser.add_argument(
        "--verbose", action="store_true", help="name each key that is left out"
    )
    parser.add_argument(
        "--cache-size",
        metavar="SIZE",
        help="size of a new file, such as 64m (default: as the directory needs)",
    )
    parser.add_argument(
        "--page-size",
        metavar="SIZE",
        help="page size of a new file (default: as the directory needs)",
    )


COMMANDS = (Command("import-diskcache", run, add_arguments, IMPORT, EPILOG),)
