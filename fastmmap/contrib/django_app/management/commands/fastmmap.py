"""``manage.py fastmmap``: the command, on the file of an alias."""

import argparse
from typing import Any

from django.core.cache import caches
from django.core.management.base import BaseCommand, CommandError, CommandParser

from fastmmap.cli import program
from fastmmap.contrib.django import FastMmapCache

#: What goes without a file, or makes one.
_OTHERS = {"list", "completion", "import-diskcache"}


class Command(BaseCommand):
    """The command ``fastmmap``, which is told no file, but an alias of CACHES."""

    help = "Look at the file of a cache: info, top, keys, clear, web, and others."
    requires_system_checks: Any = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the arguments."""
        names = [one.name for one in program.COMMANDS if one.name not in _OTHERS]
        parser.add_argument(
            "--cache", default="default", metavar="ALIAS", help="which one of CACHES"
        )
        parser.add_argument("name", choices=names, metavar="COMMAND", help="what to do")
        parser.add_argument(
            "rest", nargs=argparse.REMAINDER, help="what the command is told besides"
        )

    def handle(self, *_: Any, **options: Any) -> None:
        """Run the command. Raises CommandError, SystemExit."""
        path = _path_of(options["cache"])
        status = program.main([options["name"], path, *options["rest"]])
        if status:
            raise SystemExit(status)


def _path_of(alias: str) -> str:
    backend: Any = caches[alias]
    if not isinstance(backend, FastMmapCache):
        raise CommandError(f"CACHES[{alias!r}] is no cache of fastmmap")
    return backend._opening.share_file
