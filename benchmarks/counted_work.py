"""The operations whose instructions are counted: run by instructions.py.

Each runs three times: to warm up, with a short and with a long list of keys. Right
before and right after each run ``os.getppid()`` is called, which nothing else here
does: where valgrind writes down its count and begins anew. Prints what it ran, as
a JSON list of name, calls of the short and calls of the long run.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from typing import Any, NamedTuple

from fastmmap import FastMmap

USUAL = (200, 1200)  # calls of an operation in the two runs that count
FEW = (10, 60)
MANY = (2000, 12000)  # many times round a small cache
KEYS_PER_CALL = 100  # of get_many
#: Where files carry no seals; None: wherever temporary files are.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
RAW = b"x" * 64
SMALL = {"id": 1, "name": "some name", "tags": ["a", "b"], "score": 1.5}

Keys = list[Any]


def keys_of(name: str, count: int) -> Keys:
    """Return keys that occur only once."""
    return [f"{name}:{i:06d}" for i in range(count)]


def lists_of_keys(name: str, count: int) -> Keys:
    """Return what get_many takes, for that many calls."""
    return [keys_of(f"{name} {i}", KEYS_PER_CALL) for i in range(count)]


class Operation(NamedTuple):
    """What is counted, and what has to happen before, for a list of keys."""

    run: Callable[[Keys], None]
    prepare: Callable[[Keys], None]
    calls: tuple[int, int] = USUAL
    make_keys: Callable[[str, int], Keys] = keys_of


def nothing(keys: Keys) -> None:
    """Leave the keys missing."""


def bring_near(cache: FastMmap) -> Callable[[Keys], None]:
    """Return what stores values, and asks for them until they are kept near."""

    def prepare(keys: Keys) -> None:
        for key in keys:
            cache.set(key, RAW)
            for _ in range(4):
                cache.get(key)

    return prepare


def each(call: Callable[[Any], Any]) -> Callable[[Keys], None]:
    """Return the loop that calls with each key."""

    def loop(keys: Keys) -> None:
        for key in keys:
            call(key)

    return loop


def each_with(call: Callable[[Any, Any], Any], value: Any) -> Callable[[Keys], None]:
    """Return the loop that calls with each key and a value."""

    def loop(keys: Keys) -> None:
        for key in keys:
            call(key, value)

    return loop


def operations(
    cache: FastMmap, small: FastMmap, near: FastMmap
) -> dict[str, Operation]:
    """Return what is counted; `small` evicts for each new key, `near` keeps objects."""
    raw = each_with(cache.set, RAW)
    numbers = each_with(cache.set, 1)
    dicts = each_with(cache.set, SMALL)

    def subscript(keys: Keys) -> None:
        for key in keys:
            cache[key]

    def store_all(lists: Keys) -> None:
        for keys in lists:
            raw(keys)

    return {
        "get hit": Operation(each(cache.get), raw),
        "get near": Operation(each(near.get), bring_near(near)),
        "get not near": Operation(each(near.get), each_with(near.set, RAW)),
        "get miss": Operation(each(cache.get), nothing),
        "[] hit": Operation(subscript, raw),
        "exists": Operation(each(cache.exists), raw),
        "set new": Operation(raw, nothing),
        "set over": Operation(raw, raw),
        "set evicting": Operation(each_with(small.set, RAW), nothing, MANY),
        "add": Operation(each_with(cache.add, RAW), nothing),
        "incr": Operation(each(cache.incr), numbers),
        "touch": Operation(each_with(cache.touch, 60), raw),
        "remove": Operation(each(cache.remove), raw),
        "get dict": Operation(each(cache.get), dicts),
        "set dict": Operation(dicts, dicts),
        "get_many of 100": Operation(
            each(cache.get_many), store_all, FEW, lists_of_keys
        ),
    }


def on_disk(cache: FastMmap) -> dict[str, Operation]:
    """Return what is counted of a file that is sealed: it may outlive a boot."""
    raw = each_with(cache.set, RAW)
    return {
        "get hit, disk": Operation(each(cache.get), raw),
        "set over, disk": Operation(raw, raw),
        "incr, disk": Operation(each(cache.incr), each_with(cache.set, 1)),
    }


def count(operation: Operation, keys: Keys) -> None:
    """Run once between two marks."""
    operation.prepare(keys)
    os.getppid()
    operation.run(keys)
    os.getppid()


def run(name: str, operation: Operation) -> tuple[str, int, int]:
    """Run an operation three times; return its name and the calls that count."""
    short, long = operation.calls
    for kind, calls in (("warm", short), ("short", short), ("long", long)):
        count(operation, operation.make_keys(f"{name} {kind}", calls))
    return name, short, long


def main() -> None:
    """Run everything and say what it was."""
    with (
        tempfile.TemporaryDirectory(dir=MEMORY) as directory,
        tempfile.TemporaryDirectory() as disk,
    ):
        cache = FastMmap(f"{directory}/cache", cache_size="32m")
        small = FastMmap(f"{directory}/small", cache_size="128k", num_pages=2)
        near = FastMmap(f"{directory}/near", cache_size="32m", near="4m")
        named = operations(cache, small, near)
        named.update(on_disk(FastMmap(f"{disk}/cache", cache_size="32m")))
        print(json.dumps([run(*each) for each in named.items()]))


if __name__ == "__main__":
    main()
