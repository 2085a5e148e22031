"""Objects kept near while others change, evict, clear and are killed: never stale.

Writers number what they store, one more with each change, and say in shared memory
which change has returned. Whoever asked after that gets this one or a later one, or
nothing.
"""

from __future__ import annotations

import gc
import mmap
import os
import random
import signal
import sys
import threading
import time
import weakref
from typing import Any

import pytest
from support import LONG, run_program, run_scenario

from fastmmap import FastMmap

SECONDS = 2 * LONG
KEYS = [f"key {i}" for i in range(5)]
STOP, WRONG, SERVED = range(3)
FIRST = 3  # of the words that say which change has returned
#: A page of few entries: its rings come round all the time.
TINY: dict[str, Any] = {"page_size": 4096, "num_pages": 1, "serializer": "raw"}
#: One that keeps what it has, and one where leaves what is not asked for.
ROOMY: dict[str, Any] = {"page_size": "64k", "num_pages": 2, "serializer": "raw"}
FILES = {"tiny": TINY, "roomy": ROOMY}
NEAR = {"near": "256k"}


def shared_words() -> memoryview:
    """Return numbers that processes share."""
    return memoryview(mmap.mmap(-1, 4096)).cast("Q")


def spawn(work: Any, *arguments: Any) -> int:
    """Run it in a child that ends with it."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work(*arguments)
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    return pid


def change(cache: FastMmap, chance: random.Random, key: str, number: int) -> None:
    """Let a key have that number, or nothing."""
    what = chance.random()
    if what < 0.8:
        # As long as all of them: the same places come again.
        cache.set(key, b"%012d" % number)
    elif what < 0.9:
        cache.remove(key)
    elif what < 0.95:
        cache.set(key, b"%012d" % number, "now")
    else:
        cache.set(key, b"%012d" % number)
        cache.touch(key, "now")


def write(path: str, words: memoryview, seed: int, options: Any) -> None:
    """Change keys, and say so, until it is over; seldom clear, fill, grow."""
    chance = random.Random(seed)
    with FastMmap(path, **options) as cache:
        while not words[STOP]:
            place = chance.randrange(len(KEYS))
            number = words[FIRST + place] + 2  # one may have been killed with 1
            change(cache, chance, KEYS[place], number)
            words[FIRST + place] = number
            if chance.random() < 0.2:
                cache.set(f"other {chance.randrange(40)}", b"x" * chance.randrange(99))
            if chance.random() < 0.002:
                before = list(words[FIRST : FIRST + len(KEYS)])
                cache.clear()
                for i, said in enumerate(before):
                    words[FIRST + i] = said + 1
            if chance.random() < 0.3:
                time.sleep(chance.random() / 2000)


def read(cache: FastMmap, words: memoryview, seed: int) -> None:
    """Look for what is older than it may be."""
    chance = random.Random(seed)
    same: dict[str, object] = {}
    while not words[STOP]:
        place = chance.randrange(len(KEYS))
        key = KEYS[place]
        said = words[FIRST + place]
        value: Any = cache.get_many([key]).get(key) if seed % 5 == 0 else cache.get(key)
        if value is not None:
            words[SERVED] += value is same.get(key)
            words[WRONG] += int(value) < said
        same[key] = value


def read_in_threads(path: str, words: memoryview, seed: int, options: Any) -> None:
    """Read with two threads and one cache."""
    sys.setswitchinterval(1e-4)
    with FastMmap(path, **options, **NEAR) as cache:
        threads = [
            threading.Thread(target=read, args=(cache, words, seed + i))
            for i in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def storm(path: str, kind: str, kills: bool) -> list[int]:
    """Return how many were stale, and how many were certainly near."""
    words, options = shared_words(), FILES[kind]
    FastMmap(path, **options).close()
    readers = [spawn(read_in_threads, path, words, 10 * i, options) for i in (1, 2)]
    until, seed = time.monotonic() + SECONDS, 0
    while time.monotonic() < until:
        seed += 1
        writer = spawn(write, path, words, seed, options)
        time.sleep(0.02 if kills else SECONDS)
        if kills:
            os.kill(writer, signal.SIGKILL)
        else:
            words[STOP] = 1
        os.waitpid(writer, 0)
    words[STOP] = 1
    for pid in readers:
        assert os.waitpid(pid, 0)[1] == 0
    return [words[WRONG], words[SERVED]]


@pytest.mark.parametrize("kills", [False, True], ids=["", "killed"])
@pytest.mark.parametrize("kind", FILES)
def test_nobody_gets_what_was_changed_before_he_asked(
    path: str, kind: str, kills: bool
) -> None:
    stale, served = run_scenario(storm, path, kind, kills)
    assert stale == 0
    assert served > 100


# ------------------------------------------------------------------------- laps


def go_round(path: str) -> list[int]:
    """Store one key so often that its entry lies where it was, by the same word."""
    writer, reader = FastMmap(path, **TINY), FastMmap(path, **TINY, **NEAR)
    stale = near = 0
    for apart in range(1, 60):
        for _ in range(30):
            writer["key"] = b"old"
            kept = [reader["key"] for _ in range(4)]
            near += kept[-1] is kept[-2]
            for _ in range(apart):
                writer["key"] = b"new"
            stale += reader["key"] != b"new"
    return [stale, near]


def test_the_same_place_a_lap_later_is_another_value(path: str) -> None:
    stale, near = run_scenario(go_round, path)
    assert stale == 0
    assert near > 100


# ------------------------------------------------------------------------- forks


def fork_and_go_on(path: str) -> list[object]:
    cache = FastMmap(path, **ROOMY, **NEAR)
    cache["key"], cache["other"] = b"old", b"other"
    for _ in range(4):
        kept, other = cache["key"], cache["other"]

    def work() -> None:
        assert cache["key"] is kept
        cache["key"] = b"new"
        assert cache["key"] == b"new"

    status = os.waitpid(spawn(work), 0)[1]
    return [status, cache["key"], cache["other"] is other]


def test_a_child_goes_on_with_what_is_near_and_its_changes_are_seen(path: str) -> None:
    assert run_scenario(fork_and_go_on, path) == [0, b"new", True]


def leave_alone(path: str) -> list[object]:
    """Let a child whose parent has died go on with what it got."""
    words = shared_words()
    cache = FastMmap(path, **ROOMY, **NEAR)
    cache["key"] = b"old"
    for _ in range(4):
        kept = cache["key"]

    def grandchild() -> None:
        while not words[STOP]:
            time.sleep(0.001)
        words[WRONG] = cache["key"] is not kept

    def child() -> None:
        spawn(grandchild)
        os._exit(0)

    os.waitpid(spawn(child), 0)
    words[STOP], words[WRONG] = 1, 2
    until = time.monotonic() + 20
    while words[WRONG] == 2 and time.monotonic() < until:
        time.sleep(0.001)
    return [words[WRONG]]


def test_a_child_that_was_left_alone_goes_on(path: str) -> None:
    assert run_scenario(leave_alone, path) == [0]


# ---------------------------------------------------------------- memory, threads


class Thing:
    """What nobody else has."""


def make_and_drop(path: str) -> list[object]:
    gone = []
    for _ in range(50):
        with FastMmap(path, copy=False, cache_size="512k") as cache:
            cache["key"] = Thing()
            for _ in range(4):
                thing = cache["key"]
            assert cache["key"] is thing
            gone.append(weakref.ref(thing))
    del thing
    gc.collect()
    return [sum(one() is not None for one in gone)]


def test_nothing_is_kept_of_a_closed_cache(path: str) -> None:
    assert run_scenario(make_and_drop, path) == [0]


@pytest.mark.once  # a sanitizer ends without memory
def test_without_memory_for_it_nothing_is_near(path: str) -> None:
    with FastMmap(path, **ROOMY, near=2**60) as cache:
        cache["key"] = b"some value"
        found = [cache["key"] for _ in range(5)]
    assert found == [b"some value"] * 5
    assert found[-1] is not found[-2]


def meddle(path: str) -> int:
    """Ask, close, open and change one object with many threads."""
    sys.setswitchinterval(1e-5)
    cache = FastMmap(path, copy=False, cache_size="512k")
    until = time.monotonic() + SECONDS
    wrong: list[object] = []

    def ask(seed: int) -> None:
        chance = random.Random(seed)
        while time.monotonic() < until:
            key = f"key {chance.randrange(20)}"
            try:
                value = cache.get(key)
                if value is not None and value != [key] * len(value):
                    wrong.append(value)
                if chance.random() < 0.1:
                    cache[key] = [key] * chance.randrange(1, 9)
                if chance.random() < 0.01:
                    FastMmap(path, init_file=True, cache_size="512k").close()
            except ValueError:  # closed, for now
                pass

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(wrong)


def test_threads_share_a_table_while_the_file_is_replaced(path: str) -> None:
    assert run_scenario(meddle, path) == 0


IN_ANOTHER = """
import sys
sys.path[:0] = {paths!r}
from fastmmap import FastMmap
cache = FastMmap(sys.argv[1] if len(sys.argv) > 1 else {path!r}, near="64k")
cache["key"] = b"some value"
kept = [cache["key"] for _ in range(4)]
assert kept[-1] is kept[-2]
cache.close()
"""


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="another module has them")
def test_sub_interpreters_keep_their_own(path: str) -> None:
    inner = IN_ANOTHER.format(paths=sys.path, path=path)
    source = (
        "import sys, _xxsubinterpreters as low\n"
        "legacy = {'isolated': False} if sys.version_info >= (3, 12) else {}\n"
        f"source = {inner!r}\n"
        "for _ in range(3):\n"
        "    one = low.create(**legacy)\n"
        "    low.run_string(one, source)\n"
        "    low.destroy(one)\n"
        "exec(source)\n"
    )
    done = run_program(source, path)
    assert done.returncode == 0, done.stderr
