"""``fastmmap clear``, ``purge``: a cache as a whole."""

import argparse

from fastmmap.advice import stats_of
from fastmmap.cli.command import FINE, FOUND, Command, add_file, add_json, add_yes
from fastmmap.cli.opening import opened
from fastmmap.cli.output import confirm, print_json, printable

CLEAR = """\
Drop everything in a cache, for all its users. It asks first, unless --yes is given.
No callback is called: values that were not written back yet are lost.
"""
PURGE = "Drop expired values. No callback is called."


def clear(arguments: argparse.Namespace) -> int:
    """Drop everything in a cache."""
    with opened(arguments.file, change=True) as cache:
        entries = stats_of(cache).entries
        path = printable(cache.share_file)
        if not confirm(f"Drop {entries} entries of {path}?", arguments.yes):
            return FOUND
        cache.clear()
    if arguments.json:
        print_json({"dropped": entries})
    return FINE


def purge(arguments: argparse.Namespace) -> int:
    """Drop what has expired."""
    with opened(arguments.file, change=True) as cache:
        dropped = cache.purge()
    if arguments.json:
        print_json({"dropped": dropped})
    else:
        print(f"{dropped} entries dropped")
    return FINE


def add_purge_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``purge``."""
    add_file(parser)
    add_json(parser)


def add_clear_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``clear``."""
    add_purge_arguments(parser)
    add_yes(parser)


COMMANDS = (
    Command("clear", clear, add_clear_arguments, CLEAR),
    Command("purge", purge, add_purge_arguments, PURGE),
)
