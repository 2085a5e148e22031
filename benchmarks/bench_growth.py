"""Do calls get slower as the cache grows?

Random gets and sets of 64-byte values among 1,000 to 10 million entries, beside a
dict of as many; and of 1,000-byte values in full caches of 1 MiB to 4 GiB. The
keys of a measurement are other objects than those that filled the dict, as they
are in a program. What does not fit into the memory that is free is skipped.
Last, 10,000 of the small values in files that have ever more room for them, as in
bench_basic.py: in order, and by the objects that filled the dict.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import loops
import servers
from peers import Place, Store
from runner import Figures, Scale, Skipped, interleaved, progress, report, summaries

from fastmmap import FastMmap

DRAWN = 50_000
CHUNK = 10_000
PER_ENTRY = 160  # bytes of file for an entry of 64 bytes, its key and slot
DICT_ENTRY = 250  # bytes of a dict's entry with its key
LARGE = 1000
FEW = 10_000
SEED = 20240607
SPARE = 1 << 30  # bytes of memory to leave alone

Cases = dict[tuple[str, ...], Callable[[], float]]


def available_bytes(directory: str) -> int:
    """Return how many bytes can be used: of memory, and of the directory."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    fields = dict(line.split(":") for line in lines)
    memory = int(fields["MemAvailable"].split()[0]) << 10
    return min(memory, shutil.disk_usage(directory).free) - SPARE


def chunks(count: int) -> Iterator[list[str]]:
    """Yield the keys of all entries, some at a time."""
    for first in range(0, count, CHUNK):
        yield [f"key-{n}" for n in range(first, min(first + CHUNK, count))]


def drawn_keys(count: int) -> list[str]:
    """Draw random keys."""
    dice = random.Random(SEED)
    return [f"key-{dice.randrange(count)}" for _ in range(min(DRAWN, 10 * count))]


def cases_of(
    name: str, label: str, store: Store, keys: list[str], value: bytes
) -> Cases:
    """Return a get and a set loop over the drawn keys."""
    return {
        (name, label, "get"): partial(loops.calls(store.get, keys), len(keys)),
        (name, label, "set"): partial(loops.stores(store.set, keys, value), len(keys)),
    }


def open_ours(path: str, size: int, value: bytes, count: int) -> FastMmap:
    """Make a cache of so many bytes and fill it with so many entries."""
    options: dict[str, Any] = {
        "entry_size": len(value) + 12,
        "serializer": "raw",
        "reserve": False,
    }
    cache = FastMmap(path, cache_size=size, unlink_on_exit=True, **options)
    for keys in chunks(count):
        cache.set_many(dict.fromkeys(keys, value))
    return cache


def by_entries(place: Place, count: int, rounds: int) -> tuple[Figures, int]:
    """Measure caches of so many small entries; return how many ours holds."""
    ours = open_ours(
        place.file("entries"), max(count * PER_ENTRY, 1 << 20), loops.RAW, count
    )
    data = dict.fromkeys((key for keys in chunks(count) for key in keys), loops.RAW)
    keys, label = drawn_keys(count), str(count)
    plain = Store(data.get, data.__setitem__)
    cases = cases_of("fastmmap", label, Store(ours.get, ours.set), keys, loops.RAW)
    cases |= cases_of("dict", label, plain, keys, loops.RAW)
    samples = interleaved(cases, rounds)
    held = len(ours)
    ours.close()
    return summaries(samples), held


def by_bytes(place: Place, size: int, rounds: int) -> tuple[Figures, int]:
    """Measure a cache of so many bytes that is full."""
    count = size // (LARGE + 64)
    value = bytes(LARGE)
    ours = open_ours(place.file("bytes"), size, value, count)
    keys, label = drawn_keys(count), str(size)
    cases = cases_of("fastmmap", label, Store(ours.get, ours.set), keys, value)
    samples = interleaved(cases, rounds)
    held = len(ours)
    ours.close()
    return summaries(samples), held


def by_room(place: Place, size: int, rounds: int) -> tuple[Figures, int]:
    """Measure a few entries in a cache of so many bytes."""
    keys, label = [key for part in chunks(FEW) for key in part], str(size)
    ours = FastMmap(place.file("room"), cache_size=size, serializer="raw")
    data: dict[str, bytes] = {}
    cases = cases_of("fastmmap", label, Store(ours.get, ours.set), keys, loops.RAW)
    plain = Store(data.get, data.__setitem__)
    cases |= cases_of("dict", label, plain, keys, loops.RAW)
    for key in keys:
        ours.set(key, loops.RAW)
        data[key] = loops.RAW
    samples = interleaved(cases, rounds)
    held = len(ours)
    ours.close()
    return summaries(samples), held


def grow(
    steps: list[int],
    needs: Callable[[int], int],
    step: Callable[[int], tuple[Figures, int]],
    place: Place,
    skipped: Skipped,
    unit: str,
) -> Figures:
    """Measure at each step that there is room for."""
    results: dict[str, Figures] = {}
    held = {}
    for value in steps:
        progress(f"growth: {value:,} {unit}")
        if needs(value) > available_bytes(place.directory):
            skipped.note(f"{value:,} {unit}", "not enough free memory")
            continue
        figures, held[str(value)] = step(value)
        for name, by_label in figures.items():
            results.setdefault(name, {}).update(by_label)
    return {**results, "held": held}


def measure(scale: Scale, skipped: Skipped) -> Figures:
    """Return nanoseconds per call, by number of entries and by bytes."""
    entries = scale.pick(
        [10**n for n in range(3, 8)], [10**3, 10**4, 10**5], [100, 1000]
    )
    sizes = scale.pick([1 << n for n in (20, 24, 28, 30, 32)], [1 << 20], [1 << 20])
    rooms = scale.pick([1 << n for n in (22, 24, 26, 28)], [1 << 22], [1 << 22])
    rounds = scale.pick(9, 5, 2)
    with servers.home() as place:
        small = grow(
            entries,
            lambda count: count * (PER_ENTRY + DICT_ENTRY),
            lambda count: by_entries(place, count, rounds),
            *(place, skipped, "entries"),
        )
        large = grow(
            sizes,
            lambda size: size,
            lambda size: by_bytes(place, size, rounds),
            *(place, skipped, "bytes"),
        )
        few = grow(
            rooms,
            lambda size: size,
            lambda size: by_room(place, size, 4 * rounds),
            *(place, skipped, "bytes of room"),
        )
    parts = {"results": small, "by_bytes": large, "by_room": few}
    return report(scale, skipped, value_bytes=64, **parts)
