"""``fastmmap resize``: a file of another size, with what is in it."""

import argparse
from typing import Any

from fastmmap.cli.command import FINE, FOUND, Command, add_file, add_json, seconds
from fastmmap.cli.opening import PATIENCE, opened
from fastmmap.cli.output import print_facts, print_json, size_text
from fastmmap.options import parse_count, parse_size, parse_timeout
from fastmmap.types import ResizeReport

RESIZE = """\
Change the size of a cache in use. Its values move along, values stored meanwhile are
not lost, and everyone who has it open follows. Both files need space until the new
one is complete. Held locks would be lost, so the command refuses then, unless
--break-locks is given.
"""


def _sizes(arguments: argparse.Namespace) -> tuple[int, int, int]:
    """Return the sizes that are wanted; at least one has to be given."""
    sizes = (
        parse_size("--cache-size", arguments.cache_size),
        parse_size("--page-size", arguments.page_size),
        parse_count("--entry-size", arguments.entry_size),
    )
    if not any(sizes):
        raise ValueError("give an option to change, such as --cache-size 256m")
    return sizes


def _resize(arguments: argparse.Namespace) -> tuple[dict[str, Any], ResizeReport]:
    wait_ms = parse_timeout("--wait", arguments.wait)
    sizes = _sizes(arguments)
    with opened(arguments.file, change=True) as cache:
        done = cache._resize(*sizes, arguments.sparse, wait_ms, arguments.break_locks)
        facts = {"page_size": cache.page_size, "num_pages": cache.num_pages}
    return facts, ResizeReport._make((*done[:-1], done[-1] / 1e9))


def _left_out(report: ResizeReport) -> str:
    reasons = [
        (report.no_room, "values found no room"),
        (report.no_page, "values of multi_set, whose page is unknown"),
        (report.locks, "locks were held"),
    ]
    return ", ".join(f"{count} {why}" for count, why in reasons if count) or "nothing"


def run(arguments: argparse.Namespace) -> int:
    """Put a file of another size in the place of a cache."""
    facts, report = _resize(arguments)
    if arguments.json:
        print_json({**facts, **report._asdict()})
    else:
        pages = f"{facts['num_pages']} pages of {size_text(facts['page_size'])}"
        kept = f"{report.values} values, {size_text(report.bytes)}"
        print_facts(
            [
                ("is now", pages),
                ("kept", kept),
                ("left out", _left_out(report)),
                ("stores waited", f"{report.stopped * 1000:.1f} ms"),
            ]
        )
    return FOUND if report.no_room or report.no_page else FINE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``resize``."""
    add_file(parser)
    add_json(parser)
    parser.add_argument(
        "--cache-size", metavar="SIZE", help="bytes of all pages, such as 256m"
    )
    parser.add_argument("--page-size", metavar="SIZE", help="bytes of each page")
    parser.add_argument(
        "--entry-size",
        metavar="BYTES",
        type=int,
        help="expected bytes of key and value",
    )
    parser.add_argument(
        "--sparse", action="store_true", help="do not reserve the space of the file"
    )
    parser.add_argument(
        "--break-locks", action="store_true", help="resize even if locks are held"
    )
    parser.add_argument(
        "--wait",
        type=seconds,
        default=PATIENCE,
        metavar="SECONDS",
        help=f"seconds to wait for pages that are held (default: {PATIENCE:g})",
    )


COMMANDS = (Command("resize", run, add_arguments, RESIZE),)
