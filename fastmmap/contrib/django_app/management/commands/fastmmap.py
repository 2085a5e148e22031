"""``manage.py fastmmap``: the command, on the file of an alias."""

import argparse
import os
from typing import Any

from django.core.cache import caches
from django.core.management.base import BaseCommand, CommandError, CommandParser

from fastmmap.cli import program
from fastmmap.contrib.django import FastMmapCache
from fastmmap.contrib.django_app.checks import is_tiered


class Command(BaseCommand):
    """The command ``fastmmap``, which is told no file, but an alias of CACHES."""

    help = "Inspect the file of a cache: info, top, keys, clear, web, and others."
    requires_system_checks: Any = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the arguments."""
        names = program.ON_ONE_FILE
        parser.add_argument(
            "--cache", default="default", metavar="ALIAS", help="alias in CACHES"
        )
        parser.add_argument(
            "name", choices=names, metavar="COMMAND", help="command to run"
        )
        parser.add_argument(
            "rest", nargs=argparse.REMAINDER, help="arguments of the command"
        )

    def handle(self, *_: Any, **options: Any) -> None:
        """Run the command. Raises CommandError, SystemExit."""
        path = _path_of(options["cache"])
        status = program.main([options["name"], path, *options["rest"]])
        if status:
            raise SystemExit(status)


def _path_of(alias: str) -> str:
    backend: Any = caches[alias]
    if is_tiered(type(backend)):
        return os.fsdecode(backend._options["share_file"])
    if not isinstance(backend, FastMmapCache):
        raise CommandError(f"CACHES[{alias!r}] is not a cache of fastmmap")
    return backend._opening.share_file
