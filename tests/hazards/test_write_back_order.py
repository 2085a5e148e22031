"""Write-back while others write: the store ends with the newest state.

A store whose first write of a key waits at a gate stands for one that is slow.
What happens behind the gate must not be undone when it opens.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import threading
from collections.abc import Callable
from multiprocessing import get_context
from typing import Any

import pytest
from support import run_scenario

from fastmmap import FastMmap, LockError, LockTimeout
from fastmmap.testing import time_travel

KEY = "key"


class SlowStore(dict[Any, Any]):
    """A store; a write or deletion by the slow object waits for the gate."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.gate = threading.Event(), threading.Event()
        self.calls: list[tuple[object, ...]] = []

    def linger(self, context: object, key: object) -> None:
        if context == "slow" and key == KEY and not self.inside.is_set():
            self.inside.set()
            assert self.gate.wait(20)

    def write(
        self, context: object, key: object, value: object, expire: object
    ) -> None:
        self.linger(context, key)
        self[key] = value
        self.calls.append(("write", key, value))

    def delete(self, context: object, key: object) -> None:
        self.linger(context, key)
        self.pop(key, None)
        self.calls.append(("delete", key))

    def read(self, context: object, key: object) -> object:
        return self.get(key)


class Race:
    """Two objects of one file: a slow one, and one that is quick."""

    def __init__(self, path: str, **options: Any) -> None:
        self.store = SlowStore()
        given: dict[str, Any] = {
            "page_size": "4k",
            "num_pages": 1,
            "unlink_on_exit": False,
            "write_action": "write_back",
            "write_cb": self.store.write,
            "delete_cb": self.store.delete,
            "read_cb": self.store.read,
            "lock_timeout": 0.3,
            **options,
        }
        self.quick = FastMmap(path, context="quick", **given)
        self.slow = FastMmap(path, context="slow", **given)

    def start(self, work: Callable[[Race], object]) -> threading.Thread:
        """Let the slow object work until it stands at the gate."""
        thread = threading.Thread(target=work, args=(self,))
        thread.start()
        assert self.store.inside.wait(20)
        return thread

    def end(self, thread: threading.Thread) -> None:
        """Open the gate, and let everything be written."""
        self.store.gate.set()
        thread.join(20)
        self.quick.flush()


def evict(race: Race) -> None:
    """Store until the key has to be written back."""
    number = 0
    while not race.store.inside.is_set():
        race.slow.set(f"filler {number}", number)
        number += 1


WAYS: dict[str, Callable[[Race], object]] = {
    "flush": lambda race: race.slow.flush(),
    "empty": lambda race: race.slow.empty(),
    "expire": lambda race: race.slow.expire(KEY),
    "evict": evict,
}
CHANGES: dict[str, Callable[[FastMmap], object]] = {
    "set": lambda cache: cache.set(KEY, 2),
    "get_and_set": lambda cache: cache.get_and_set(KEY, lambda *old: 2),
    "incr": lambda cache: cache.incr(KEY),
}
REMOVALS: dict[str, Callable[[FastMmap], object]] = {
    "remove": lambda cache: cache.remove(KEY),
    "pop": lambda cache: cache.pop(KEY),
    "del": lambda cache: cache.__delitem__(KEY),
    "delete_many": lambda cache: cache.delete_many([KEY]),
    "get_and_remove": lambda cache: cache.get_and_remove(KEY),
    "modseq": lambda cache: cache.remove(KEY, modseq=7),
    "item": lambda cache: remove_item(cache),
}


def remove_item(cache: FastMmap) -> None:
    with cache.lock(KEY) as item:
        item.remove()


def change_while_it_is_written(path: str, way: str, change: str) -> tuple[Any, ...]:
    race = Race(path)
    race.quick.set(KEY, 1)
    thread = race.start(WAYS[way])
    CHANGES[change](race.quick)
    race.quick.flush()
    race.end(thread)
    return race.store[KEY], race.quick.get(KEY)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("way", WAYS)
def test_the_store_ends_with_the_newer_value(path: str, way: str, change: str) -> None:
    assert run_scenario(change_while_it_is_written, path, way, change) == (2, 2)


def remove_while_it_is_written(path: str, way: str, removal: str) -> tuple[Any, ...]:
    race = Race(path)
    race.quick.set(KEY, 1)
    thread = race.start(WAYS[way])
    REMOVALS[removal](race.quick)
    between = race.quick.get(KEY)
    race.end(thread)
    return between, race.quick.get(KEY), race.store.calls, race.store.get(KEY)


@pytest.mark.parametrize("removal", REMOVALS)
@pytest.mark.parametrize("way", WAYS)
def test_what_is_removed_while_it_is_written_stays_removed(
    path: str, way: str, removal: str
) -> None:
    found = run_scenario(remove_while_it_is_written, path, way, removal)
    between, after, calls, stored = found
    assert (between, after, stored) == (None, None, None)
    mine = [call for call in calls if call[1] == KEY]
    assert mine == [("write", KEY, 1), ("delete", KEY)]


def set_while_it_is_deleted(path: str) -> tuple[Any, ...]:
    race = Race(path)
    race.quick.set(KEY, 1)
    race.quick.flush()
    thread = race.start(lambda race: race.slow.remove(KEY))
    between = race.quick.get(KEY)
    race.quick.set(KEY, 2)
    race.quick.flush()
    race.end(thread)
    return between, race.store[KEY], race.quick.get(KEY)


def test_a_value_that_is_set_while_the_key_is_deleted_stays(path: str) -> None:
    assert run_scenario(set_while_it_is_deleted, path) == (None, 2, 2)


def remove_what_was_written(path: str) -> tuple[Any, ...]:
    race = Race(path)
    cache = race.quick
    cache.set(KEY, 1)
    cache.flush()
    cache.set(KEY, 2)
    cache.remove(KEY)
    first = cache.get(KEY)
    cache.set(KEY, 3)
    cache.expire(KEY)  # it is in the store alone
    cache.set(KEY, 4)
    cache.remove(KEY)
    return first, cache.get(KEY), dict(race.store)


def test_a_changed_value_that_is_removed_takes_older_versions_along(
    path: str,
) -> None:
    assert run_scenario(remove_what_was_written, path) == (None, None, {})


# ---------------------------------------------------------------- large values


def store_what_does_not_fit(path: str, size: int, way: str) -> tuple[Any, ...]:
    race = Race(path, page_size="64k", num_pages=4)
    cache, big = race.quick, b"x" * size
    cache.set(KEY, "old")
    if way == "set":
        outcome: object = cache.set(KEY, big)
    elif way == "get_and_set":
        outcome = cache.get_and_set(KEY, lambda *old: big).stored
    else:
        try:
            with cache.lock(KEY) as item:
                item.value = big
            outcome = True
        except ValueError:
            outcome = False
    cache.flush()
    stored = len(race.store[KEY])
    cache.empty()
    return outcome, stored, len(race.store[KEY]), len(cache.get(KEY))


@pytest.mark.parametrize("way", ["set", "get_and_set", "lock"])
@pytest.mark.parametrize(("size", "fits"), [(50_000, True), (1 << 20, False)])
def test_a_large_value_is_not_overwritten_by_an_older_one(
    path: str, size: int, fits: bool, way: str
) -> None:
    found = run_scenario(store_what_does_not_fit, path, size, way)
    assert found == (fits, size, size, size)


def store_large_while_it_is_written(path: str, size: int) -> tuple[Any, ...]:
    race = Race(path, page_size="64k", num_pages=4, lock_timeout=None)
    race.quick.set(KEY, "old")
    thread = race.start(WAYS["flush"])
    work = threading.Thread(target=race.quick.set, args=(KEY, b"x" * size))
    work.start()
    work.join(0.2)
    waits = work.is_alive()
    race.end(thread)
    work.join(20)
    race.quick.empty()
    return waits, len(race.store[KEY]), len(race.quick.get(KEY))


@pytest.mark.parametrize("size", [50_000, 1 << 20])
def test_a_large_value_waits_for_whoever_writes_the_older_one(
    path: str, size: int
) -> None:
    found = run_scenario(store_large_while_it_is_written, path, size)
    assert found == (True, size, size)


CONDITIONS: dict[str, Callable[[FastMmap, bytes], object]] = {
    "add": lambda cache, large: cache.add(KEY, large),
    "modseq": lambda cache, large: cache.set(KEY, large, modseq=3),
}


class Stop(BaseException):
    """What is no error of the store."""


def stop_while_a_newer_one_comes(path: str) -> tuple[Any, ...]:
    written: list[object] = []
    others: list[FastMmap] = []

    def write(context: object, key: object, value: Any, expire: object) -> None:
        written.append(value if len(value) < 10 else "large")
        if len(value) > 10:
            others.append(FastMmap(path, write_action="write_back"))
            others[0].set(KEY, "newer")
            raise Stop

    cache = FastMmap(
        path, page_size="64k", num_pages=4, write_action="write_back", write_cb=write
    )
    stopped = False
    try:
        cache.set(KEY, b"x" * 30_000)
    except Stop:
        stopped = True
    return stopped, written, cache.get(KEY)


def test_an_exception_of_write_cb_passes_what_is_written_after_it(path: str) -> None:
    found = run_scenario(stop_while_a_newer_one_comes, path)
    assert found == (True, ["large", "newer"], "newer")


def store_large_in_blocks(path: str) -> tuple[Any, ...]:
    race = Race(path, page_size="64k", num_pages=4, lock_timeout=None)
    race.quick.set(KEY, "old")
    thread = race.start(WAYS["flush"])
    for number in range(400):  # one in 64 has the turn of the slow one
        with race.quick.lock(f"key {number}") as item:
            item.value = b"x" * 30_000
    waited = race.store.gate.is_set()
    race.end(thread)
    return waited, sum(len(race.store[f"key {n}"]) for n in range(400))


def test_a_large_value_in_a_block_does_not_wait_for_other_keys(path: str) -> None:
    found = run_scenario(store_large_in_blocks, path)
    assert found == (False, 400 * 30_000)


def store_large_in_a_block_while_it_is_written(path: str) -> tuple[Any, ...]:
    race = Race(path, page_size="64k", num_pages=4, lock_timeout=None)
    race.quick.set(KEY, "old")
    thread = race.start(WAYS["flush"])
    threading.Timer(1.5, race.store.gate.set).start()
    with race.quick.lock(KEY) as item:
        item.value = b"x" * 30_000
    waited = race.store.gate.is_set()
    race.end(thread)
    return waited, len(race.store[KEY]), len(race.quick.get(KEY))


def test_a_large_value_in_a_block_waits_for_whoever_writes_the_key(path: str) -> None:
    found = run_scenario(store_large_in_a_block_while_it_is_written, path)
    assert found == (True, 30_000, 30_000)


def wait_in_vain_in_a_block(path: str) -> tuple[Any, ...]:
    race = Race(path, page_size="64k", num_pages=4)
    race.quick.set(KEY, "old")
    thread = race.start(WAYS["flush"])
    with (
        pytest.raises(LockTimeout, match="store of key 'key'"),
        race.quick.lock(KEY) as item,
    ):
        item.value = b"x" * 30_000
    race.end(thread)
    return race.store[KEY], race.quick.get(KEY)


def test_a_large_value_in_a_block_that_waited_in_vain_changes_nothing(
    path: str,
) -> None:
    assert run_scenario(wait_in_vain_in_a_block, path) == ("old", "old")


def store_parts_beside_held_pages(path: str) -> tuple[Any, ...]:
    cache = FastMmap(path, page_size="64k", num_pages=8)
    end = threading.Event()
    held: list[threading.Event] = []

    def hold(key: str, inside: threading.Event) -> None:
        with contextlib.suppress(LockTimeout), FastMmap(path).lock(key, timeout=0):
            inside.set()
            end.wait(20)
        inside.set()

    def refuse() -> str:
        with cache.lock(KEY) as item:
            for number in range(100):  # all other pages, most likely
                held.append(threading.Event())
                threading.Thread(target=hold, args=(f"key {number}", held[-1])).start()
                held[-1].wait(20)
            item.value = b"x" * 120_000  # more than its own page takes
        return "stored"

    try:
        outcome = refuse()
    except LockTimeout as error:
        outcome = str(error)
    end.set()
    return "value of key 'key' goes to page" in outcome, cache.get(KEY)


def test_a_part_that_finds_its_page_held_names_the_key(path: str) -> None:
    assert run_scenario(store_parts_beside_held_pages, path) == (True, None)


def refuse_large_while_it_is_written(path: str, way: str, size: int) -> tuple[Any, ...]:
    race = Race(path, page_size="64k", num_pages=4, lock_timeout=None)
    race.quick.set(KEY, "first")
    thread = race.start(WAYS["flush"])
    race.quick.remove(KEY)
    outcome: list[object] = []
    work = threading.Thread(
        target=lambda: outcome.append(CONDITIONS[way](race.quick, b"x" * size))
    )
    work.start()
    work.join(0.2)
    race.quick.set(KEY, 2, modseq=5)
    race.end(thread)
    work.join(20)
    race.quick.flush()
    return outcome, race.store[KEY], race.quick.get(KEY)


@pytest.mark.parametrize("way", CONDITIONS)
@pytest.mark.parametrize("size", [50_000, 1 << 20])
def test_a_large_value_that_is_refused_does_not_reach_the_store(
    path: str, way: str, size: int
) -> None:
    found = run_scenario(refuse_large_while_it_is_written, path, way, size)
    assert found == ([False], 2, 2)


def fail_to_write_a_large_value(path: str, size: int) -> tuple[Any, ...]:
    store: dict[object, object] = {}

    def write(context: object, key: object, value: Any, expire: object) -> None:
        if len(value) > 10:
            raise OSError("no connection")
        store[key] = value

    cache = FastMmap(
        path, page_size="64k", num_pages=4, write_action="write_back", write_cb=write
    )
    cache.set(KEY, "old")
    outcome = cache.set(KEY, b"x" * size)
    found = cache.get(KEY)
    cache.empty()
    return outcome, found, store[KEY]


@pytest.mark.parametrize("size", [50_000, 1 << 20])
def test_a_large_value_that_write_cb_does_not_take_is_refused(
    path: str, size: int
) -> None:
    found = run_scenario(fail_to_write_a_large_value, path, size)
    assert found == (False, "old", "old")


def drop_after_a_removal(path: str, way: str) -> tuple[Any, ...]:
    race = Race(path)
    race.quick.set(KEY, 1, expire_time=0.1)
    thread = race.start(WAYS["flush"])
    race.quick.remove(KEY)
    with time_travel(1):
        getattr(race.quick, way)()
    race.end(thread)
    return race.store.get(KEY), race.quick.get(KEY)


@pytest.mark.parametrize("way", ["clear", "purge", "empty"])
def test_what_drops_everything_forgets_no_removal(path: str, way: str) -> None:
    assert run_scenario(drop_after_a_removal, path, way) == (None, None)


def remove_what_the_cache_does_not_know(path: str, way: str) -> tuple[Any, ...]:
    store: dict[object, object] = {}

    def write(context: object, key: object, value: Any, expire: object) -> None:
        store[key] = value
        if way == "interrupted" and len(value) > 10:
            raise KeyboardInterrupt

    options: dict[str, Any] = {
        "page_size": "64k",
        "num_pages": 4,
        "write_action": "write_back",
        "write_cb": write,
        "read_cb": lambda context, key: store.get(key),
        "delete_cb": lambda context, key: store.pop(key, None),
    }
    cache = FastMmap(path, **options)
    if way == "replaced":
        cache.set(KEY, "old")
        cache.flush()
        cache = FastMmap(path, init_file=True, **options)
    elif way == "interrupted":
        with contextlib.suppress(KeyboardInterrupt):
            cache.set(KEY, b"x" * 50_000)
    else:
        store[KEY] = b"x" * (1 << 20)  # more than the cache keeps
        cache.get(KEY)
    cache.set(KEY, "new")
    cache.remove(KEY)
    return cache.get(KEY), store.get(KEY)


@pytest.mark.parametrize("way", ["replaced", "interrupted", "read"])
def test_a_removal_reaches_a_store_that_knows_more(path: str, way: str) -> None:
    assert run_scenario(remove_what_the_cache_does_not_know, path, way) == (None, None)


# --------------------------------------------------------------- replaced files


def replace_inside_write_cb(path: str) -> tuple[Any, ...]:
    store: dict[object, object] = {}
    made: list[FastMmap] = []
    options: dict[str, Any] = {
        "num_pages": 1,
        "page_size": 4096,
        "write_action": "write_back",
        "unlink_on_exit": False,
    }

    def write(context: object, key: object, value: object, expire: object) -> None:
        store[key] = value
        if not made:
            made.append(FastMmap(path, init_file=True, write_cb=write, **options))
            made[0].set("new", "NEW")

    cache = FastMmap(path, write_cb=write, **options)
    cache.set("old", "OLD")
    cache.flush()
    made[0].empty()
    return (store,)


def test_a_ticket_of_a_replaced_file_marks_nothing_clean(path: str) -> None:
    found = run_scenario(replace_inside_write_cb, path)
    assert found == ({"old": "OLD", "new": "NEW"},)


def replace_by_a_smaller_file(path: str) -> tuple[Any, ...]:
    written: list[object] = []

    def write(context: object, key: object, value: object, expire: object) -> None:
        written.append(key)
        if len(written) == 30:
            FastMmap(path, init_file=True, num_pages=1, page_size=4096).close()

    options: dict[str, Any] = {"write_action": "write_back", "write_cb": write}
    cache = FastMmap(path, num_pages=16, page_size=4096, **options)
    cache.update({f"key {number}": number for number in range(60)})
    cache.flush()
    return len(cache), cache.num_pages


def test_a_walk_over_pages_ends_in_a_smaller_file(path: str) -> None:
    assert run_scenario(replace_by_a_smaller_file, path) == (0, 1)


# ------------------------------------------------------------------- recursion


def change_while_it_is_read(path: str, action: str, change: str) -> tuple[Any, ...]:
    store = {KEY: 1}
    inside, gate = threading.Event(), threading.Event()

    def read(context: object, key: str) -> object:
        found = store.get(key)
        if not inside.is_set():
            inside.set()
            assert gate.wait(20)
        return found

    options: dict[str, Any] = {
        "read_cb": read,
        "write_cb": lambda context, key, value, expire: store.update({key: value}),
        "delete_cb": lambda context, key: store.pop(key, None),
        "write_action": action,
        "allow_recursive": True,
        "cache_size": "1m",
        "unlink_on_exit": False,
    }
    cache, other = FastMmap(path, **options), FastMmap(path, **options)
    thread = threading.Thread(target=cache.get, args=(KEY,))
    thread.start()
    assert inside.wait(20)
    if change == "set":
        other.set(KEY, 2)
    else:
        other.remove(KEY)
    gate.set()
    thread.join(20)
    found = other.get(KEY)
    other.empty()
    return found, store.get(KEY)


@pytest.mark.parametrize("action", ["write_back", "write_through"])
@pytest.mark.parametrize(("change", "wanted"), [("set", 2), ("remove", None)])
def test_what_read_cb_gave_does_not_replace_what_came_meanwhile(
    path: str, action: str, change: str, wanted: object
) -> None:
    found = run_scenario(change_while_it_is_read, path, action, change)
    assert found == (wanted, wanted)


def write_again_inside_write_cb(path: str) -> tuple[Any, ...]:
    calls: list[object] = []

    def write(context: object, key: str, value: int, expire: object) -> None:
        if value < 3:
            cache.set(key, value + 1)
            cache.flush()  # our own write is not over: it is left to it
        calls.append(value)

    cache = FastMmap(
        path,
        write_action="write_back",
        write_cb=write,
        allow_recursive=True,
        cache_size="1m",
        lock_timeout=0.1,
        unlink_on_exit=True,
    )
    cache.set(KEY, 1)
    cache.flush()
    entry = cache.get_entry(KEY)
    return calls, entry and entry.value, entry and entry.dirty


def test_a_key_that_write_cb_changes_is_written_again_after_it(
    path: str,
) -> None:
    assert run_scenario(write_again_inside_write_cb, path) == ([1, 2, 3], 3, False)


# ----------------------------------------------------------------------- forks


def fork_inside_write_cb(path: str) -> tuple[Any, ...]:
    store: dict[object, object] = {}
    children: list[int] = []

    def write(context: object, key: object, value: object, expire: object) -> None:
        store[key] = value
        children.append(os.fork())

    options: dict[str, Any] = {"write_action": "write_back", "write_cb": write}
    cache = FastMmap(path, cache_size="1m", unlink_on_exit=False, **options)
    cache.set(KEY, 1)
    try:
        cache.flush()
    except LockError:
        os._exit(7 if children[-1] == 0 else 8)
    if children[-1] == 0:
        os._exit(9)
    status = os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1])
    entry = cache.get_entry(KEY)
    return status, entry and entry.dirty


def test_a_child_that_write_cb_forked_gets_an_error(path: str) -> None:
    assert run_scenario(fork_inside_write_cb, path) == (7, False)


def test_a_mark_that_there_is_no_value_is_taken_without_a_trace(path: str) -> None:
    store = SlowStore()
    with FastMmap(
        path,
        context="quick",
        read_cb=store.read,
        write_cb=store.write,
        delete_cb=store.delete,
        write_action="write_back",
        cache_not_found=True,
    ) as cache:
        assert cache.get(KEY) is None
        assert cache.pop(KEY, "absent") == "absent"
        assert cache.check().entries == 0
    assert store.calls == []


# ------------------------------------------------- replaced while others write


class Replacement:
    """A slow object that writes an old value while the file is replaced."""

    def __init__(self, path: str, how: str) -> None:
        self.path, self.how = path, how
        context = get_context("fork")
        self.store = context.Manager().dict()
        self.inside, self.gate = context.Event(), context.Event()
        kind: Any = threading.Thread if how == "thread" else context.Process
        self.work = kind(target=self.write_old)
        self.work.start()
        assert self.inside.wait(20)

    def write(self, _: object, key: object, value: object, expire: object) -> None:
        if value == "old":
            self.inside.set()
            assert self.gate.wait(20)
        self.store[key] = value

    def open(self, **options: Any) -> FastMmap:
        return FastMmap(
            self.path,
            page_size="4k",
            num_pages=1,
            write_action="write_back",
            write_cb=self.write,
            **options,
        )

    def write_old(self) -> None:
        cache = self.open()
        cache.set(KEY, "old")
        cache.flush()

    def end(self) -> None:
        self.gate.set()
        self.work.join(20)


def replace_while_it_is_written(path: str, how: str) -> tuple[Any, ...]:
    race = Replacement(path, how)
    timer = threading.Timer(2.5, race.gate.set)
    timer.start()
    with race.open(init_file=True) as cache:
        over = race.gate.is_set()
        cache.set(KEY, "new")
        cache.flush()
    race.end()
    return over, dict(race.store)


@pytest.mark.parametrize("how", ["thread", "process"])
def test_a_replacement_waits_for_whoever_writes(path: str, how: str) -> None:
    found = run_scenario(replace_while_it_is_written, path, how)
    assert found == (True, {KEY: "new"})


def give_up_a_replacement(path: str, how: str) -> tuple[Any, ...]:
    race = Replacement(path, how)
    with pytest.raises(LockTimeout, match="write_cb"):
        race.open(init_file=True, lock_timeout=0.2)
    race.end()
    with race.open() as cache:
        return cache.get(KEY), dict(race.store)


@pytest.mark.parametrize("how", ["thread", "process"])
def test_a_replacement_that_waited_in_vain_leaves_the_file(path: str, how: str) -> None:
    found = run_scenario(give_up_a_replacement, path, how)
    assert found == ("old", {KEY: "old"})


def interrupt_a_replacement(path: str) -> tuple[Any, ...]:
    race = Replacement(path, "thread")

    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    interrupted = False
    try:
        race.open(init_file=True)
    except KeyboardInterrupt:
        interrupted = True
    race.end()
    with race.open() as cache:
        return interrupted, cache.get(KEY)


def test_a_replacement_that_waits_can_be_interrupted(path: str) -> None:
    assert run_scenario(interrupt_a_replacement, path) == (True, "old")


def store_into_a_replaced_file(path: str, way: str) -> tuple[Any, ...]:
    options: dict[str, Any] = {
        "num_pages": 1,
        "page_size": 4096,
        "write_action": "write_back",
        "write_cb": lambda *args: None,
    }

    def replaced(*args: object) -> int:
        FastMmap(path, init_file=True, **options).close()
        return 1

    cache = FastMmap(path, **options)
    with pytest.raises(LockError, match="init_file"):
        if way == "get_and_set":
            cache.get_and_set(KEY, replaced)
        else:
            with cache.lock(KEY) as item:
                item.value = replaced()
    cache.set(KEY, 2)
    return (cache.get(KEY),)


@pytest.mark.parametrize("way", ["get_and_set", "lock"])
def test_a_change_of_a_file_that_was_replaced_meanwhile_is_an_error(
    path: str, way: str
) -> None:
    assert run_scenario(store_into_a_replaced_file, path, way) == (2,)


def numbered_removal(path: str, key: str, more: int) -> tuple[bool, bool]:
    """Remove a key with a modseq, where values that cannot be written fill the file.

    Returns whether it is there after that, and whether delete_cb was called.
    """

    def write(*_: Any) -> None:
        raise OSError("the store is away")

    deleted: list[Any] = []
    with FastMmap(
        path,
        **{"page_size": 4096, "num_pages": 1, "init_file": True},
        serializer=(pickle.dumps, pickle.loads),
        write_cb=write,
        delete_cb=lambda _, name: deleted.append(name),
        write_action="write_back",
    ) as cache:
        for number in range(5):
            cache.set(f"key {number}", "x" * (300 + more % 40))
        for number in range(4, 14):
            cache.set(f"key {number}", "x" * (60 + more))
        cache.remove(key, modseq=10)
        return key in cache, deleted == [key]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_tombstone_that_finds_no_room_does_not_stop_a_removal(path: str) -> None:
    """Of files that are filled by other sizes some have no room."""
    sizes = range(70)
    assert {numbered_removal(path, "key 2", more)[0] for more in sizes} == {False}
    assert {numbered_removal(path, "none", more)[1] for more in sizes} == {True}
