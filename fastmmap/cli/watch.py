"""``fastmmap watch``: a line at each interval, for logs."""

import argparse
import json
import time

from fastmmap.cli.command import FINE, Command, add_file, add_interval, add_json
from fastmmap.cli.opening import opened
from fastmmap.cli.output import percent_text
from fastmmap.cli.rates import RATES, Look, Watch

WATCH = """\
Print a line at each interval: operations per second, the number of entries, and how
full the file is.
"""


def line(look: Look) -> str:
    """Return a look as a line of names and values."""
    moment = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(look.moment))
    rates = (f"{name}={n:.0f}/s" for name, n in zip(RATES, look.rates, strict=True))
    fill = percent_text(look.stats.bytes_live, look.stats.bytes_total)
    ratio = percent_text(look.rates[1], look.rates[0])
    ending = (f"entries={look.stats.entries}", f"fill={fill}", f"hit_ratio={ratio}")
    return " ".join((moment, *rates, *ending)).replace(" %", "%")


def run(arguments: argparse.Namespace) -> int:
    """Print a line at each interval, for logs."""
    with opened(arguments.file) as cache:
        watch = Watch(cache)
        watch.look()
        left = arguments.count
        while left is None or left > 0:
            time.sleep(arguments.interval)
            look = watch.look()
            shown = json.dumps(look.as_json()) if arguments.json else line(look)
            print(shown, flush=True)  # a log is read while it grows
            left = None if left is None else left - 1
    return FINE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``watch``."""
    add_file(parser)
    add_json(parser)
    add_interval(parser, 10)
    parser.add_argument("--count", type=int, metavar="N", help="end after N lines")


COMMANDS = (Command("watch", run, add_arguments, WATCH),)
