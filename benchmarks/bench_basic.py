"""Measure single calls against the peers, all in one interleaved run.

One process, 10,000 keys, raw values of 64 bytes and a small dict. Each round
times every operation of every peer, in an order that rotates, so that noise
of the machine meets all alike; the median over the rounds counts. Prints a
table, writes ``benchmarks/results/basic.json`` and the table in README.rst.

Run ``make bench-basic``, or ``python benchmarks/bench_basic.py [--rounds N]
[--no-write]``.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from peers import KEY_COUNT, MAKERS, OPERATIONS, RAW, Missing, Peer
from table import as_text, update_readme

RESULTS = Path(__file__).with_name("results") / "basic.json"
MEASURE_NS = 20_000_000  # one measurement lasts about this long
MAX_PASSES = 100
FILL_FIRST = ("set", "incr", "set dict", "get hit", "get miss", "get dict")

Samples = dict[str, dict[str, list[float]]]


def make_peers(directory: Path) -> tuple[list[Peer], dict[str, str]]:
    """Return the peers that are installed, and why others are left out."""
    peers, skipped = [], {}
    for name, make in MAKERS.items():
        try:
            peers.append(make(directory))
        except (ImportError, Missing) as error:
            skipped[name] = str(error)
            print(f"skipped: {name} ({error})")
    return peers, skipped


def calibrate(peers: list[Peer]) -> dict[tuple[str, str], int]:
    """Fill every cache; return how many passes a measurement takes.

    The first pass does not count: it meets memory that was never touched.
    """
    passes = {}
    for peer in peers:
        for operation in FILL_FIRST:
            if operation in peer.loops:
                loop = peer.loops[operation]
                each = min(loop(1), loop(1), loop(1)) * KEY_COUNT
                wanted = round(MEASURE_NS / each)
                passes[peer.name, operation] = min(max(wanted, 1), MAX_PASSES)
    return passes


def rotations(peers: list[Peer], rounds: int) -> Iterator[list[Peer]]:
    """Yield the peers in a rotated order for each round."""
    for turn in range(rounds):
        cut = turn % len(peers)
        yield peers[cut:] + peers[:cut]


def sample(peer: Peer, operation: str, passes: int) -> float:
    """Return nanoseconds per call, measured once.

    A short loop runs once before it counts, to fetch its data into the
    processor's caches after the other peers have filled them with theirs.
    """
    loop = peer.loops[operation]
    if passes > 1:
        loop(1)
    return loop(passes)


def measure(peers: list[Peer], rounds: int) -> Samples:
    """Return nanoseconds per call: by peer, operation and round."""
    samples: Samples = {peer.name: {op: [] for op in peer.loops} for peer in peers}
    passes = calibrate(peers)
    gc.collect()
    gc.disable()
    for number, order in enumerate(rotations(peers, rounds), start=1):
        print(f"round {number} of {rounds}", flush=True)
        for operation in OPERATIONS:
            for peer in order:
                if operation in peer.loops:
                    taken = sample(peer, operation, passes[peer.name, operation])
                    samples[peer.name][operation].append(taken)
    gc.enable()
    return samples


def summarise(values: list[float]) -> dict[str, float]:
    """Return median, and quartile distance as a part of it."""
    median = statistics.median(values)
    low, _, high = statistics.quantiles(values, n=4)
    return {"ns": round(median, 1), "spread": round((high - low) / median, 3)}


def describe_machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "python": platform.python_version(),
        "system": platform.system() + " " + platform.release().partition("-")[0],
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
    }


def report(peers: list[Peer], skipped: dict[str, str], samples: Samples) -> Any:
    """Return everything measured, in the form of the JSON file."""
    return {
        "machine": describe_machine(),
        "keys": KEY_COUNT,
        "value_bytes": len(RAW),
        "skipped": skipped,
        "versions": {peer.name: peer.version for peer in peers},
        "results": {
            name: {op: summarise(values) for op, values in operations.items()}
            for name, operations in samples.items()
        },
    }


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="at least 2")
    parser.add_argument("--no-write", action="store_true", help="print only")
    arguments = parser.parse_args()
    tmpfs = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=tmpfs) as directory:
        peers, skipped = make_peers(Path(directory))
        samples = measure(peers, arguments.rounds)
        for peer in peers:
            peer.close()
    measured = report(peers, skipped, samples)
    print(as_text(measured))
    if not arguments.no_write:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(measured, indent=1) + "\n")
        update_readme(measured)


if __name__ == "__main__":
    main()
