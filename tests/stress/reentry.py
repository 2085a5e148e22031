"""Re-entry: threads, and all code that a cache calls, do everything at random.

    python tests/stress/reentry.py [--seconds 60] [--threads 4] [--seed N]
                                   [--output FILE]

Caches of several kinds, namespaces, items, iterators, keys and locks are shared
by all threads. Every piece of user code that a cache runs uses them again, on
the way: callbacks, serializers, compressors, pickling, lifetimes, `__hash__`,
`__eq__`, `__repr__`, `__del__`, iterables, mappings that change, the garbage
collector, log and signal handlers. Objects are closed, initialised again,
opened anew, replaced, pickled and forked meanwhile.

Exceptions are expected, any of them but SystemError. What is looked for is
what no exception tells: broken memory, which is why it is run under
AddressSanitizer (see CONTRIBUTING.rst); a value that is none that was stored;
a page that is damaged at the end, or that stays held.

Exits with 1 when there is any of that. Threads make each run another one; the
seed decides what each of them does.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import gc
import json
import logging
import os
import pickle
import random
import signal
import sys
import tempfile
import threading
import time
import warnings
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

from fastmmap import KEEP, FastMmap, Store, _core
from fastmmap.sync import Event, Lock, RateLimiter, RLock, Semaphore

DEPTH_MAX = 3
#: So much longer than asked for may it take until a hang is certain.
PATIENCE = 120
CHILD_SECONDS = 10
ALARM_SECONDS = 0.01
KEYS = [f"key {number}" for number in range(12)]
#: Small and large ones, and some that do not fit into a page.
SIZES = (0, 8, 100, 700, 1500, 5000, 90_000)
#: Of buffers that are stored beside their pickle.
FRAME_SIZES = (20_000, 90_000, 200_000)
#: Of each cache: what is asked for at opening, beside the path.
KINDS: tuple[dict[str, Any], ...] = (
    {"serializer": "raw", "write_action": "write_back", "page_size": "4k"},
    {"serializer": "raw", "page_size": "64k", "allow_recursive": True},
    {"page_size": "64k", "cache_not_found": True},
    {"page_size": "16k", "write_action": "write_back", "allow_recursive": True},
    {"page_size": "64k", "serializer": "own", "compressor": "own"},
    {"page_size": "64k", "compressor": "zlib", "sigbus_guard": True},
)


def sign(data: bytes) -> bytes:
    """Return bytes that tell whether they are whole."""
    return zlib.crc32(data).to_bytes(4, "little") + data


def make_bytes(chance: random.Random) -> bytes:
    return sign(chance.randbytes(chance.choice(SIZES)))


def is_whole(value: object) -> bool:
    """Tell whether a value is one that was stored."""
    if not isinstance(value, bytes) or len(value) < 4:
        return True
    return zlib.crc32(value[4:]) == int.from_bytes(value[:4], "little")


class World:
    """All that is shared, and what happened to it."""

    def __init__(self, folder: str, seed: int, seconds: float) -> None:
        self.folder = folder
        self.seed = seed
        self.ends = time.monotonic() + seconds
        self.owner = os.getpid()
        self.local = threading.local()
        self.done: Counter[str] = Counter()
        self.raised: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.items: deque[Any] = deque(maxlen=8)
        self.iterators: deque[Any] = deque(maxlen=8)
        self.junk: deque[Any] = deque(maxlen=64)
        self.caches: list[FastMmap] = []
        self.locks: list[Any] = [None] * 4
        self.caches.extend(self.open(kind) for kind in range(len(KINDS)))

    # ------------------------------------------------------------- threads

    @property
    def chance(self) -> random.Random:
        """Return the random numbers of this thread."""
        if not hasattr(self.local, "chance"):
            name = threading.current_thread().name
            self.local.chance = random.Random(f"{self.seed} {name} {os.getpid()}")
            self.local.depth = 0
        chance: random.Random = self.local.chance
        return chance

    def meddle(self, likely: float = 0.3) -> None:
        """Do something at random, perhaps: called by all user code."""
        chance = self.chance
        if self.local.depth >= DEPTH_MAX or chance.random() > likely:
            return
        self.local.depth += 1
        try:
            self.act()
        finally:
            self.local.depth -= 1

    def act(self) -> None:
        """Do one thing, whatever it raises."""
        name = self.chance.choice(NAMES)
        try:
            ACTIONS[name](self)
        except Exception as error:
            if isinstance(error, SystemError):
                self.wrong.append(f"{name}: {error!r}")
            self.raised[type(error).__name__] += 1
        self.done[name] += 1

    def run(self) -> None:
        while time.monotonic() < self.ends:
            self.act()

    # ------------------------------------------------------------- objects

    def open(self, kind: int, **more: Any) -> FastMmap:
        """Open a cache of a kind, with callbacks that meddle."""
        options = {**KINDS[kind], **more}
        for name in ("serializer", "compressor"):
            if options.get(name) == "own":
                options[name] = (self.there, self.back)
        return FastMmap(
            os.path.join(self.folder, f"cache {kind}"),
            num_pages=2,
            lock_timeout=0.05,
            context=self,
            read_cb=World.read,
            write_cb=World.write,
            delete_cb=World.delete,
            unlink_on_exit=False,
            compress_min_size=100,
            **options,
        )

    @property
    def kind(self) -> int:
        return self.chance.randrange(len(KINDS))

    @property
    def cache(self) -> FastMmap:
        """Return a cache, now and then a closed one."""
        kind = self.kind
        if self.caches[kind].closed and self.chance.random() < 0.5:
            self.caches[kind] = self.open(kind)
        return self.caches[kind]

    @property
    def space(self) -> Any:
        """Return a cache, or a namespace in one."""
        cache: Any = self.cache
        for _ in range(self.chance.choice((0, 0, 0, 1, 2))):
            cache = cache.namespace(self.chance.choice("ab"))
        return cache

    @property
    def key(self) -> Any:
        chosen = self.chance.choice(KEYS)
        make = self.chance.choice((str, str, str, str.encode, Key, Bytes.named))
        return Key(chosen, self) if make is Key else make(chosen)

    @property
    def value(self) -> Any:
        """Return a value: whole bytes, or an object that meddles."""
        chance = self.chance
        plain = make_bytes(chance)
        kinds: list[Callable[[], object]] = [
            lambda: plain,
            lambda: plain,
            lambda: Bytes(plain),
            lambda: bytearray(plain),
            lambda: Value(plain, self),
            lambda: Frame(chance, self),
            lambda: [plain, {"key": Value(plain, self)}],
            lambda: chance.choice((None, True, 1, -1, 2**70, 1.5, "text", "\ud800")),
        ]
        made = chance.choice(kinds)()
        if isinstance(made, Bytes):
            made.world = self
        return made

    @property
    def lifetime(self) -> Any:
        choice = self.chance.choice((None, None, None, 0, 5, "now", "10s", -1, "x"))
        return Lifetime.of(self) if choice == 5 else choice

    @property
    def item(self) -> Any:
        """Return an item that others may have, too."""
        if not self.items or self.chance.random() < 0.2:
            self.items.append(self.space.lock(self.key, timeout=0.05))
        return self.chance.choice(self.items)

    # ------------------------------------------------- what caches call

    def read(self, key: object) -> object:
        self.meddle()
        found = self.chance.choice((None, make_bytes(self.chance)))
        return self.chance.choice((found, Store(found, self.lifetime)))

    def write(self, key: object, value: object, expire_on: object) -> None:
        self.meddle()
        self.look(value)
        if self.chance.random() < 0.1:
            raise RuntimeError("the store refuses")

    def delete(self, key: object) -> None:
        self.meddle()

    def there(self, value: object) -> Any:
        self.meddle(0.1)
        data = value if isinstance(value, bytes) else sign(pickle.dumps(value))
        return self.chance.choice((bytes, bytearray, memoryview))(data)

    def back(self, data: bytes, *_: object) -> Any:
        self.meddle(0.1)
        return data

    def look(self, value: object) -> None:
        if not is_whole(value):
            self.wrong.append(f"not whole: {value!r:.60}")


class Value:
    """A value that meddles while it is pickled, unpickled, and when it dies."""

    def __init__(self, data: bytes, world: World | None = None) -> None:
        self.data = data
        self.world = world
        self.cycle = self  # for the garbage collector

    def __reduce__(self) -> tuple[Any, ...]:
        if self.world is not None:
            self.world.meddle(0.1)
        return load_value, (self.data,)

    def __del__(self) -> None:
        world = self.world
        if world is not None and world.owner == os.getpid():
            world.meddle(0.05)


def load_value(data: bytes) -> bytes:
    WORLDS[0].meddle(0.1)
    return data


class Frame:
    """A value with its data in buffers, which stay outside of the pickle."""

    def __init__(self, chance: random.Random, world: World) -> None:
        data = sign(chance.randbytes(chance.choice(FRAME_SIZES)))
        self.parts = memoryview(data)[:9000], memoryview(data)[9000:]
        self.world = world

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        self.world.meddle(0.1)
        return load_frame, tuple(map(pickle.PickleBuffer, self.parts))


def load_frame(*parts: Any) -> bytes:
    WORLDS[0].meddle(0.1)
    return b"".join(parts)


class Bytes(bytes):
    """Bytes that meddle when they die; a raw cache stores them as they are."""

    world: World | None = None

    @classmethod
    def named(cls, name: str) -> Bytes:
        return cls(name.encode())

    def __del__(self) -> None:
        if self.world is not None:
            self.world.meddle(0.05)


class Key(str):
    """A key that meddles while it is compared or shown."""

    world: World

    def __new__(cls, name: str, world: World) -> Key:
        self = super().__new__(cls, name)
        self.world = world
        return self

    def __hash__(self) -> int:
        self.world.meddle(0.1)
        return super().__hash__()

    def __eq__(self, other: object) -> bool:
        self.world.meddle(0.1)
        return super().__eq__(other)

    def __repr__(self) -> str:
        self.world.meddle(0.1)
        return super().__repr__()


class Lifetime(timedelta):
    """A lifetime that meddles while it is read."""

    world: World

    @classmethod
    def of(cls, world: World) -> Lifetime:
        self = cls(seconds=world.chance.choice((0.001, 5, 100)))
        self.world = world
        return self

    def __truediv__(self, other: Any) -> Any:
        self.world.meddle()
        return super().__truediv__(other)


class Changing(dict[Any, Any]):
    """A mapping that changes while it is read."""

    world: World

    def items(self) -> Any:
        for key in list(self):
            self.world.meddle(0.1)
            self.pop(key, None)
            yield key, self.world.value


class Meddling(logging.Handler):
    """What is logged by a cache meddles with it."""

    def emit(self, record: logging.LogRecord) -> None:
        WORLDS[0].meddle(0.1)


# ---------------------------------------------------------------- the actions


def some_keys(world: World) -> Iterator[Any]:
    for _ in range(world.chance.randrange(20)):
        world.meddle(0.05)
        yield world.key


def some_pairs(world: World) -> Any:
    pairs = {key: world.value for key in KEYS[: world.chance.randrange(8)]}
    changing = Changing(pairs)
    changing.world = world
    return world.chance.choice((pairs, changing, list(pairs.items()), iter([(1, 2)])))


def use_block(world: World) -> None:
    with world.item as item:
        use_item(world, item)
        world.meddle()
        use_item(world, item)


def use_item(world: World, item: Any) -> None:
    use = world.chance.randrange(8)
    if use == 0:
        item.remove()
    elif use == 1:
        item.set(world.value, world.lifetime, modseq=world.chance.choice((None, 5)))
    elif use == 2:
        item.value = world.value
    elif use == 3:
        world.look(item.value)
    elif use == 4:
        world.junk.append((item.exists, item.expire_on, item.modseq))
    elif use == 5:
        # What was entered here is forgotten with the item.
        item.__enter__()
    else:
        item.__exit__(*world.chance.choice(((None,) * 3, (OSError, OSError(), None))))


def decide(world: World) -> None:
    def func(key: object, value: object, entry: object) -> Any:
        world.look(value)
        world.meddle()
        new = world.value
        malformed = tuple.__new__(Store, range(world.chance.randrange(7)))
        return world.chance.choice((new, new, KEEP, Store(new, 5), malformed, entry))

    world.junk.append(world.space.get_and_set(world.key, func))


def iterate(world: World) -> None:
    if not world.iterators or world.chance.random() < 0.3:
        space = world.space
        make = world.chance.choice((iter, lambda s: iter(s.items()), lambda s: s))
        world.iterators.append(iter(make(space)))
    iterator = world.chance.choice(world.iterators)
    for _ in range(world.chance.randrange(30)):
        with contextlib.suppress(StopIteration):
            world.junk.append(next(iterator))


def reopen(world: World) -> None:
    kind = world.kind
    cache = world.open(kind, init_file=world.chance.random() < 0.3)
    old, world.caches[kind] = world.caches[kind], cache
    if world.chance.random() < 0.5:
        old.close()


def initialise_again(world: World) -> None:
    kind, chance = world.kind, world.chance
    cache = world.caches[kind]
    what = chance.randrange(5)
    if what == 0:
        FastMmap.__init__(cache, os.path.join(world.folder, f"cache {kind}"))
    elif what == 1:
        _core.Cache.__init__(cache, os.path.join(world.folder, f"cache {kind}"))
    elif what == 2:
        bare = FastMmap.__new__(FastMmap)
        _core.Keyspace.__init__(bare, chance.choice((bare, cache)), "a")
    elif what == 3:
        bare = _core.Keyspace.__new__(_core.Keyspace)
        _core.Keyspace.__init__(bare, chance.choice((bare, cache)), "a")
        world.junk.append(bare.get(world.key))
    else:
        chance.choice((len, list, repr, FastMmap.close))(FastMmap.__new__(FastMmap))


def configure_again(world: World) -> None:
    kind, chance = world.kind, world.chance
    own = "own" in KINDS[kind].values()
    pair = (world.there, world.back) if own else (None, None)
    choose: Any = chance.choice
    world.caches[kind]._configure(
        *pair,
        *pair,
        compress_min_size=100,
        expire_ms=choose((-1, 50)),
        tombstone_ms=-1,
        lock_timeout_ms=50,
        enable_stats=True,
        context=world,
        read_cb=choose((None, World.read, lambda context, key: world.value)),
        write_cb=choose((None, World.write, lambda *_: world.meddle())),
        delete_cb=choose((None, World.delete)),
        cache_not_found=choose((False, True)),
        write_back=choose((False, True)),
        allow_recursive=choose((False, True)),
        near=choose((0, 4096, 1 << 20)),
        share=choose((False, True)),
    )


def fork(world: World) -> None:
    """Let a child do as much, and then leave."""
    if world.owner != os.getpid() or world.chance.random() > 0.02:
        return
    pid = os.fork()
    if pid == 0:
        try:
            # Other threads may have held what a child needs to get on.
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, CHILD_SECONDS)
            for _ in range(20):
                world.act()
        finally:
            os._exit(1 if world.wrong else 0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status == -signal.SIGALRM:
        world.done["children that hung"] += 1
    elif status != 0:
        world.wrong.append(f"a child ended with {status}")


def compute(world: World) -> None:
    def make() -> Any:
        world.meddle()
        return make_bytes(world.chance)

    lease = {"timeout": 0.05, "lease_time": 1}
    world.look(world.space.get_or_set(world.key, make, **lease))


def lease(world: World) -> None:
    space, key, chance = world.space, world.key, world.chance
    taken = _core.Lease(space, key, 50)
    taken.take(chance.random() < 0.3)
    world.junk.append((taken, space._lease_peek(key)))
    taken.store(world.value, None, False, bytes(16 * chance.randrange(14)))
    taken.release()


def make_lock(world: World) -> Any:
    """Return something of fastmmap.sync; all of one name share its leases."""
    kind = world.chance.choice((Lock, RLock, Semaphore))
    size = {"value": 2} if kind is Semaphore else {}
    return kind(
        world.cache, world.chance.choice("lr"), lease_time=1, timeout=0.02, **size
    )


def lock(world: World) -> None:
    """Use one that other threads and callbacks have, too, or make it anew."""
    place = world.chance.randrange(len(world.locks))
    if world.locks[place] is None or world.chance.random() < 0.1:
        world.locks[place] = make_lock(world)
    world.chance.choice(LOCK_USES)(world, world.locks[place])


def use_block_of(world: World, one: Any) -> None:
    with one:
        world.meddle()


def drive(world: World, one: Any) -> None:
    """Step through an awaitable by hand, and perhaps leave it where it is."""
    waits = one.acquire_async(timeout=0.01).__await__()
    for _ in range(world.chance.randrange(4)):
        next(waits)
    world.junk.append(waits)


LOCK_USES: tuple[Callable[[World, Any], object], ...] = (
    lambda w, one: one.acquire(blocking=False),
    lambda w, one: one.acquire(timeout=0.01),
    lambda w, one: one.release(),
    lambda w, one: one.extend(w.chance.choice((None, 1, w.lifetime))),
    lambda w, one: w.junk.append((repr(one), one.locked())),
    lambda w, one: w.junk.append(pickle.loads(pickle.dumps(one))),
    lambda w, one: one.__exit__(None, None, None),
    lambda w, one: one.__init__(w.cache, w.key),
    use_block_of,
    drive,
)


def limit(world: World) -> None:
    RateLimiter(world.cache, "limit", 100).acquire(str(world.key), timeout=0.01)


def event(world: World) -> None:
    one = Event(world.cache, "event")
    world.chance.choice((one.set, one.clear, one.is_set, lambda: one.wait(0.01)))()


def absurd(world: World) -> None:
    """Give what is no key, no pair, no number."""
    space, chance = world.space, world.chance
    odd: Any = chance.choice((None, 1, [], (), object(), {}, "x", -1, 2**80, 1e300))
    chance.choice(
        (
            lambda: space.get(odd),
            lambda: space.set(world.key, world.value, odd),
            lambda: space.set(world.key, world.value, expire_on=odd),
            lambda: space.remove(world.key, modseq=odd),
            lambda: space.get_many(odd),
            lambda: space.set_many(odd),
            lambda: space.multi_set(world.key, odd),
            lambda: space.multi_get(odd, odd),
            lambda: space.set(world.key, world.value, tags=odd),
            lambda: space._read_tags(odd),
            lambda: space._scan(odd),
            lambda: space.lock(world.key, timeout=odd),
            lambda: space.get_and_set(world.key, odd),
            lambda: space.incr(world.key, odd),
        )
    )()


def copy(world: World) -> None:
    clone = pickle.loads(pickle.dumps(world.caches[2]))
    world.junk.append(clone.get(world.key))


def collect(world: World) -> None:
    if world.chance.random() < 0.05:
        gc.collect(world.chance.randrange(2))


def stored(world: World) -> None:
    world.look(world.space.get(world.key))


ACTIONS: dict[str, Callable[[World], object]] = {
    "get": stored,
    "get_entry": lambda w: w.junk.append(w.space.get_entry(w.key)),
    "get and touch": lambda w: w.look(w.space.get(w.key, touch=w.lifetime)),
    "ttl": lambda w: w.space.ttl(w.key),
    "getitem": lambda w: w.look(w.space[w.key]),
    "set": lambda w: w.space.set(w.key, w.value),
    "set for a while": lambda w: w.space.set(w.key, w.value, w.lifetime),
    "set with tags": lambda w: w.space.set(w.key, w.value, tags=[w.key, "tag"]),
    "add": lambda w: w.space.add(w.key, w.value),
    "replace": lambda w: w.space.replace(w.key, w.value),
    "setdefault": lambda w: w.space.setdefault(w.key, w.value),
    "incr": lambda w: w.space.incr(w.key, 1, expire_time=w.lifetime),
    "touch": lambda w: w.space.touch(w.key, w.lifetime),
    "in": lambda w: w.key in w.space,
    "len": lambda w: len(w.space),
    "remove": lambda w: w.space.remove(w.key),
    "tombstone": lambda w: w.space.remove(w.key, modseq=w.chance.randrange(9)),
    "pop": lambda w: w.look(w.space.pop(w.key, None)),
    "get_and_remove": lambda w: w.look(w.space.get_and_remove(w.key).value),
    "expire": lambda w: w.space.expire(w.key),
    "get_many": lambda w: w.space.get_many(some_keys(w)),
    "set_many": lambda w: w.space.set_many(some_pairs(w)),
    "delete_many": lambda w: w.space.delete_many(some_keys(w)),
    "multi_get": lambda w: w.space.multi_get(w.key, some_keys(w)),
    "multi_set": lambda w: w.space.multi_set(w.key, some_pairs(w), w.lifetime),
    "get_keys": lambda w: w.junk.append(w.cache.get_keys(w.chance.randrange(3))),
    "clear": lambda w: w.chance.random() > 0.1 or w.space.clear(),
    "purge": lambda w: w.cache.purge(),
    "empty": lambda w: w.cache.empty(w.chance.random() < 0.5),
    "flush": lambda w: w.cache.flush(),
    "stats": lambda w: w.cache.stats(),
    "get_statistics": lambda w: w.cache.get_statistics(w.chance.random() < 0.5),
    "check": lambda w: w.cache.check(),
    "invalidate_tag": lambda w: w.space.invalidate_tag(w.key),
    "block": use_block,
    "block of another": use_block,
    "item": lambda w: use_item(w, w.item),
    "get_and_set": decide,
    "iterate": iterate,
    "compute": compute,
    "lease": lease,
    "lock": lock,
    "limit": limit,
    "event": event,
    "attempt": lambda w: _core.attempt(w.chance.randrange(2), w.act),
    "absurd": absurd,
    "reopen": reopen,
    "initialise again": initialise_again,
    "configure again": configure_again,
    "detach": lambda w: w.chance.random() > 0.1 or w.cache._detach(),
    "close": lambda w: w.chance.random() > 0.1 or w.cache.close(),
    "copy": copy,
    "fork": fork,
    "collect": collect,
}
NAMES = tuple(ACTIONS)
#: The one world, for what is called without it: loading, logging, signals.
WORLDS: list[World] = []


# --------------------------------------------------------------------- the run


def on_alarm(*_: object) -> None:
    """Meddle, and ask for the next alarm only then: a slow machine gets on."""
    try:
        WORLDS[0].meddle(0.5)
    finally:
        if time.monotonic() < WORLDS[0].ends:
            signal.setitimer(signal.ITIMER_REAL, ALARM_SECONDS)


def is_intact(world: World, kind: int) -> bool:
    """Tell whether a file is sound, and no page of it stays held."""
    world.items.clear()
    path = os.path.join(world.folder, f"cache {kind}")
    own = (bytes, bytes)
    pairs = {name: own for name, value in KINDS[kind].items() if value == "own"}
    with FastMmap(path, lock_timeout=5, unlink_on_exit=False, **pairs) as cache:
        return cache.check().ok


def run(world: World, count: int) -> None:
    """Let threads do everything for as long as it was asked for."""
    WORLDS.append(world)
    gc.set_threshold(100, 5, 5)
    logger = logging.getLogger("fastmmap")
    logger.handlers[:] = [Meddling()]
    logger.propagate = False
    signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, ALARM_SECONDS)
    threads = [
        threading.Thread(target=world.run, name=f"thread {number}")
        for number in range(count - 1)
    ]
    for thread in threads:
        thread.start()
    world.run()  # in the main thread: it hears the signals
    signal.setitimer(signal.ITIMER_REAL, 0)
    for thread in threads:
        thread.join()
    for kind in range(len(KINDS)):
        if not is_intact(world, kind):
            world.wrong.append(f"cache {kind} is damaged")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--output", metavar="FILE")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda unraisable: None
    faulthandler.enable()
    faulthandler.dump_traceback_later(options.seconds + PATIENCE, exit=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fastmmap-reentry-") as folder:
        world = World(folder, options.seed, options.seconds)
        run(world, options.threads)
    hung = world.done.pop("children that hung", 0)
    results = {
        "actions": sum(world.done.values()),
        "children_hung": hung,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "exceptions": sum(world.raised.values()),
        "python": sys.version.split()[0],
        "seconds": round(time.monotonic() - began),
        "seed": options.seed,
        "threads": options.threads,
        "wrong": len(world.wrong),
    }
    print(*sorted(set(world.wrong))[:20], sep="\n", file=sys.stderr)
    print("raised:", *(f"{n} {c}" for n, c in world.raised.most_common()))
    print(
        f"reentry: {results['actions']} actions, {results['exceptions']} exceptions, "
        f"{hung} children hung, {len(world.wrong)} wrong, {results['seconds']} s"
    )
    if options.output:
        with open(options.output, "w") as file:
            json.dump(results, file, indent=2, sort_keys=True)
            file.write("\n")
    sys.stdout.flush()
    # What is left meddles on until the end of the interpreter: not here.
    os._exit(1 if world.wrong else 0)


if __name__ == "__main__":
    sys.exit(main())
