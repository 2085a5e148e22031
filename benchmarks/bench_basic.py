"""What does a single call cost, by operation?

One process, 10,000 keys, raw values of 64 bytes and a small dict. The table of
README.rst is made of these figures.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from functools import partial

import loops
import peers
import servers
from loops import RECORD, Opened
from runner import Figures, Scale, Skipped, ratios, report, summaries

OURS = "fastmmap"
Samples = Mapping[tuple[str, str], list[float]]
OPERATIONS = ("get hit", "get miss", "set", "incr", "get dict", "set dict")


def pickle_alone(keys: int) -> Opened:
    """Return loops of pickle: the floor under "get dict"."""
    peer = peers.Peer("pickle alone", "", peers.no_store)
    dump = partial(pickle.dumps, protocol=5)
    by_name = {
        "get dict": loops.calls(pickle.loads, [dump(RECORD)] * keys),
        "set dict": loops.calls(dump, [RECORD] * keys),
    }
    return Opened(peer, by_name, peers.nothing)


def multiples(samples: Samples) -> Samples:
    """Return the times as multiples of ours for the same call in the same round."""
    return {
        (name, call): ratios(times, samples[OURS, call])
        for (name, call), times in samples.items()
    }


def measure(scale: Scale, skipped: Skipped) -> Figures:
    """Return nanoseconds per call, by peer and operation."""
    keys, lasting, rounds = scale.pick(
        (10_000, 20e6, 15), (1_000, 2e6, 3), (100, 1e5, 2)
    )
    with servers.place() as place:
        found = peers.available(place, skipped)
        opened = [loops.open_basic(peer, place, keys) for peer in found]
        opened.insert(2, pickle_alone(keys))
        samples = loops.measure(opened, OPERATIONS, keys, lasting, rounds)
        for item in opened:
            item.close()
    return report(
        scale,
        skipped,
        keys=keys,
        value_bytes=len(loops.RAW),
        versions={item.peer.name: item.peer.version for item in opened},
        results=summaries(samples),
        multiples=summaries(multiples(samples)),
    )
