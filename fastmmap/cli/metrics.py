"""``fastmmap metrics``: what a Prometheus scrapes."""

import argparse
import sys
from typing import Any

from fastmmap.advice import stats_of
from fastmmap.cli.command import FINE, FOUND, Command, add_files
from fastmmap.cli.host import survey
from fastmmap.cli.opening import opened
from fastmmap.cli.output import harmless
from fastmmap.errors import Error
from fastmmap.types import Stats

METRICS = """\
Print the metrics of caches in the text format of Prometheus; with --output, replace
a file for the textfile collector of the node exporter. Without FILE, it covers all
caches of this host that it can open. It needs the extra fastmmap[prometheus].
"""


def _stats(path: str) -> Stats:
    with opened(path) as cache:
        return stats_of(cache)


def _read(paths: list[str]) -> dict[str, Stats]:
    """Return the counters of files; say which cannot be read."""
    found = {}
    for path in paths:
        try:
            found[path] = _stats(path)
        except (Error, OSError) as error:
            print(f"fastmmap: left out: {harmless(str(error))}", file=sys.stderr)
    return found


def _registry(found: dict[str, Stats]) -> Any:
    """Return a CollectorRegistry of prometheus_client."""
    from fastmmap.contrib import prometheus

    return prometheus.registry_of(found)


def run(arguments: argparse.Namespace) -> int:
    """Print the metrics of caches for Prometheus."""
    paths = arguments.files or [
        place.path for place in survey().places if not place.reason
    ]
    found = _read(paths)
    registry = _registry(found)
    from prometheus_client import generate_latest, write_to_textfile

    if arguments.output:
        write_to_textfile(arguments.output, registry)
    else:
        print(generate_latest(registry).decode(), end="")
    return FINE if found and len(found) == len(paths) else FOUND


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``metrics``."""
    add_files(parser)
    parser.add_argument(
        "--output", metavar="FILE", help="write to this file, by a rename at the end"
    )


COMMANDS = (Command("metrics", run, add_arguments, METRICS),)
