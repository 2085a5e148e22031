"""Exceptions at any moment: nothing may be held after one.

    python tests/stress/exceptions.py [--operations 100000] [--seed N]
                                      [--uses lock,...] [--kinds signal,...]
                                      [--output FILE]

Takes and ends locks and computations in each way that there is, and lets an
exception come in the middle of each: from a signal handler, from another thread
(PyThreadState_SetAsyncExc), by the cancellation of a task, and at events of
sys.setprofile and sys.settrace in the package's own code. A second process uses
the same pages and locks meanwhile, so that some have to wait and some releases
find their page busy. After each operation nothing may be left, not for an
instant. `--operations` is the number of exceptions for each use and kind.

Exits with 1, and says what was left by which, if anything was.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import gc
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

import fastmmap
from fastmmap import FastMmap
from fastmmap.sync import Lock, RLock, Semaphore

PACKAGE = os.path.dirname(os.path.abspath(fastmmap.__file__))
#: Seconds within which a signal comes; most operations take less.
SOON = 0.0004
#: Events of the profiler within which one raises.
EVENTS = 25
#: Times that something is done, at most, until the exception comes.
TIMES = 20_000
LEASE_TIME = 3600


class Boom(Exception):
    """What comes in the middle: none of the errors that a value may have."""


class Stop(KeyboardInterrupt):
    """What comes into an event loop, which keeps other exceptions to itself."""


class Range:
    """What is used: locks by name on one page of their own, and some keys."""

    def __init__(self, path: str) -> None:
        self.cache = FastMmap(path, page_size="64k", num_pages=1)
        self.lock = Lock(self.cache, "lock")
        self.rlock = RLock(self.cache, "rlock")
        self.semaphore = Semaphore(self.cache, "semaphore", 2)
        self.held = (self.lock, self.rlock, self.semaphore)
        self.operations = 0  # that were begun
        # Always about to be refreshed.
        self.refreshed = self.cache.memoize(
            60, early=1e9, key=lambda: "refreshed", lease_time=LEASE_TIME
        )(self.compute)
        self.refreshed_async = self.cache.memoize(
            60, early=1e9, key=lambda: "refreshed too", lease_time=LEASE_TIME
        )(self.compute_async)

    def compute(self) -> str:
        return "value"

    async def compute_async(self) -> str:
        await asyncio.sleep(0)
        return "value"

    def left(self) -> list[str]:
        """Return the keys that this process has a lease on."""
        keys = [key for lock in self.held for key in lock._keys]
        keys += ["computed", "computed too", "refreshed", "refreshed too"]
        found = {key: self.cache._lease_peek(key) for key in keys}
        return [key for key, lease in found.items() if lease and lease[0] == ME]


ME = os.getpid()

# ------------------------------------------------------------------------ uses


def use_lock(place: Range) -> None:
    with place.lock:
        pass


def use_new_lock(place: Range) -> None:
    with Lock(place.cache, "lock", timeout=5):
        pass


def use_rlock(place: Range) -> None:
    with place.rlock, RLock(place.cache, "rlock"):
        pass


def use_semaphore(place: Range) -> None:
    with place.semaphore, place.semaphore:
        pass


def use_get_or_set(place: Range) -> None:
    place.cache.get_or_set("computed", place.compute, lease_time=LEASE_TIME)
    place.cache.remove("computed")


def use_memoize(place: Range) -> None:
    place.refreshed()


async def use_lock_async(place: Range) -> None:
    async with place.lock:
        await asyncio.sleep(0)


async def use_rlock_async(place: Range) -> None:
    async with place.rlock, place.rlock:
        await asyncio.sleep(0)


async def use_semaphore_async(place: Range) -> None:
    async with place.semaphore, place.semaphore:
        await asyncio.sleep(0)


async def use_get_or_set_async(place: Range) -> None:
    await place.cache.get_or_set(
        "computed too", place.compute_async, lease_time=LEASE_TIME
    )
    place.cache.remove("computed too")


async def use_memoize_async(place: Range) -> None:
    await place.refreshed_async()


USES: dict[str, Any] = {
    "lock": use_lock,
    "new_lock": use_new_lock,
    "rlock": use_rlock,
    "semaphore": use_semaphore,
    "get_or_set": use_get_or_set,
    "memoize": use_memoize,
}
ASYNC_USES: dict[str, Any] = {
    "lock_async": use_lock_async,
    "rlock_async": use_rlock_async,
    "semaphore_async": use_semaphore_async,
    "get_or_set_async": use_get_or_set_async,
    "memoize_async": use_memoize_async,
}

# ---------------------------------------------------------- ways to be disturbed


class Signals:
    """A timer whose handler raises while it is armed."""

    def __init__(self, what: type[BaseException] = Boom) -> None:
        self.armed, self.what = False, what
        self.before = signal.signal(signal.SIGALRM, self.handle)

    def handle(self, *_: object) -> None:
        if self.armed:
            raise self.what

    def begin(self) -> None:
        self.armed = True
        signal.setitimer(signal.ITIMER_REAL, 1e-6 + random.random() * SOON)

    def end(self) -> None:
        self.armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)

    def close(self) -> None:
        self.end()
        signal.signal(signal.SIGALRM, self.before)


class OtherThread:
    """A thread that raises in this one while it is armed."""

    def __init__(self) -> None:
        self.guard, self.wanted = threading.Lock(), threading.Event()
        self.armed = self.closed = False
        self.target = ctypes.c_ulong(threading.get_ident())
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self) -> None:
        raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
        while self.wanted.wait() and not self.closed:
            self.wanted.clear()
            time.sleep(random.random() * SOON)
            with self.guard:
                if self.armed:
                    raise_in(self.target, ctypes.py_object(Boom))

    def begin(self) -> None:
        self.armed = True
        self.wanted.set()

    def end(self) -> None:
        with self.guard:
            self.armed = False
        for _ in range(100):
            time.sleep(0)  # here it comes, if it is on its way

    def close(self) -> None:
        self.closed = True
        self.wanted.set()
        self.thread.join()


def is_ours(frame: Any) -> bool:
    return bool(frame.f_code.co_filename.startswith(PACKAGE))


class Profiler:
    """sys.setprofile: one of the next calls and returns of the package raises."""

    def begin(self) -> None:
        self.left = random.randrange(EVENTS)
        sys.setprofile(self.see)

    def see(self, frame: Any, event: str, _: object) -> None:
        if is_ours(frame):
            self.left -= 1
            if self.left < 0:
                sys.setprofile(None)
                raise Boom

    def end(self) -> None:
        sys.setprofile(None)

    close = end


class Tracer:
    """sys.settrace: one of the next lines or instructions of the package raises."""

    def begin(self) -> None:
        self.left = random.randrange(4 * EVENTS)
        sys.settrace(self.see)

    def see(self, frame: Any, event: str, _: object) -> Any:
        if not is_ours(frame):
            return None
        frame.f_trace_opcodes = True
        self.left -= 1
        if self.left < 0:
            sys.settrace(None)
            raise Boom
        return self.see

    def end(self) -> None:
        sys.settrace(None)

    close = end


KINDS: dict[str, Callable[[], Any]] = {
    "signal": Signals,
    "thread": OtherThread,
    "profile": Profiler,
    "trace": Tracer,
}

# ------------------------------------------------------------------- operations


def repeat(use: Callable[[Range], object], place: Range) -> None:
    """Do it again and again, until an exception comes."""
    for _ in range(TIMES):
        place.operations += 1
        use(place)


async def repeat_async(use: Any, place: Range) -> None:
    for _ in range(TIMES):
        place.operations += 1
        await use(place)


def disturb(kind: Any, call: Callable[[], object]) -> bool:
    """Make a call and let an exception come into it; tell whether one did."""
    came = False
    try:
        try:
            kind.begin()
            call()
        finally:
            kind.end()
    except (Boom, Stop):
        came = True
    for _ in range(3):  # one may still come on the way out
        try:
            kind.end()
            break
        except (Boom, Stop):
            came = True
    return came


def run_task(use: Any, place: Range, kind: Any) -> bool:
    """The same for a task in a loop of its own."""
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # of tasks that lost their next step
    task = loop.create_task(repeat_async(use, place))
    came = disturb(kind, lambda: loop.run_until_complete(task))
    task.cancel()
    with contextlib.suppress(RuntimeError):  # a loop that was about to stop does
        loop.run_until_complete(asyncio.wait({task}, timeout=0.1))
    lost = not task.done()  # its next step was, with the exception: so is it
    loop.close()
    if lost:
        del task, loop
        gc.collect()
    return came


async def cancel_one(use: Any, place: Range) -> bool:
    """Begin a task and cancel it at one of its steps; tell whether it was."""
    task = asyncio.ensure_future(repeat_async(use, place))
    for _ in range(random.randrange(5)):
        await asyncio.sleep(random.choice((0, 0, 0, 0.0003)))
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return True
    return False


def count_left(place: Range, left: Counter[str], what: str) -> None:
    """Note what is held; the next operation begins with nothing."""
    for key in place.left():
        left[f"{what}: {key}"] += 1
        place.cache.remove(key)


def storm(place: Range, name: str, kind_name: str, operations: int) -> Counter[str]:
    """Disturb a use until so many exceptions have come; return what was left."""
    left: Counter[str] = Counter()
    what, came = f"{name}, {kind_name}", 0
    kind = KINDS[kind_name]() if name in USES else Signals(Stop)
    try:
        while came < operations:
            if name in USES:
                came += disturb(kind, lambda: repeat(USES[name], place))
            else:
                came += run_task(ASYNC_USES[name], place, kind)
            count_left(place, left, what)
    finally:
        kind.close()
    return left


async def storm_of_cancels(place: Range, name: str, operations: int) -> Counter[str]:
    """The same by cancelling."""
    left: Counter[str] = Counter()
    came = 0
    while came < operations:
        came += await cancel_one(ASYNC_USES[name], place)
        count_left(place, left, f"{name}, cancel")
    return left


# ------------------------------------------------------------------ a neighbour


def disturb_pages(path: str) -> None:
    """Use the same page and locks, with pauses, until killed."""
    place = Range(path)
    while os.getppid() == ME:
        with place.cache.lock("other"):
            time.sleep(0.00005)
        place.cache["filler"] = b"x" * random.randrange(2000)
        with place.lock, place.rlock, place.semaphore:
            time.sleep(0.00005)
        place.cache.get_or_set("computed", place.compute)
        place.cache.remove("computed")
        time.sleep(0.002)


@contextlib.contextmanager
def neighbour(path: str) -> Iterator[None]:
    child = os.fork()
    if child == 0:
        try:
            disturb_pages(path)
        finally:
            os._exit(0)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


# ------------------------------------------------------------------------- main


def chosen(wanted: str) -> list[tuple[str, str]]:
    """Return the pairs of use and kind."""
    pairs = [(use, kind) for use in USES for kind in KINDS]
    pairs += [(use, kind) for use in ASYNC_USES for kind in ("cancel", "signal")]
    words = set(filter(None, wanted.split(",")))
    return [pair for pair in pairs if not words or words & {*pair, ":".join(pair)}]


def run(
    path: str, pairs: list[tuple[str, str]], operations: int
) -> tuple[Counter[str], int]:
    """Return what was left, and how many operations were begun."""
    left: Counter[str] = Counter()
    place = Range(path)
    with neighbour(path):
        for use, kind in pairs:
            began = time.monotonic()
            if kind == "cancel":
                found = asyncio.run(storm_of_cancels(place, use, operations))
            else:
                found = storm(place, use, kind, operations)
            left += found
            seconds = time.monotonic() - began
            print(f"{use}, {kind}: {found.total()} left, {seconds:.1f} s", flush=True)
    return left, place.operations


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--operations", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--only", default="", help="uses, kinds, or use:kind")
    parser.add_argument("--output", metavar="FILE")
    options = parser.parse_args()
    random.seed(options.seed)
    pairs, began = chosen(options.only), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fastmmap-exceptions-") as folder:
        left, begun = run(os.path.join(folder, "cache"), pairs, options.operations)
    for what, count in left.items():
        print(f"left {count} times by {what}", file=sys.stderr)
    seconds, total = round(time.monotonic() - began), options.operations * len(pairs)
    print(
        f"exceptions: {total} in {begun} operations of {len(pairs)} storms, "
        f"{left.total()} leases left, {seconds} s, seed {options.seed}"
    )
    if options.output:
        results = {
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "exceptions": total,
            "left": left.total(),
            "operations": begun,
            "python": sys.version.split()[0],
            "seconds": seconds,
            "seed": options.seed,
            "storms": [":".join(pair) for pair in pairs],
        }
        with open(options.output, "w") as file:
            json.dump(results, file, indent=2, sort_keys=True)
            file.write("\n")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
