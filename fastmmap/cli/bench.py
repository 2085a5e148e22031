"""``fastmmap bench``: what a get and a set cost on this machine."""

import argparse
import os
import time
from collections.abc import Callable

from fastmmap import FastMmap
from fastmmap.cli.command import FINE, Command, add_file, add_json
from fastmmap.cli.opening import opened
from fastmmap.cli.output import print_facts, print_json

BENCH = """\
Measure a get and a set of bytes on this machine, in a temporary cache beside FILE,
with the same pages. FILE itself is only read. The temporary file has a unique name
and is removed at the end.
"""
_KEYS, _ROUNDS, _MOST = 10_000, 5, 64 << 20


def _nanoseconds(call: Callable[[str], object], keys: list[str]) -> float:
    """Return what a call costs, of the fastest round of several."""
    spans = []
    for _ in range(_ROUNDS):
        begun = time.perf_counter_ns()
        for key in keys:
            call(key)
        spans.append(time.perf_counter_ns() - begun)
    return min(spans) / len(keys)


def measure(cache: FastMmap, size: int) -> dict[str, float]:
    """Return the cost of operations in nanoseconds; the loop is a part of it."""
    keys, value = [f"key {number}" for number in range(_KEYS)], b"x" * size
    return {
        "set_ns": _nanoseconds(lambda key: cache.set(key, value), keys),
        "get_ns": _nanoseconds(cache.get, keys),
        "miss_ns": _nanoseconds(lambda key: cache.get(f"no {key}"), keys),
    }


def run(arguments: argparse.Namespace) -> int:
    """Say what a get and a set cost on this machine."""
    with opened(arguments.file) as model:
        page_size = model.page_size
        pages = max(min(model.num_pages, _MOST // page_size), 1)
        beside = os.path.dirname(model.share_file)
    path = os.path.join(beside, f".fastmmap-bench-{os.getpid()}-{os.urandom(8).hex()}")
    with FastMmap(
        path, page_size=page_size, num_pages=pages, unlink_on_exit=True
    ) as cache:
        told = {name: round(n, 1) for name, n in measure(cache, arguments.size).items()}
    if arguments.json:
        print_json(told)
    else:
        print_facts((name.removesuffix("_ns"), f"{n} ns") for name, n in told.items())
    return FINE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``bench``."""
    add_file(parser)
    add_json(parser)
    parser.add_argument(
        "--size", type=int, default=64, metavar="BYTES", help="of a value (default: 64)"
    )


COMMANDS = (Command("bench", run, add_arguments, BENCH),)
