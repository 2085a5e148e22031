"""What does a single call cost, by the kind and size of the value?

One process. Raw bytes from 16 B to 256 KiB, and objects as they come: a str, an
int, a small and a large dict, which shared caches pickle.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

import loops
import peers
import servers
from loops import RECORD, Loop, Opened
from peers import Peer, Place
from runner import Figures, Scale, Skipped, report, summaries

SIZES = (16, 64, 256, 1024, 4096, 16384, 65536, 262144)
OBJECTS: dict[str, Any] = {
    "str": "sixty-four characters of plain text, as they are often cached...",
    "int": 1 << 40,
    "small dict": RECORD,
    "large dict": {f"row {n}": {**RECORD, "id": n} for n in range(100)},
}
PLACE = 256 << 20
BYTES = 4 << 20  # of all values of one size together
MOST_KEYS = 500
CALLS = ("get", "set")
TOO_SLOW = {"shared-memory-dict": "each call copies all of its memory, 256 MiB here"}


def key_count(size: int) -> int:
    """Return how many keys share the bytes; they are fewer if they are large."""
    return max(min(BYTES // size, MOST_KEYS), 16)


def raw_loops(store: peers.Store, size: int) -> dict[str, Loop]:
    """Return the loops over raw values of a size."""
    keys = loops.keys_of(f"raw-{size}", key_count(size))
    value = bytes(size)
    store.fill(keys, value)
    return {
        f"get {size}": loops.calls(store.get, keys),
        f"set {size}": loops.stores(store.set, keys, value),
    }


def object_loops(store: peers.Store, name: str) -> dict[str, Loop]:
    """Return the loops over one object."""
    keys = loops.keys_of(name.replace(" ", "-"), MOST_KEYS)
    store.fill(keys, OBJECTS[name])
    return {
        f"get {name}": loops.calls(store.get, keys),
        f"set {name}": loops.stores(store.set, keys, OBJECTS[name]),
    }


def open_driver(peer: Peer, driver: peers.Driver, sizes: list[int]) -> Opened:
    """Return the loops of a program over raw values."""
    found = {}
    for size in sizes:
        keys = key_count(size)
        found[f"set {size}"] = loops.driven(driver, "set", keys, size)
        found[f"get {size}"] = loops.driven(driver, "get hit", keys, size)
    return Opened(peer, found, driver.close)


def open_store(peer: Peer, place: Place, sizes: list[int]) -> Opened:
    """Return the loops of a store in Python, over bytes and over objects."""
    found = {}
    raw = peer.open(place, "raw")
    for size in sizes:
        found.update(raw_loops(raw, size))
    closers = [raw.close]
    try:
        typed = peer.open(place, "typed")
    except peers.Missing:
        return Opened(peer, found, raw.close)
    for name in OBJECTS:
        if not peer.largest or len(pickle.dumps(OBJECTS[name])) <= peer.largest:
            found.update(object_loops(typed, name))
    closers.append(typed.close)
    return Opened(peer, found, lambda: [close() for close in closers])


def open_peer(peer: Peer, place: Place, wanted: Sequence[int]) -> Opened:
    """Return the loops over what the peer can hold."""
    sizes = [size for size in wanted if not peer.largest or size <= peer.largest]
    if peer.drive is not None:
        return open_driver(peer, peer.drive(place), sizes)
    return open_store(peer, place, sizes)


def measure(scale: Scale, skipped: Skipped) -> Figures:
    """Return nanoseconds per call, by peer, operation and value."""
    lasting, rounds = scale.pick((8e6, 7), (5e5, 3), (1e4, 2))
    sizes = scale.pick(SIZES, SIZES[::2], SIZES[1::4])
    operations = [f"{call} {what}" for what in (*sizes, *OBJECTS) for call in CALLS]
    with servers.place(PLACE) as place:
        found = [p for p in peers.available(place, skipped) if p.name not in TOO_SLOW]
        for name, reason in TOO_SLOW.items():
            skipped.note(name, reason)
        opened = [open_peer(peer, place, sizes) for peer in found]
        samples = loops.measure(opened, operations, MOST_KEYS, lasting, rounds)
        for item in opened:
            item.close()
    return report(
        scale,
        skipped,
        versions={peer.name: peer.version for peer in found},
        largest={peer.name: peer.largest for peer in found if peer.largest},
        results=summaries(samples),
    )
