"""The caches that bench_basic.py compares, each with its timed loops.

A peer has one loop for each operation that it offers. A loop makes `passes`
passes over all keys and returns nanoseconds per call, the loop itself
included. Every file lies in one directory, on tmpfs where there is one.
"""

from __future__ import annotations

import pickle
import subprocess
from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module
from pathlib import Path
from time import perf_counter_ns
from typing import Any, NamedTuple

from fastmmap import FastMmap

KEY_COUNT = 10_000
KEYS = [f"key-{number}" for number in range(KEY_COUNT)]
ABSENT = [f"none-{number}" for number in range(KEY_COUNT)]
COUNTERS = [f"count-{number}" for number in range(KEY_COUNT)]
RAW = bytes(range(64))
RECORD = {"id": 4711, "name": "Ada Lovelace", "tags": ["a", "b"], "score": 0.5}
RECORD_KEYS = [f"record-{number}" for number in range(KEY_COUNT)]
OPERATIONS = ("get hit", "get miss", "set", "incr", "get dict", "set dict")
PERL = Path(__file__).with_name("peer_fastmmap.pl")

Loop = Callable[[int], float]


class Peer(NamedTuple):
    """A cache: its name, its version, its loops, and how to close it."""

    name: str
    version: str
    loops: dict[str, Loop]
    close: Callable[[], object]


class Missing(Exception):
    """A peer is not installed; the message says what to install."""


def per_call(start: int, passes: int) -> float:
    """Return nanoseconds per call since `start`."""
    return (perf_counter_ns() - start) / (passes * KEY_COUNT)


def calls(call: Callable[[Any], object], arguments: Iterable[Any]) -> Loop:
    """Return a loop of ``call(argument)``."""

    def loop(passes: int) -> float:
        start = perf_counter_ns()
        for _ in range(passes):
            for argument in arguments:
                call(argument)
        return per_call(start, passes)

    return loop


def stores(
    call: Callable[[Any, Any], object], keys: Iterable[Any], value: object
) -> Loop:
    """Return a loop of ``call(key, value)``."""

    def loop(passes: int) -> float:
        start = perf_counter_ns()
        for _ in range(passes):
            for key in keys:
                call(key, value)
        return per_call(start, passes)

    return loop


def item_increments(mapping: Any) -> Loop:
    """Return a loop of ``mapping[key] += 1``."""

    def loop(passes: int) -> float:
        start = perf_counter_ns()
        for _ in range(passes):
            for key in COUNTERS:
                mapping[key] += 1
        return per_call(start, passes)

    return loop


def fastmmap_peer(directory: Path) -> Peer:
    """Return the loops of fastmmap: one raw cache and one of pickles."""
    raw = FastMmap(directory / "raw", serializer="raw", cache_size="16m")
    typed = FastMmap(directory / "typed", cache_size="16m")
    loops = {
        "get hit": calls(raw.get, KEYS),
        "get miss": calls(raw.get, ABSENT),
        "set": stores(raw.set, KEYS, RAW),
        "incr": calls(typed.incr, COUNTERS),
        "get dict": calls(typed.get, RECORD_KEYS),
        "set dict": stores(typed.set, RECORD_KEYS, RECORD),
    }

    def close() -> None:
        raw.close()
        typed.close()

    version: str = import_module("fastmmap").__version__
    return Peer("fastmmap", version, loops, close)


def dict_peer(directory: Path) -> Peer:
    """Return the loops of a dict; it holds pickles for the small dicts."""
    data: dict[str, Any] = dict.fromkeys(COUNTERS, 0)
    loads, dumps = pickle.loads, pickle.dumps

    def get_records(passes: int) -> float:
        start = perf_counter_ns()
        for _ in range(passes):
            for key in RECORD_KEYS:
                loads(data[key])
        return per_call(start, passes)

    def set_records(passes: int) -> float:
        start = perf_counter_ns()
        for _ in range(passes):
            for key in RECORD_KEYS:
                data[key] = dumps(RECORD, 5)
        return per_call(start, passes)

    loops = {
        "get hit": calls(data.get, KEYS),
        "get miss": calls(data.get, ABSENT),
        "set": stores(data.__setitem__, KEYS, RAW),
        "incr": item_increments(data),
        "get dict": get_records,
        "set dict": set_records,
    }
    return Peer("dict", "", loops, data.clear)


def pickle_peer(directory: Path) -> Peer:
    """Return the loops of pickle alone: the floor under "get dict"."""
    dump = partial(pickle.dumps, protocol=5)
    loops = {
        "get dict": calls(pickle.loads, [dump(RECORD)] * KEY_COUNT),
        "set dict": calls(dump, [RECORD] * KEY_COUNT),
    }
    return Peer("pickle alone", "", loops, lambda: None)


def cachetools_peer(directory: Path) -> Peer:
    """Return the loops of cachetools.LRUCache, which keeps the objects."""
    cachetools = import_module("cachetools")
    cache = cachetools.LRUCache(maxsize=4 * KEY_COUNT)
    cache.update(dict.fromkeys(COUNTERS, 0))
    loops = {
        "get hit": calls(cache.get, KEYS),
        "get miss": calls(cache.get, ABSENT),
        "set": stores(cache.__setitem__, KEYS, RAW),
        "incr": item_increments(cache),
    }
    return Peer("cachetools", cachetools.__version__, loops, cache.clear)


def diskcache_peer(directory: Path) -> Peer:
    """Return the loops of diskcache.Cache, as it comes."""
    diskcache = import_module("diskcache")
    cache = diskcache.Cache(str(directory / "diskcache"))
    loops = {
        "get hit": calls(cache.get, KEYS),
        "get miss": calls(cache.get, ABSENT),
        "set": stores(cache.set, KEYS, RAW),
        "incr": calls(cache.incr, COUNTERS),
        "get dict": calls(cache.get, RECORD_KEYS),
        "set dict": stores(cache.set, RECORD_KEYS, RECORD),
    }
    return Peer("diskcache", diskcache.__version__, loops, cache.close)


def lmdb_peer(directory: Path) -> Peer:
    """Return the loops of lmdb, a transaction for each call, no sync."""
    lmdb = import_module("lmdb")
    options = {"map_size": 1 << 28, "writemap": True, "sync": False}
    database = lmdb.open(str(directory / "lmdb"), metasync=False, **options)

    def get(key: str) -> Any:
        with database.begin() as transaction:
            return transaction.get(key.encode())

    def store(key: str, value: bytes) -> None:
        with database.begin(write=True) as transaction:
            transaction.put(key.encode(), value)

    def increment(key: str) -> None:
        name = key.encode()
        with database.begin(write=True) as transaction:
            transaction.put(name, b"%d" % (int(transaction.get(name, b"0")) + 1))

    loops = {
        "get hit": calls(get, KEYS),
        "get miss": calls(get, ABSENT),
        "set": stores(store, KEYS, RAW),
        "incr": calls(increment, COUNTERS),
        "get dict": calls(lambda key: pickle.loads(get(key)), RECORD_KEYS),
        "set dict": stores(
            lambda key, record: store(key, pickle.dumps(record, 5)), RECORD_KEYS, RECORD
        ),
    }
    return Peer("lmdb", lmdb.__version__, loops, database.close)


def perl_peer(directory: Path) -> Peer:
    """Return the loops of Perl's Cache::FastMmap, timed inside Perl.

    Raises Missing when Perl or the module is not there.
    """
    command = ["perl", str(PERL), str(directory), str(KEY_COUNT)]
    pipe = subprocess.PIPE
    perl = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
    assert perl.stdin is not None and perl.stdout is not None
    requests, answers = perl.stdin, perl.stdout
    version = answers.readline().strip()
    if not version:
        raise Missing("apt-get install libcache-fastmmap-perl")

    def loop_of(operation: str) -> Loop:
        def loop(passes: int) -> float:
            print(operation, passes, sep="\t", file=requests, flush=True)
            return float(answers.readline())

        return loop

    loops = {operation: loop_of(operation) for operation in OPERATIONS}
    return Peer("Cache::FastMmap", f"{version} (Perl)", loops, perl.communicate)


MAKERS = {
    "fastmmap": fastmmap_peer,
    "dict": dict_peer,
    "pickle alone": pickle_peer,
    "cachetools": cachetools_peer,
    "lmdb": lmdb_peer,
    "Cache::FastMmap": perl_peer,
    "diskcache": diskcache_peer,
}
