"""What the storm does to a cache, and what must then be true: one class each.

A mode writes through `write`, verifies through `read`, and may settle at a
lane's start how far its killed predecessor got. Keys below `OWNED * lanes`
belong to one lane, the others are written by all.
"""

from __future__ import annotations

from typing import Any

from .values import Origin
from .worker import Worker, calling

OWNED = 12
SHARED = 8
BIG: dict[str, object] = {"page_size": "256k", "num_pages": 16}
SMALL: dict[str, object] = {"page_size": "64k", "num_pages": 3}
RAW: dict[str, object] = {"serializer": "raw"}
PICKLE: dict[str, object] = {"serializer": "pickle"}
ZLIB: dict[str, object] = {"serializer": "raw", "compressor": "zlib"}


def name(key: int) -> str:
    """Return a key as the cache knows it."""
    return f"key-{key}"


class Mode:
    """Plain `set` and `get` where nothing is ever evicted."""

    geometry: dict[str, object] = BIG
    options: dict[str, object] = RAW
    evicts = False
    forks = False
    shared = SHARED
    largest, one_in = 1_000, 16

    def callbacks(self, journal: Any, values: Any) -> dict[str, object]:
        """Return the options of callbacks."""
        return {}

    def keys(self, lanes: int) -> int:
        """Return the number of keys."""
        return OWNED * lanes + self.shared

    def own_keys(self, worker: Worker) -> list[int]:
        """Return the keys that only this worker writes."""
        lanes = worker.journal.lanes
        return list(range(worker.lane, OWNED * lanes, lanes))

    def pick(self, worker: Worker) -> int:
        """Return a key that this worker may write."""
        first = OWNED * worker.journal.lanes
        if self.shared and worker.random.random() < 0.3:
            return first + worker.random.randrange(self.shared)
        return worker.random.choice(self.own_keys(worker))

    def settle(self, worker: Worker) -> None:
        """Begin where a killed predecessor may have stopped."""

    def write(self, worker: Worker) -> None:
        """Write once, into the journal and into the cache."""
        key = self.pick(worker)
        sequence = worker.start(key)
        value = worker.values.make(Origin(key, worker.lane, sequence))
        worker.acknowledge(key, sequence, self.store(worker, key, sequence, value))

    def store(self, worker: Worker, key: int, sequence: int, value: bytes) -> object:
        """Store a value; return whether it was stored."""
        return worker.cache.set(name(key), value)

    def read(self, worker: Worker) -> None:
        """Verify one key."""
        self.verify(worker, worker.random.randrange(worker.journal.keys))

    def verify(self, worker: Worker, key: int) -> None:
        """Read a key and compare it with the journal."""
        before = worker.journal.acked(key)
        value = self.load(worker, key)
        self.judge(worker, key, before, value)

    def load(self, worker: Worker, key: int) -> Any:
        """Return what the cache holds, None for nothing."""
        return worker.cache.get(name(key))

    def judge(self, worker: Worker, key: int, before: list[int], value: Any) -> None:
        """Blame a value that cannot be, `before` being acknowledged before it."""
        if value is None:
            return self.judge_missing(worker, key, before)
        origin = worker.values.origin(key, value)
        if origin is None or origin.lane >= worker.journal.lanes:
            return worker.blame("torn", f"{name(key)}: {value[:64]!r}")
        first = before[origin.lane]
        last = worker.journal.started(key)[origin.lane]
        if not first <= origin.sequence <= last:
            worker.blame("stale", f"{origin}, not in {first}..{last}")

    def judge_missing(self, worker: Worker, key: int, before: list[int]) -> None:
        """Blame a missing value that was acknowledged and cannot be evicted."""
        if any(before) and not self.evicts:
            worker.blame("lost", f"{name(key)}, acknowledged {before}")

    def finish(self, worker: Worker) -> None:
        """Verify every key when all is quiet."""
        for key in range(worker.journal.keys):
            self.verify(worker, key)


class Evict(Mode):
    """A file far too small, and values up to what barely fits."""

    geometry = SMALL
    evicts = True
    largest, one_in = 24_000, 2


class Pickled(Mode):
    """Values that are pickled, in a dict that says the same twice."""

    options = PICKLE

    def store(self, worker: Worker, key: int, sequence: int, value: bytes) -> object:
        packed = {"sequence": sequence, "value": value, "length": len(value)}
        return worker.cache.set(name(key), packed)

    def load(self, worker: Worker, key: int) -> Any:
        packed = worker.cache.get(name(key))
        if packed is None:
            return None
        origin = worker.values.origin(key, packed["value"])
        whole = origin is not None and origin.sequence == packed["sequence"]
        return packed["value"] if whole else b"torn"


class Compressed(Mode):
    """Values that zlib compresses."""

    options = ZLIB


class Forks(Mode):
    """Writers fork while their threads write; the child reads and writes too."""

    forks = True


class Many(Mode):
    """`set_many` and `get_many`, across pages."""

    def write(self, worker: Worker) -> None:
        keys = worker.random.sample(self.own_keys(worker), 3)
        begun = {key: worker.start(key) for key in keys}
        refused = worker.cache.set_many(
            {
                name(key): worker.values.make(Origin(key, worker.lane, sequence))
                for key, sequence in begun.items()
            }
        )
        for key, sequence in begun.items():
            worker.acknowledge(key, sequence, name(key) not in refused)

    def read(self, worker: Worker) -> None:
        keys = worker.random.sample(range(worker.journal.keys), 8)
        before = {key: worker.journal.acked(key) for key in keys}
        found = worker.cache.get_many([name(key) for key in keys])
        for key in keys:
            self.judge(worker, key, before[key], found.get(name(key)))


class Remove(Mode):
    """`set`, `touch` and `remove` in turn: what is removed stays away."""

    shared = 0
    modseqs = False

    def store(self, worker: Worker, key: int, sequence: int, value: bytes) -> object:
        modseq = {"modseq": sequence} if self.modseqs else {}
        if sequence % 4 == 0:
            worker.cache.remove(name(key), **modseq)
            return True
        stored = worker.cache.set(name(key), value, **modseq)
        if not worker.cache.touch(name(key), 3600):
            worker.blame("lost", f"{name(key)} {sequence}, nothing to touch")
        return stored

    def judge(self, worker: Worker, key: int, before: list[int], value: Any) -> None:
        if value is not None and worker.values.origin(key, value) is not None:
            origin = worker.values.origin(key, value)
            if origin is not None and origin.sequence % 4 == 0:
                worker.blame("stale", f"{origin} was a removal")
        super().judge(worker, key, before, value)

    def judge_missing(self, worker: Worker, key: int, before: list[int]) -> None:
        owner = key % worker.journal.lanes
        first, last = before[owner], worker.journal.started(key)[owner]
        if first and all(sequence % 4 for sequence in range(first, last + 1)):
            worker.blame("lost", f"{name(key)}, not removed in {first}..{last}")


class Tombstones(Remove):
    """The same with modseqs: each removal leaves a tombstone."""

    modseqs = True


class Incr(Mode):
    """Counters: no increment is lost and none is done twice."""

    options = PICKLE

    def write(self, worker: Worker) -> None:
        key = self.pick(worker)
        worker.start(key)
        worker.cache.incr(name(key))
        # One more than before: what a killed predecessor began is uncertain.
        worker.acknowledge(key, worker.journal.acked(key)[worker.lane] + 1)

    def settle(self, worker: Worker) -> None:
        for key in self.own_keys(worker):
            self.verify(worker, key)
            worker.journal.settle(key, worker.lane, self.load(worker, key) or 0)

    def judge(self, worker: Worker, key: int, before: list[int], value: Any) -> None:
        first, last = sum(before), sum(worker.journal.started(key))
        if value is None:
            return self.judge_missing(worker, key, before)
        if not isinstance(value, int):
            worker.blame("torn", f"{name(key)}: {value!r}")
        elif not first <= value <= last:
            what = "lost" if value < first else "stale"
            worker.blame(what, f"{name(key)}: {value}, not in {first}..{last}")


class GetAndSet(Mode):
    """Read, modify, write: a dict with a count for each lane, and their sum."""

    options = PICKLE

    def write(self, worker: Worker) -> None:
        key = self.pick(worker)
        sequence = worker.start(key)
        stored = self.change(worker, key)
        worker.acknowledge(key, sequence, stored)

    def change(self, worker: Worker, key: int) -> object:
        return worker.cache.get_and_set(
            name(key), lambda _key, value, _entry: raised(worker, value)
        ).stored

    def settle(self, worker: Worker) -> None:
        for key in range(worker.journal.keys):
            self.verify(worker, key)
            counts = self.counts(worker, self.load(worker, key))
            worker.journal.settle(key, worker.lane, counts[worker.lane])

    def counts(self, worker: Worker, value: Any) -> list[int]:
        return value["counts"] if value else [0] * worker.journal.lanes

    def judge(self, worker: Worker, key: int, before: list[int], value: Any) -> None:
        counts = self.counts(worker, value)
        if value is None:
            return self.judge_missing(worker, key, before)
        if sum(counts) != value["sum"] or len(value["text"]) != value["sum"] % 500:
            return worker.blame("torn", f"{name(key)}: {value}")
        after = worker.journal.started(key)
        for lane, count in enumerate(counts):
            if count < before[lane]:
                worker.blame("lost", f"{name(key)}, {lane}: {count} < {before[lane]}")
            elif count > after[lane]:
                worker.blame("stale", f"{name(key)}, {lane}: {count} > {after[lane]}")


class Lock(GetAndSet):
    """The same in `with cache.lock(key)`."""

    def change(self, worker: Worker, key: int) -> object:
        with worker.cache.lock(name(key)) as item:
            item.value = raised(worker, item.value if item.exists else None)
        return True


def raised(worker: Worker, value: Any) -> dict[str, Any]:
    """Return the dict with this worker's count, and all that follows, raised."""
    counts = list(value["counts"]) if value else [0] * worker.journal.lanes
    counts[worker.lane] += 1
    return {"counts": counts, "sum": sum(counts), "text": "x" * (sum(counts) % 500)}


class WriteBack(Evict):
    """Dirty values: each is in the cache or in the backing store."""

    shared = 0
    largest, one_in = 24_000, 8

    def callbacks(self, journal: Any, values: Any) -> dict[str, object]:
        return {
            "context": (journal, values),
            "read_cb": read_backing,
            "write_cb": write_backing,
            "write_action": "write_back",
        }

    def settle(self, worker: Worker) -> None:
        for key in self.own_keys(worker):
            before = worker.journal.acked(key)
            self.judge(worker, key, before, worker.cache.get(name(key)))

    def load(self, worker: Worker, key: int) -> Any:
        entry = worker.cache.get_entry(name(key))
        return entry and entry.value

    def judge_missing(self, worker: Worker, key: int, before: list[int]) -> None:
        backed = worker.journal.backed(key)
        if backed < max(before):
            worker.blame("lost", f"{name(key)}: {backed} in the store, not {before}")

    def finish(self, worker: Worker) -> None:
        super().finish(worker)
        worker.cache.empty()
        for key in range(worker.journal.keys):
            self.judge_missing(worker, key, worker.journal.acked(key))


def read_backing(context: Any, key: str) -> bytes | None:
    """Return the value of the newest sequence in the backing store."""
    journal, values = context
    number = int(key.partition("-")[2])
    sequence = journal.backed(number)
    origin = Origin(number, number % journal.lanes, sequence)
    return values.make(origin) if sequence else None


def write_backing(context: Any, key: str, value: bytes, expire_on: object) -> None:
    """Note in the backing store which value it was given; a torn one is counted."""
    journal, values = context
    number = int(key.partition("-")[2])
    origin = values.origin(number, value)
    if origin is None:
        journal.count(calling.column, "torn")
    else:
        journal.write_back(number, calling.column, origin.sequence)


class GetOrSet(Mode):
    """Everybody computes what the journal says; an owner changes it and invalidates.

    What was computed before an invalidation that returned is never read after it.
    """

    shared = 0

    def write(self, worker: Worker) -> None:
        key = self.pick(worker)
        sequence = worker.start(key)
        self.invalidate(worker.cache, key)
        worker.acknowledge(key, sequence)
        self.verify(worker, worker.random.randrange(worker.journal.keys))

    def load(self, worker: Worker, key: int) -> Any:
        owner = key % worker.journal.lanes

        def compute() -> bytes:
            sequence = worker.journal.started(key)[owner]
            return worker.values.make(Origin(key, owner, sequence))

        return self.compute(worker.cache, key, compute)

    def invalidate(self, cache: Any, key: int) -> None:
        cache.remove(name(key))

    def compute(self, cache: Any, key: int, func: Any) -> Any:
        return cache.get_or_set(name(key), func)


class Tags(GetOrSet):
    """The same; each value has tags, of which one is its own."""

    def invalidate(self, cache: Any, key: int) -> None:
        cache.invalidate_tag(name(key))

    def compute(self, cache: Any, key: int, func: Any) -> Any:
        return cache.get_or_set(name(key), func, tags=[name(key), "all"])


class Namespaces(GetOrSet):
    """The same; each value is in a namespace of its own, in another."""

    def invalidate(self, cache: Any, key: int) -> None:
        cache.namespace("outer").namespace(name(key)).clear()

    def compute(self, cache: Any, key: int, func: Any) -> Any:
        return cache.namespace("outer").namespace(name(key)).get_or_set("key", func)


MODES: dict[str, Mode] = {
    "set": Mode(),
    "evict": Evict(),
    "pickled": Pickled(),
    "compressed": Compressed(),
    "many": Many(),
    "remove": Remove(),
    "tombstones": Tombstones(),
    "incr": Incr(),
    "get_and_set": GetAndSet(),
    "lock": Lock(),
    "get_or_set": GetOrSet(),
    "tags": Tags(),
    "namespaces": Namespaces(),
    "write_back": WriteBack(),
    "forks": Forks(),
}
