"""What a worker of the soak does: every operation, on every cache, at random.

A key belongs to one thread of one worker, which alone writes it; all read
it. A value tells its key, its version and a checksum: whoever reads it sees
whether it is whole, and its owner whether it is the last one.
"""

from __future__ import annotations

import mmap
import os
import random
import struct
import sys
import threading
import time
import traceback
import zlib
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

from fastmmap import KEEP, FastMmap, LockError, Store

KEYS = 24  # of each owner in each cache
OWNERS_MAX = 100_000
THREADS = 2
LOCK_TIMEOUT = 30.0  # nobody holds a page as long as that: it would be a hang
RECORD = struct.Struct("<QQ")  # slot, version: what write_cb sends

CACHES: dict[str, dict[str, Any]] = {
    # Room for everything, and what does not fit: no eviction, then some.
    "pickle": {"cache_size": "4m", "enable_stats": True},
    # Tiny pages: every store evicts.
    "raw": {"serializer": "raw", "page_size": "4k", "num_pages": 8},
    "json": {"serializer": "json", "compressor": "zlib", "cache_size": "1m"},
    # Changes that must not be lost; evictions write them back.
    "back": {"page_size": "16k", "num_pages": 4, "write_action": "write_back"},
    # The supervisor replaces this one, or removes it, now and then.
    "replaced": {"cache_size": "256k", "serializer": "raw"},
}


class Mismatch(AssertionError):
    """A value is not what its key says, or not the last one."""


class Board:
    """A file of numbers that all processes share: the last acknowledged
    version of each key of "back", and, in front, whether to stop."""

    def __init__(self, folder: str) -> None:
        path = os.path.join(folder, "board")
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(fd, 8 * (1 + OWNERS_MAX * KEYS))
        self._map = mmap.mmap(fd, 0)
        os.close(fd)
        self.words = memoryview(self._map).cast("Q")

    @property
    def stopped(self) -> bool:
        return self.words[0] != 0

    def stop(self) -> None:
        self.words[0] = 1


class Channel:
    """Where write_cb sends what it was given: a pipe with a name.

    A process opens it once, when it first has something to send.
    """

    _descriptors: ClassVar[dict[str, int]] = {}

    def __init__(self, folder: str) -> None:
        self.path = os.path.join(folder, "written")

    def send(self, slot: int, version: int) -> None:
        if self.path not in self._descriptors:
            fd = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
            if self._descriptors.setdefault(self.path, fd) != fd:
                os.close(fd)  # another thread was first
        os.write(self._descriptors[self.path], RECORD.pack(slot, version))


def slot_of(key: str) -> int:
    owner, number = key.split(":")
    return 1 + int(owner) * KEYS + int(number)


def write_back(channel: Channel, key: Any, value: Any, expire_on: object) -> None:
    verify("back", key, value)
    channel.send(slot_of(key), value["version"])


def read_through(channel: Channel, key: Any) -> None:
    """Find nothing: what was evicted stays a miss."""


def open_cache(folder: str, name: str, **more: Any) -> FastMmap:
    options = {**CACHES[name], "lock_timeout": LOCK_TIMEOUT, **more}
    if name == "back":
        callbacks = {"read_cb": read_through, "write_cb": write_back}
        options |= {"context": Channel(folder), **callbacks}
    options.setdefault("unlink_on_exit", False)
    return FastMmap(os.path.join(folder, name), **options)


# ------------------------------------------------- values that tell their key


def make(name: str, key: str, version: int, length: int) -> Any:
    text = f"{key} {version} " + "x" * length
    check = zlib.crc32(text.encode())
    if CACHES[name].get("serializer") == "raw":
        return f"{check} {text}".encode()
    return {"key": key, "version": version, "length": length, "check": check}


def verify(name: str, key: Any, value: Any) -> int:
    """Return the version of a value; raise Mismatch when it is not whole."""
    try:
        if isinstance(value, bytes):
            check, text = value.decode().split(" ", 1)
            of, number, _ = text.split(" ", 2)
            version = int(number)
        else:
            of, version, length = value["key"], value["version"], value["length"]
            check, text = value["check"], f"{of} {version} " + "x" * length
        whole = of == key and int(check) == zlib.crc32(text.encode())
    except (ValueError, KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise Mismatch(f"{name}: {key!r} holds {value!r:.200}")
    return version


def verify_any(name: str, key: Any, value: Any) -> None:
    """Verify a value of whatever key iteration comes upon."""
    if isinstance(key, bytes):
        if key != b"count" or not isinstance(value, int) or value < 1:
            raise Mismatch(f"{name}: {key!r} holds {value!r:.200}")
    else:
        verify(name, key, value)


# ---------------------------------------------------------------- operations


class Turn(NamedTuple):
    """One thread's view of one cache, for one operation."""

    thread: Owner
    name: str
    cache: FastMmap
    random: random.Random

    def choose(self) -> str:
        return f"{self.thread.owner}:{self.random.randrange(KEYS)}"

    def next_value(self, key: str) -> Any:
        self.thread.version += 1
        length = self.random.choice((0, 20, 150, 400, 900))
        return make(self.name, key, self.thread.version, length)

    def stored(self, key: str, stored: bool) -> None:
        """Note what a store of the last version came to."""
        if stored:
            self.thread.last[self.name, key] = self.thread.version
            if self.name == "back":
                self.thread.board.words[slot_of(key)] = self.thread.version

    def forget(self, key: str) -> None:
        """Before a removal: the key's changes need not be written back."""
        if self.name == "back":
            self.thread.board.words[slot_of(key)] = 0

    def expect(self, key: str, value: Any) -> None:
        """A value of one's own is the last one that was stored, or gone."""
        if value is None:
            return
        version = verify(self.name, key, value)
        last = self.thread.last.get((self.name, key))
        if version != last:
            raise Mismatch(f"{self.name}: {key} is at {version}, not {last}")


def op_set(t: Turn) -> None:
    key = t.choose()
    lifetime = t.random.choice((None, None, 0.05, 100))
    t.stored(key, t.cache.set(key, t.next_value(key), lifetime))


def op_get(t: Turn) -> None:
    key = t.choose()
    t.expect(key, t.cache.get(key))


def op_get_others(t: Turn) -> None:
    key = f"{t.random.randrange(t.thread.owner + 1)}:{t.random.randrange(KEYS)}"
    value = t.cache.get(key)
    if value is not None:
        verify(t.name, key, value)


def op_entry(t: Turn) -> None:
    key = t.choose()
    entry = t.cache.get_entry(key)
    if entry is not None:
        t.expect(key, entry.value)


def op_mapping(t: Turn) -> None:
    key = t.choose()
    value = t.next_value(key)
    t.cache[key] = value
    t.stored(key, True)
    t.expect(key, t.cache.setdefault(key, value))


def op_add_and_replace(t: Turn) -> None:
    key = t.choose()
    act = t.random.choice((t.cache.add, t.cache.replace))
    t.stored(key, act(key, t.next_value(key)))


def op_remove(t: Turn) -> None:
    key = t.choose()
    t.forget(key)
    if t.random.random() < 0.5:
        t.cache.remove(key)
    else:
        t.expect(key, t.cache.get_and_remove(key)[0])


def op_tombstone(t: Turn) -> None:
    key = t.choose()
    t.forget(key)
    t.cache.remove(key, modseq=t.thread.version)
    value = t.next_value(key)
    t.stored(key, t.cache.set(key, value, modseq=t.thread.version))


def op_expire(t: Turn) -> None:
    t.cache.expire(t.choose())


def op_touch(t: Turn) -> None:
    t.cache.touch(t.choose(), t.random.choice((0.05, 60, None)))


def op_get_and_set(t: Turn) -> None:
    key = t.choose()

    def change(key: Any, value: Any, entry: object) -> Any:
        t.expect(key, value)
        if t.random.random() < 0.2:
            return KEEP
        new = t.next_value(key)
        return new if t.random.random() < 0.5 else Store(new, expire_time=50)

    before = t.thread.version
    stored = t.cache.get_and_set(key, change).stored
    t.stored(key, stored and t.thread.version > before)


def op_lock(t: Turn) -> None:
    key = t.choose()
    with t.cache.lock(key) as item:
        t.expect(key, item.value)
        item.value = t.next_value(key)
        try:
            t.cache.remove(key)
        except LockError:
            pass
        else:
            raise Mismatch(f"{t.name}: used inside its own lock()")
    t.stored(key, True)


def op_count(t: Turn) -> None:
    if t.name in ("raw", "replaced", "back"):
        return  # an int is no bytes, and write_back() knows keys of owners only
    if t.cache.incr(b"count", t.random.choice((1, 5))) < 1:
        raise Mismatch(f"{t.name}: the count went below zero")


def op_many(t: Turn) -> None:
    keys = {t.choose() for _ in range(5)}
    for key, value in t.cache.get_many(sorted(keys)).items():
        t.expect(str(key), value)
    for key in keys:
        value = t.next_value(key)
        t.stored(key, not t.cache.set_many({key: value}))
    victim = keys.pop()
    t.forget(victim)
    t.cache.delete_many([victim])


def op_iterate(t: Turn) -> None:
    for key, value in t.cache.items():
        verify_any(t.name, key, value)
    for record in t.cache.get_keys(2):
        verify_any(t.name, record["key"], record["value"])


def op_check(t: Turn) -> None:
    report = t.cache.check()
    if not report.ok:
        raise Mismatch(f"{t.name}: check() found {report.problems}")
    t.cache.stats()
    t.cache.get_statistics()
    len(t.cache)


def op_drop(t: Turn) -> None:
    if t.name == "back":  # the others drop changes without a word
        t.cache.empty(only_expired=t.random.random() < 0.8)
    elif t.random.random() < 0.2:
        t.cache.clear()
    else:
        t.cache.purge()


def op_open(t: Turn) -> None:
    """Open it once more, use it, and close it: or leave that to collection."""
    other = open_cache(t.thread.folder, t.name)
    key = t.choose()
    t.expect(key, other.get(key))
    if t.random.random() < 0.5:
        other.close()


def op_fork(t: Turn) -> None:
    """Read, and store what nobody relies on, in a forked child."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            for _ in range(20):
                op_get_others(t)
                op_touch(t)
            code = 0
        except BaseException:
            report(t.thread.folder)
        finally:
            os._exit(code)
    if os.waitpid(pid, 0)[1] != 0:
        raise Mismatch(f"{t.name}: a forked child failed")


#: How often each, in a thousand.
WEIGHTS: dict[Callable[[Turn], None], int] = {
    op_set: 250,
    op_get: 250,
    op_get_others: 150,
    op_entry: 40,
    op_mapping: 50,
    op_add_and_replace: 40,
    op_remove: 40,
    op_tombstone: 20,
    op_expire: 10,
    op_touch: 20,
    op_get_and_set: 40,
    op_lock: 30,
    op_count: 20,
    op_many: 20,
    op_iterate: 8,
    op_check: 4,
    op_drop: 4,
    op_open: 3,
    op_fork: 1,
}


class Owner:
    """A thread of a worker, and what it has stored."""

    def __init__(self, folder: str, owner: int, seed: int, board: Board) -> None:
        self.folder, self.owner, self.board = folder, owner, board
        self.version = 0
        self.last: dict[tuple[str, str], int] = {}
        self.random = random.Random(seed * OWNERS_MAX + owner)

    def run(self, caches: dict[str, FastMmap]) -> None:
        """Work until the board says stop. A failure ends the whole worker."""
        acts, weights = list(WEIGHTS), list(WEIGHTS.values())
        try:
            while not self.board.stopped:
                for act in self.random.choices(acts, weights, k=100):
                    name = self.random.choice(list(caches))
                    act(Turn(self, name, caches[name], self.random))
        except BaseException:
            report(self.folder)
            os._exit(1)


def report(folder: str) -> None:
    """Leave the exception at hand for the supervisor."""
    path = os.path.join(folder, "failures", f"{os.getpid()}-{time.time_ns()}")
    with open(path, "w") as file:
        traceback.print_exc(file=file)


def work(folder: str, first_owner: int, seed: int) -> None:
    """Be a worker: one object per cache, shared by the threads."""
    try:
        board = Board(folder)
        caches = {name: open_cache(folder, name) for name in CACHES}
    except BaseException:
        report(folder)
        os._exit(1)
    owners = [Owner(folder, first_owner + n, seed, board) for n in range(THREADS)]
    threads = [threading.Thread(target=own.run, args=(caches,)) for own in owners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for cache in caches.values():
        cache.close()
    sys.stdout.flush()
