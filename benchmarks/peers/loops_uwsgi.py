"""Times uWSGI's cache from inside uWSGI; the requests are those of loops.pl.

Runs on the Python that uWSGI was built with. Answers go to the pipe named by
the argument, since uWSGI itself writes to stdout.
"""

from __future__ import annotations

import sys
from importlib import import_module
from itertools import repeat
from time import perf_counter_ns
from typing import Any

CACHE = "bench"
WORDS = {"get hit": "key", "get miss": "none", "set": "key", "incr": "count"}
uwsgi: Any = import_module("uwsgi")


def loop(operation: str, keys: list[str], value: bytes) -> None:
    """Make one call per key."""
    if operation == "set":
        for key in keys:
            uwsgi.cache_update(key, value, 0, CACHE)
    elif operation == "incr":
        for key in keys:
            uwsgi.cache_inc(key, 1, 0, CACHE)
    else:
        for key in keys:
            uwsgi.cache_get(key, CACHE)


def timed(operation: str, count: int, number: int, size: int) -> float:
    """Return nanoseconds per call."""
    keys = [f"{WORDS[operation]}-{size}-{n}" for n in range(number)]
    rest, value = keys[: count % number], bytes(size)
    start = perf_counter_ns()
    for _ in repeat(None, count // number):
        loop(operation, keys, value)
    loop(operation, rest, value)
    return (perf_counter_ns() - start) / count


def main() -> None:
    """Answer requests until their end."""
    with open(sys.argv[1], "w", buffering=1) as answers:
        print(uwsgi.version.decode(), file=answers)
        for line in sys.stdin:
            operation, *numbers = line.rstrip("\n").split("\t")
            print(timed(operation, *map(int, numbers)), file=answers)


main()
