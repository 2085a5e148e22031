"""`FastMmap.resize`: a file of another size, with what was in the old one."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import threading
import time
from typing import Any

import pytest
from support import BackingStore, MakeCache, run_scenario

from fastmmap import Error, FastMmap, LockError, LockTimeout, ResizeReport
from fastmmap.sync import Lock
from fastmmap.testing import time_travel

SIZES = [("4m", "1m"), ("1m", "8m"), ("2m", "2m")]


@pytest.mark.quick
@pytest.mark.parametrize(("before", "after"), SIZES)
def test_values_go_along(make_cache: MakeCache, before: str, after: str) -> None:
    cache = make_cache(cache_size=before)
    values: dict[Any, Any] = {f"key {n}": (n, "x" * n) for n in range(500)}
    values.update({b"key 1": 1.5, "number": -(2**40), "none": None, "": b""})
    cache.update(values)
    report = cache.resize(cache_size=after)
    assert dict(cache.items()) == values
    assert cache.page_size * cache.num_pages == int(after[0]) << 20
    assert isinstance(report, ResizeReport)
    assert (report.values, report.no_room, report.no_page) == (len(values), 0, 0)
    assert report.bytes == cache.stats().bytes_live
    assert cache.check().ok


def test_what_is_not_given_stays_as_it_is(make_cache: MakeCache) -> None:
    cache = make_cache(page_size="32k", num_pages=7, start_slots=64)
    cache.resize(page_size="64k")
    assert (cache.page_size, cache.num_pages) == (65536, 3)
    cache.resize(cache_size="1m")
    assert (cache.page_size, cache.num_pages) == (65536, 16)
    slots = cache._info()["slots"]
    cache.resize(entry_size=2000)
    assert cache._info()["slots"] < slots


def test_lifetimes_and_times_go_along(make_cache: MakeCache) -> None:
    cache = make_cache()
    cache.set("short", 1, 20)
    cache.set("long", 1, 100)
    cache.set("never", 1)
    cache.set("gone", 1, 1)
    stored_on = cache.get_entry("long").stored_on
    with time_travel(10):
        report = cache.resize(cache_size="2m")
        assert report.values == 3
        assert 5 < (cache.ttl("short") or 0) <= 10
        assert cache.ttl("never") is None
        assert cache.get_entry("long").stored_on == stored_on
    with time_travel(21):
        assert cache.get("short") is None
        assert cache.get("long") == 1


def test_namespaces_and_tags_go_along_and_what_has_ended_does_not_come_back(
    make_cache: MakeCache,
) -> None:
    cache = make_cache()
    space = cache.namespace("space")
    space.set("old", 1)
    space.clear()
    space.set("new", 1)
    cache.set("tagged", 1, tags=["a", "b"])
    cache.set("dropped", 1, tags=["b", "c"])
    cache.invalidate_tag("c")
    cache.set("again", 1, tags=["c"])
    for size in ("2m", "8m", "1m"):
        cache.resize(cache_size=size)
        assert list(space) == ["new"]
        assert sorted(cache) == ["again", "tagged"]
        assert cache.get("dropped") is None
    cache.invalidate_tag("a")
    assert list(cache) == ["again"]
    space.clear()
    assert list(space) == []


def test_groups_end_whose_records_were_lost(make_cache: MakeCache) -> None:
    cache = make_cache(page_size="4k", num_pages=4)
    space = cache.namespace("space")
    for n in range(3000):
        space.set("key", n, tags=[str(n)])
        cache.namespace(str(n)).clear()
        cache.invalidate_tag(str(n))
    space.set("key", "ended", tags=["t"])
    cache.invalidate_tag("t")
    space.clear()
    for size, page in (("64k", "4k"), ("64k", "16k"), ("16k", "4k")):
        cache.resize(cache_size=size, page_size=page)
        assert space.get("key") is None
        assert cache.check().ok


def test_large_values_go_along(make_cache: MakeCache) -> None:
    cache = make_cache(page_size="64k", num_pages=64)
    values = {str(n): os.urandom(n * 40_000) for n in range(1, 8)}
    cache.update(values)
    for size, page in (("8m", "64k"), ("8m", "4m"), ("6m", "16k")):
        cache.resize(cache_size=size, page_size=page)
        assert dict(cache.items()) == values
        assert cache.check().ok


def test_numbers_of_changes_and_tombstones_go_along(make_cache: MakeCache) -> None:
    cache = make_cache()
    cache.set("key", "new", modseq=7)
    cache.remove("gone", modseq=9)
    cache.resize(cache_size="2m")
    assert not cache.set("key", "older", modseq=6)
    assert not cache.set("gone", "older", modseq=8)
    assert cache.set("gone", "newer", modseq=10)


def test_values_of_multi_set_go_along_where_their_page_can_be_told(
    make_cache: MakeCache,
) -> None:
    cache = make_cache(page_size="64k", num_pages=8)
    cache.multi_set("page", {"a": 1, "b": 2, "c": 3})
    report = cache.resize(page_size="64k", cache_size="512k")
    assert report.no_page == 0
    assert cache.multi_get("page", ["a", "b", "c"]) == {"a": 1, "b": 2, "c": 3}
    report = cache.resize(cache_size="256k")
    left = cache.multi_get("page", ["a", "b", "c"])
    assert len(left) == 3 - report.no_page
    assert left.items() <= {"a": 1, "b": 2, "c": 3}.items()
    report = cache.resize(cache_size="1m")
    assert report.values + report.no_page == len(left)


def test_a_smaller_file_says_what_found_no_room(make_cache: MakeCache) -> None:
    cache = make_cache(cache_size="4m")
    cache.update({f"key {n}": "x" * 1000 for n in range(2000)})
    report = cache.resize(cache_size="512k")
    assert report.values + report.no_room == 2000
    assert len(cache) == report.values > 300


def test_everybody_follows(make_cache: MakeCache) -> None:
    first, second = make_cache(near="1m"), make_cache(near="1m")
    second.set("key", 1)
    assert second.get("key") == 1
    first.resize(cache_size="4m")
    first.set("key", 2)
    assert second.get("key") == 2
    assert second.num_pages == first.num_pages


def test_who_resizes_next_follows_first(make_cache: MakeCache) -> None:
    cache, other = make_cache(cache_size="1m"), make_cache()
    cache["key"] = "value"
    for one, size in [(cache, "2m"), (other, "3m"), (cache, "4m")]:
        assert one.resize(cache_size=size).values == 1
    assert other["key"] == "value"


def test_changed_values_are_written_back_after_it(make_cache: MakeCache) -> None:
    store = BackingStore(old=1)
    cache = make_cache(write_action="write_back", **store.options())
    cache.set("key", 1)
    assert cache.get("old") == 1
    cache.set("old", 2)
    assert store == {"old": 1}
    cache.resize(cache_size="2m")
    assert store == {"old": 1}
    cache.flush()
    assert store == {"key": 1, "old": 2}
    cache.remove("key")
    assert store == {"old": 2}


def test_changed_values_that_do_not_fit_forbid_it(make_cache: MakeCache) -> None:
    store = BackingStore()
    cache = make_cache(write_action="write_back", cache_size="4m", **store.options())
    for n in range(500):
        cache.set(str(n), b"x" * 1000)
    with pytest.raises(Error, match="flush"):
        cache.resize(cache_size="64k", page_size="64k")
    assert len(cache) + len(store) >= 500
    cache.flush()
    assert len(store) == 500


def test_locks_that_are_held_forbid_it(make_cache: MakeCache) -> None:
    cache = make_cache()
    with Lock(cache, "job"):
        with pytest.raises(LockError, match="not resized: 1 lock by name is held and"):
            cache.resize(cache_size="2m")
        assert cache.num_pages * cache.page_size == 512 << 10
    assert cache.resize(cache_size="2m").locks == 0


def test_locks_are_broken_on_demand(make_cache: MakeCache) -> None:
    cache = make_cache()
    lock = Lock(cache, "job")
    lock.acquire()
    assert cache.resize(cache_size="2m", break_locks=True).locks == 1
    assert Lock(cache, "job").acquire(timeout=0)


def hold(cache: FastMmap, held: threading.Event, done: threading.Event) -> None:
    with cache.lock("key"):
        held.set()
        done.wait(30)


def resize_while_a_page_is_held(path: str) -> tuple[str, int, int]:
    cache, held, done = FastMmap(path, cache_size="1m"), *map(_event, "12")
    thread = threading.Thread(target=hold, args=(cache, held, done))
    thread.start()
    held.wait()
    said = ""
    try:
        cache.resize(cache_size="2m", timeout=0.3)
    except LockTimeout as error:
        said = str(error)
    before = cache.num_pages
    done.set()
    thread.join()
    cache.resize(cache_size="2m")
    return said, before, cache.num_pages


def _event(_: str) -> threading.Event:
    return threading.Event()


def test_a_page_that_is_held_is_waited_for(path: str) -> None:
    said, before, after = run_scenario(resize_while_a_page_is_held, path)
    assert "is held by another" in said
    assert after == 2 * before


def hold_the_opening_byte(path: str) -> int:
    """Keep others from opening the file for a while, in a child; return its pid."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        file = os.open(path, os.O_RDWR)
        # F_OFD_SETLKW
        fcntl.fcntl(file, 38, struct.pack("hhqqi", fcntl.F_WRLCK, 0, 0, 1, 0))
        os.write(theirs, b"x")
        time.sleep(0.4)
        os._exit(0)
    os.read(ours, 1)
    return child


def resize_with_a_signal(path: str) -> tuple[int, int]:
    """Let a handler raise while resize() waits; return the sizes known and real."""
    with FastMmap(path, cache_size="1m") as cache:
        child = hold_the_opening_byte(path)
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        try:
            cache.resize(cache_size="2m")
            time.sleep(0.5)  # where that was quicker
        except KeyboardInterrupt:
            pass
        os.waitpid(child, 0)
        with FastMmap(path) as other:
            return cache.cache_size, other.cache_size


def test_a_handler_that_raises_leaves_no_half_of_it(path: str) -> None:
    known, real = run_scenario(resize_with_a_signal, path)
    assert known == real


def test_it_is_refused_inside_of_a_lock(cache: FastMmap) -> None:
    with cache.lock("key"), pytest.raises(LockError):
        cache.resize(cache_size="2m")


def resize_in_a_callback(path: str) -> str:
    said = []

    def write(*_: object) -> None:
        try:
            cache.resize(cache_size="2m")
        except LockError as error:
            said.append(str(error))

    options = {"write_action": "write_back", "allow_recursive": True}
    cache = FastMmap(path, write_cb=write, **options)
    cache.set("key", 1)
    cache.flush()
    return said[0]


def test_it_is_refused_inside_of_a_callback_that_writes(path: str) -> None:
    assert "callback" in run_scenario(resize_in_a_callback, path)


def test_sizes_are_checked(cache: FastMmap) -> None:
    with pytest.raises(ValueError, match="cache_size"):
        cache.resize(cache_size=10)
    with pytest.raises(ValueError, match="page_size"):
        cache.resize(page_size="2g")


def test_nothing_is_left_when_it_fails(cache: FastMmap, path: str) -> None:
    cache.set("key", 1)
    with pytest.raises(OSError, match="files may not be that large"):
        cache.resize(cache_size="500t", page_size="1g")
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]
    assert cache.get("key") == 1


def test_permissions_stay(make_cache: MakeCache, path: str) -> None:
    cache = make_cache(permissions=0o640)
    cache.resize(cache_size="1m")
    assert os.stat(path).st_mode & 0o777 == 0o640


def test_a_private_cache_stays_one() -> None:
    with FastMmap(cache_size="512k") as cache:
        cache.set("key", 1)
        cache.resize(cache_size="1m")
        assert cache.get("key") == 1
        assert os.path.exists(cache.share_file)
    assert not os.path.exists(cache.share_file)
