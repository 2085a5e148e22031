"""The command line: ``python -m fastmmap info``, ``check``, ``import-diskcache``."""

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Optional

from fastmmap import FastMmap, __version__, verify
from fastmmap.advice import stats_of
from fastmmap.errors import Error

FINE, FOUND, UNUSABLE, INTERRUPTED = 0, 1, 2, 130

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

IMPORT = """\
Bring what a directory of diskcache holds into a cache file. The directory is
only read, and may be in use. The file is made when it is not there. Entries keep
the moment when they expire; what the file has, stored no earlier than the entry
of the directory, stays.

An import that was interrupted goes on where it was when it is started again.
"""

IMPORT_EPILOG = """\
exit status:
  0    everything is in the file that is worth having
  1    entries were left out: the report counts them, --verbose names them
  2    the directory or the file cannot be used, or the command line is wrong
  130  interrupted: start it again to go on
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
    print(f"slots per page  {facts['slots']} at first")
    print(f"largest entry   {facts['max_entry']} bytes")
    print(f"largest value   {facts['max_value']} bytes")
    counters = stats_of(cache)._asdict()
    advice = counters.pop("advice")
    for name, value in (*counters.items(), *(("advice", text) for text in advice)):
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


@contextmanager
def progress_bar() -> Iterator[Callable[[int, int], object]]:
    """Show how far something has come, on stderr."""
    from fastmmap.contrib.requirement import require

    require("rich", "12", extra="diskcache")
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("importing", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def import_diskcache(arguments: argparse.Namespace) -> int:
    """Bring a directory of diskcache into a cache file."""
    from fastmmap.contrib import diskcache

    if arguments.verbose:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
    options = {"cache_size": arguments.cache_size, "page_size": arguments.page_size}
    if not os.path.exists(arguments.file):
        room = diskcache.room_for(arguments.directory)
        options = {**room, **{name: n for name, n in options.items() if n is not None}}
    with (
        progress_bar() as progress,
        FastMmap(arguments.file, **options) as cache,
    ):
        report = diskcache.import_directory(
            cache,
            arguments.directory,
            overwrite=arguments.overwrite,
            progress=progress,
        )
    for name, value in report._asdict().items():
        print(f"{name:15} {value}")
    return FOUND if report.left_out else FINE


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
    for name, function, add_arguments, text, epilog in (
        ("check", check, add_check_arguments, CHECK, EPILOG),
        ("info", info, add_file, str(info.__doc__), EPILOG),
        (
            "import-diskcache",
            import_diskcache,
            add_import_arguments,
            IMPORT,
            IMPORT_EPILOG,
        ),
    ):
        command = commands.add_parser(
            name,
            help=function.__doc__,
            description=text,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(run=function)
        add_arguments(command)
    return result


def add_file(command: argparse.ArgumentParser) -> None:
    """Add what each command takes."""
    command.add_argument("file", metavar="FILE", help="path of the cache file")


def add_check_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``check``."""
    add_file(command)
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


def add_import_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of ``import-diskcache``."""
    command.add_argument(
        "directory", metavar="DIRECTORY", help="of a diskcache Cache or FanoutCache"
    )
    add_file(command)
    command.add_argument(
        "--overwrite", action="store_true", help="replace newer values of the file, too"
    )
    command.add_argument(
        "--verbose", action="store_true", help="name each key that is left out"
    )
    command.add_argument(
        "--cache-size",
        metavar="SIZE",
        help="of a new file, such as 64m (default: what the directory needs)",
    )
    command.add_argument(
        "--page-size",
        metavar="SIZE",
        help="of a new file (default: what the directory needs)",
    )


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run one command; return the exit status."""
    given = parser().parse_args(arguments)
    try:
        status: int = given.run(given)
    except (Error, OSError, ValueError, ImportError) as error:
        print(f"fastmmap: {error}", file=sys.stderr)
        return UNUSABLE
    except KeyboardInterrupt:
        print("fastmmap: interrupted", file=sys.stderr)
        return INTERRUPTED
    return status


if __name__ == "__main__":
    sys.exit(main())
