"""How long do large arrays and data frames take, and who waits for them?

One process. The same array of floats, or frame of floats, ints and text of a few kinds,
is stored and read again in each cache: here, in diskcache and as a result of joblib's
Memory. Beside the time: the longest that another thread stood still, and the memory
that a call takes beyond the value at its worst, in copies of the value.
"""

from __future__ import annotations

import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import servers
from peers import Place
from runner import Figures, Scale, Skipped, interleaved, report, summaries

from fastmmap import FastMmap, __version__

MIB = 1 << 20
SIZES = (1, 10, 50, 200)  # MiB
ROOM = 1 << 30
TICK = 0.0005  # seconds that the other thread sleeps

Call = Callable[[], Any]
Calls = dict[tuple[str, str], Call]


def array(mib: int) -> Any:
    """Return an array of floats."""
    return import_module("numpy").random.default_rng(mib).random(mib * MIB // 8)


def frame(mib: int) -> Any:
    """Return a frame of four columns of floats, one of ints, one of kinds."""
    pandas, numpy = import_module("pandas"), import_module("numpy")
    rows, dice = mib * MIB // 44, numpy.random.default_rng(mib)
    columns = {f"x{n}": dice.random(rows) for n in range(4)}
    columns["n"] = dice.integers(0, 1000, rows)
    codes = dice.integers(0, 3, rows).astype("int8")
    columns["kind"] = pandas.Categorical.from_codes(codes, ["a", "b", "c"])
    return pandas.DataFrame(columns)


KINDS: dict[str, Callable[[int], Any]] = {"array": array, "frame": frame}


def ours(place: Place, value: Any) -> dict[str, Call]:
    """Return the calls of a cache here."""
    path = place.file("frames")
    cache = FastMmap(path, cache_size=ROOM, init_file=True, unlink_on_exit=True)
    return {"set": partial(cache.set, "key", value), "get": partial(cache.get, "key")}


def diskcaches(place: Place, value: Any) -> dict[str, Call]:
    """Return the calls of a diskcache.Cache."""
    diskcache = import_module("diskcache")
    cache = diskcache.Cache(place.file("diskcache"), size_limit=4 * ROOM)
    return {"set": partial(cache.set, "key", value), "get": partial(cache.get, "key")}


def joblibs(place: Place, value: Any) -> dict[str, Call]:
    """Return the calls of a joblib.Memory: a result is stored when it is computed."""
    memory = import_module("joblib").Memory(place.file("joblib"), verbose=0)
    function = memory.cache(lambda key: value)

    def compute() -> Any:
        function.clear(warn=False)
        return function("key")

    return {"set": compute, "get": partial(function, "key")}


PEERS = {"fastmmap": ours, "diskcache": diskcaches, "joblib.Memory": joblibs}


def seconds(call: Call) -> float:
    """Return how long a call takes; what it returns is freed afterwards."""
    start = time.perf_counter()
    found = call()
    taken = time.perf_counter() - start
    del found
    return taken


class Other(threading.Thread):
    """A thread that notes how long it stood still."""

    def __init__(self) -> None:
        super().__init__()
        self.worst, self.ends, self.runs = 0.0, False, threading.Event()

    def run(self) -> None:
        """Sleep a moment, again and again."""
        last = time.perf_counter()
        while not self.ends:
            time.sleep(TICK)
            now = time.perf_counter()
            self.worst, last = max(self.worst, now - last), now
            self.runs.set()


def stall(call: Call) -> float:
    """Return how many seconds another thread stood still, at most, in a call."""
    other = Other()
    other.start()
    other.runs.wait()
    other.worst = 0.0
    found = call()
    other.ends = True
    other.join()
    del found
    return other.worst


def copies(call: Call, size: int) -> float:
    """Return what a call takes of Python's memory at its worst, in sizes."""
    tracemalloc.start()
    found = call()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del found
    return most / size


def open_all(place: Place, skipped: Skipped, value: Any) -> Calls:
    """Return the calls of all caches that are installed, each made once."""
    calls: Calls = {}
    for name, open_one in PEERS.items():
        try:
            found = open_one(place, value)
        except ImportError as error:
            skipped.note(name, error)
            continue
        calls.update({(name, what): call for what, call in found.items()})
    for call in calls.values():
        call()
    return calls


def measure_value(
    scale: Scale, skipped: Skipped, kind: str, mib: int
) -> dict[str, Figures]:
    """Return milliseconds, milliseconds that another thread lost, and copies."""
    rounds = scale.pick(7, 3, 1)
    with servers.home() as place:
        calls = open_all(place, skipped, KINDS[kind](mib))
        taken = interleaved({n: partial(seconds, c) for n, c in calls.items()}, rounds)
        stalls = interleaved({n: partial(stall, c) for n, c in calls.items()}, rounds)
        memory = {name: [copies(call, mib * MIB)] for name, call in calls.items()}
    return {
        "ms": summaries({n: [1e3 * s for s in found] for n, found in taken.items()}),
        "stall": summaries(
            {n: [1e3 * s for s in found] for n, found in stalls.items()}
        ),
        "copies": summaries(memory),
    }


def measure(scale: Scale, skipped: Skipped) -> Figures:
    """Return the figures by kind of value and its size in MiB."""
    sizes = scale.pick(SIZES, SIZES[:3], SIZES[:1])
    try:
        import_module("pandas")
    except ImportError as error:
        sys.exit(f"{error}: pip install -e .[test]")
    results = {
        kind: {str(mib): measure_value(scale, skipped, kind, mib) for mib in sizes}
        for kind in KINDS
    }
    modules = ("diskcache", "joblib", "numpy", "pandas")
    versions = {name: import_module(name).__version__ for name in modules}
    versions["fastmmap"] = __version__
    return report(scale, skipped, versions=versions, results=results)
