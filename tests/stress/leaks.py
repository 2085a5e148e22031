"""Leaks: nothing may be left by any operation, however often it is done.

    python tests/stress/leaks.py [--opens 10000] [--operations 1000000]
                                 [--output FILE]

Builds of Python that count all references are rare. What is compared here,
before and after, in one process that does the same thing over and over: the
reference counts of the objects that every call touches, the number of
objects that the garbage collector knows, the blocks that Python's allocator
has handed out, anonymous memory, descriptors and maps. A reference that is
lost by each call shows in at least one of them.

Exits with 1, and says which operation leaks, if any does.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from support import OPERATIONS, BackingStore

import fastmmap
from fastmmap import KEEP, FastMmap, Store

KEY = "key"
#: Pickled anew by each set, so that its type is referenced each time.
VALUE = {"some": ["value", 1.5]}
WATCHED: tuple[object, ...] = (
    *(None, True, False, KEEP, KEY, VALUE, FastMmap, Store, dict, bytes, tuple),
    *(fastmmap.Entry, fastmmap.Error, fastmmap.LockError, KeyError, TypeError),
)
#: Of each count, for what the interpreter itself keeps meanwhile.
SLACK = 50
MEMORY_SLACK_KB = 1024
#: Of each work. What grew in one may be at rest in the next.
ROUNDS = 3
#: Fewer tell nothing of memory: allocators keep some, sanitizers a lot.
MEMORY_TIMES = 1000


class Count(NamedTuple):
    """What a process has at one moment."""

    references: tuple[int, ...]
    objects: int
    blocks: int
    descriptors: int
    maps: int
    memory_kb: int


def count() -> Count:
    gc.collect()
    with open("/proc/self/status") as status:
        memory = next(line for line in status if line.startswith("RssAnon"))
    with open("/proc/self/maps") as maps:
        # A file that was made here is mapped before it has its name.
        shared = sum(" rw-s " in line for line in maps)
    return Count(
        references=tuple(sys.getrefcount(thing) for thing in WATCHED),
        objects=len(gc.get_objects()),
        blocks=sys.getallocatedblocks(),
        descriptors=len(os.listdir("/proc/self/fd")),
        maps=shared,
        memory_kb=int(memory.split()[1]),
    )


def growth(before: Count, after: Count, times: int) -> list[str]:
    """Name what grew by more than chance."""
    grown = [
        f"references to {thing!r:.60}: {old} -> {new}"
        for thing, old, new in zip(
            WATCHED, before.references, after.references, strict=True
        )
        if new - old > SLACK
    ]
    limits = {"objects": SLACK, "blocks": 2 * SLACK, "descriptors": 0, "maps": 0}
    if times >= MEMORY_TIMES:
        limits["memory_kb"] = MEMORY_SLACK_KB
    for name, limit in limits.items():
        old, new = getattr(before, name), getattr(after, name)
        if new - old > limit:
            grown.append(f"{name}: {old} -> {new}")
    return grown


def measure(work: Callable[[], object], times: int) -> list[str]:
    """Repeat, and name what has grown. The first tenth warms up.

    Caches of the interpreter grow, too, but not each time: a leak does.
    """
    for _ in range(max(times // 10, 20)):
        work()
    grown = ["not measured"]
    rounds = 0
    while grown and rounds < ROUNDS:
        before = count()
        for _ in range(times):
            work()
        grown = growth(before, count(), times)
        rounds += 1
    return grown


# ------------------------------------------------------------------- the works


def fail(*_: object) -> Any:
    raise LookupError


def lock_and_fail(cache: FastMmap) -> None:
    with cache.lock(KEY) as item:
        item.value = VALUE
        fail()


def lock_and_store(cache: FastMmap) -> None:
    with cache.lock(KEY) as item:
        if item.exists and item.expire_on is None and item.modseq is None:
            item.set(item.value or VALUE, expire_time=9)
        else:
            item.remove()


def iterate_halfway(cache: FastMmap) -> None:
    next(iter(cache.items()), None)


MORE: dict[str, Callable[[FastMmap], object]] = {
    "lock": lock_and_store,
    "lock, remove": lambda cache: cache.lock("absent").__enter__().__exit__(None, *E),
    "get_and_set, KEEP": lambda cache: cache.get_and_set(KEY, lambda *_: KEEP),
    "get_and_set, Store": lambda c: c.get_and_set(KEY, lambda *_: Store(VALUE, 9)),
    "get_keys, 2": lambda cache: cache.get_keys(2),
    "iterate halfway": iterate_halfway,
    "modseq": lambda c: (c.remove("m", modseq=7), c.set("m", VALUE, modseq=6)),
    "touch, on": lambda cache: cache.touch(KEY, expire_on=4e9),
    "too large": lambda cache: cache.set(KEY, bytes(70_000)),
    "repr": repr,
    "pickle": lambda cache: cache.__reduce__(),
}
E = (None, None)

FAILURES: dict[str, Callable[[Any], object]] = {
    "bad key": lambda cache: cache.get(1),
    "no such argument": lambda cache: cache.get(KEY, nothing=1),
    "missing argument": lambda cache: cache.set(KEY),
    "surrogate": lambda cache: cache.set("\ud800", 1),
    "surrogate of bytes": lambda cache: cache.set("\udcc3\udca9", 1),
    "bad lifetime": lambda cache: cache.set(KEY, 1, "soon"),
    "bad modseq": lambda cache: cache.set(KEY, 1, modseq=-1),
    "unpicklable": lambda cache: cache.set(KEY, (i for i in "")),
    "too large, item": lambda cache: cache.__setitem__(KEY, bytes(70_000)),
    "missing": lambda cache: cache["missing"],
    "missing, del": lambda cache: cache.__delitem__("missing"),
    "no counter": lambda cache: cache.incr(KEY),
    "overflow": lambda c: (c.set("n", 1), c.incr("n", 2**63 - 1)),
    "delta": lambda cache: cache.incr("n", 2**64),
    "bad keys": lambda cache: cache.get_many([KEY, None]),
    "bad mapping": lambda cache: cache.set_many({KEY: 1, 2: 3}),
    "function": lambda cache: cache.get_and_set(KEY, fail),
    "re-entry": lambda cache: cache.get_and_set(KEY, lambda *_: cache.get(KEY)),
    "block": lock_and_fail,
    "bad mode": lambda cache: cache.get_keys(9),
    "wrong option": lambda cache: FastMmap(cache.share_file, serializer="json"),
    "no such option": lambda cache: FastMmap(cache.share_file, nothing=1),
}


def works(path: str) -> dict[str, Callable[[], object]]:
    """Return everything to be repeated, by name."""
    cache = FastMmap(path, page_size="64k", num_pages=1, lock_timeout=1)
    store = BackingStore()
    tied = FastMmap(
        path + "back.fmm",
        page_size="4k",
        num_pages=1,
        write_action="write_back",
        compressor="zlib",
        cache_not_found=True,
        **store.options(),
    )

    def successful(use: Callable[[FastMmap], object], value: object) -> None:
        cache.set(KEY, value)
        with contextlib.suppress(KeyError):
            use(cache)

    def failing(use: Callable[[FastMmap], object]) -> None:
        with contextlib.suppress(Exception):
            use(cache)
            raise SystemExit(f"{use} does not fail")

    def use_callbacks() -> None:
        tied.get("absent")
        for number in range(12):  # more than a page holds: evictions write back
            tied.set(f"{number}", {"text": "words " * 100, "number": number})
        tied.get("3")
        tied.expire("5")
        tied.remove("5")
        tied.empty()
        store.calls.clear()

    found: dict[str, Callable[[], object]] = {"callbacks": use_callbacks}
    for name, use in {**OPERATIONS, **MORE}.items():
        value = 1 if name in ("incr", "decr") else VALUE
        found[name] = lambda use=use, value=value: successful(use, value)
    for name, use in FAILURES.items():
        found[f"failure: {name}"] = lambda use=use: failing(use)
    return found


def open_and_close(path: str) -> Callable[[], object]:
    def work() -> None:
        with FastMmap(path, page_size="4k", num_pages=2) as cache:
            cache.set(KEY, VALUE)
        FastMmap(path, page_size="4k", num_pages=2).get(KEY)  # left to collection

    return work


def run(folder: str, opens: int, operations: int) -> dict[str, list[str]]:
    """Do all; return what leaks, by name."""
    leaks = {}
    found = works(os.path.join(folder, "cache.fmm"))
    for name, work in found.items():
        leaks[name] = measure(work, operations // len(found))
    again = open_and_close(os.path.join(folder, "again.fmm"))
    leaks["open and close"] = measure(again, opens // 2)
    return {name: grown for name, grown in leaks.items() if grown}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--opens", type=int, default=10_000)
    parser.add_argument("--operations", type=int, default=1_000_000)
    parser.add_argument("--output", metavar="FILE")
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fastmmap-leaks-") as folder:
        leaks = run(folder, options.opens, options.operations)
    seconds = round(time.monotonic() - began)
    for name, grown in leaks.items():
        print(f"{name} leaks:", "; ".join(grown), file=sys.stderr)
    print(
        f"leaks: {options.operations} operations, {options.opens} opens, "
        f"{len(leaks)} leaks, {seconds} s"
    )
    if options.output:
        results = {
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "leaks": len(leaks),
            "opens": options.opens,
            "operations": options.operations,
            "python": sys.version.split()[0],
            "seconds": seconds,
        }
        with open(options.output, "w") as file:
            json.dump(results, file, indent=2, sort_keys=True)
            file.write("\n")
    return 1 if leaks else 0


if __name__ == "__main__":
    sys.exit(main())
