"""Locks by name: Lock and RLock, by threads and tasks of one process."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import pickle
import threading
import time
from typing import Any, Union

import pytest
from support import MakeCache

from fastmmap import ClosedError, FastMmap, LockError, LockTimeout
from fastmmap.sync import Lock, LockLost, RLock, Semaphore
from fastmmap.testing import time_travel

KINDS = [Lock, RLock, Semaphore]
AnyLock = Union[Lock, RLock, Semaphore]
DAY = 24 * 3600


def in_thread(function: Any, *arguments: Any) -> Any:
    """Call it in another thread; return what it returned or raised."""
    found: list[Any] = []

    def call() -> None:
        try:
            found.append(function(*arguments))
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join(30)
    return found[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_namespace_has_names_of_its_own(cache: FastMmap, kind: Any) -> None:
    inside = cache.namespace("inside")
    with kind(cache, "a"), kind(inside, "a"):
        assert in_thread(kind(inside, "a").acquire, False) is False
    assert in_thread(kind(inside, "a").acquire, False) is True


@pytest.mark.quick
@pytest.mark.parametrize("kind", KINDS)
def test_one_at_a_time_has_it_by_its_name(cache: FastMmap, kind: Any) -> None:
    lock, same, other = kind(cache, "a"), kind(cache, "a"), kind(cache, "b")
    assert lock.acquire() is True
    assert lock.locked() and same.locked() and not other.locked()
    assert in_thread(same.acquire, False) is False
    assert in_thread(other.acquire, False) is True
    lock.release()
    assert not same.locked()
    assert in_thread(same.acquire, False) is True


@pytest.mark.parametrize("kind", KINDS)
def test_two_objects_of_one_file_are_one_cache(
    make_cache: MakeCache, kind: Any
) -> None:
    with kind(make_cache(), "a"):
        assert not kind(make_cache(), "a").acquire(False)


def test_the_kinds_have_names_of_their_own_but_for_both_locks(cache: FastMmap) -> None:
    with Lock(cache, "a"):
        assert Semaphore(cache, "a").acquire(False)
        assert RLock(cache, "a").acquire(False) is False


@pytest.mark.parametrize("name", ["", "ä", "\udc80", "x" * 10_000, "a', 1", "\0"])
def test_any_text_is_a_name(cache: FastMmap, name: str) -> None:
    with Lock(cache, name) as lock:
        assert lock.name == name
        assert Lock(cache, name).locked()
        assert not Lock(cache, name + "x").locked()
    assert not Lock(cache, name).locked()


@pytest.mark.parametrize("name", [b"a", 1, None])
def test_a_name_is_text(cache: FastMmap, name: Any) -> None:
    with pytest.raises(TypeError, match="name must be str"):
        Lock(cache, name)


@pytest.mark.parametrize("kind", KINDS)
def test_a_lock_is_no_value_of_the_cache(cache: FastMmap, kind: Any) -> None:
    with kind(cache, "a"):
        assert len(cache) == 0 and list(cache) == []
    assert cache.stats().entries == 0


@pytest.mark.parametrize("options", [{"serializer": "raw"}, {"serializer": "json"}])
def test_any_serializer_will_do(make_cache: MakeCache, options: Any) -> None:
    with Lock(make_cache(**options), "a") as lock:
        assert lock.locked()


# ------------------------------------------------------------------ the holder


def test_the_holder_is_told_by_process_and_time(cache: FastMmap) -> None:
    lock = Lock(cache, "a", lease_time=100)
    assert lock.holder() is None
    with time_travel(50), lock:
        holder, now = Lock(cache, "a").holder(), time.time() + 50
        assert holder is not None and holder.pid == os.getpid()
        assert now - 2 < holder.since <= now
        assert now + 98 < holder.until <= now + 100
        assert f"by process {os.getpid()} " in repr(lock)
    assert repr(lock).startswith("<unlocked fastmmap.sync.Lock object 'a' at ")


@pytest.mark.parametrize("kind", KINDS)
def test_a_lock_of_a_closed_cache_has_a_repr_and_no_more(
    cache: FastMmap, kind: Any
) -> None:
    lock = kind(cache, "a")
    cache.close()
    assert "closed" in repr(lock)
    with pytest.raises(ClosedError):
        lock.acquire()
    with pytest.raises(ClosedError):
        lock.locked()


def test_another_thread_may_release_a_lock_and_no_rlock(cache: FastMmap) -> None:
    lock, rlock = Lock(cache, "a"), RLock(cache, "b")
    lock.acquire()
    rlock.acquire()
    assert in_thread(lock.release) is None
    assert isinstance(in_thread(rlock.release), LockError)
    assert [lock.locked(), rlock.locked()] == [False, True]


def test_to_release_what_is_not_held_is_an_error(cache: FastMmap) -> None:
    with Lock(cache, "a"):
        with pytest.raises(LockError, match=r"'a'.* is not held through this object"):
            Lock(cache, "a").release()
        with pytest.raises(LockError, match="not held"):
            Lock(cache, "a").extend()
        with pytest.raises(LockError, match="not held by this thread or task"):
            RLock(cache, "a").release()
        assert Lock(cache, "a").locked()


@pytest.mark.parametrize("kind", KINDS)
def test_a_forgotten_lock_is_free(cache: FastMmap, kind: Any) -> None:
    kind(cache, "a").acquire()
    gc.collect()
    assert not kind(cache, "a").locked()


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_by_pickle_holds_nothing(cache: FastMmap, kind: Any) -> None:
    with kind(cache, "a", lease_time=20, timeout=0.01) as lock:
        copy = pickle.loads(pickle.dumps(lock))
        assert copy.name == "a" and copy.locked()
        assert in_thread(copy.acquire) is False
        del copy
        gc.collect()
        assert lock.locked()


# ------------------------------------------------------------------- nesting


def test_an_rlock_nests_by_its_name(cache: FastMmap) -> None:
    with RLock(cache, "a"):
        with RLock(cache, "a") as inner:
            inner.extend()
        assert RLock(cache, "a").locked()
        assert in_thread(RLock(cache, "a").acquire, False) is False
    assert not RLock(cache, "a").locked()


def test_an_rlock_that_is_held_outlives_its_object(cache: FastMmap) -> None:
    outer = RLock(cache, "a")
    RLock(cache, "a").acquire()
    gc.collect()
    assert outer.locked()
    outer.release()
    assert not outer.locked()


def test_tasks_of_one_thread_have_an_rlock_one_at_a_time(cache: FastMmap) -> None:
    inside: list[int] = []

    async def work(number: int) -> None:
        async with RLock(cache, "a"), RLock(cache, "a"):
            inside.append(number)
            assert inside == [number]
            await asyncio.sleep(0.001)
            inside.remove(number)

    async def main() -> None:
        await asyncio.gather(*map(work, range(10)))

    asyncio.run(main())


@pytest.mark.parametrize("kind", KINDS)
def test_a_task_that_is_lost_in_its_block_is_not_kept_by_its_lock(
    cache: FastMmap, kind: Any
) -> None:
    lock = kind(cache, "a")

    async def work() -> None:
        async with lock:
            await asyncio.Event().wait()

    async def main() -> None:
        asyncio.ensure_future(work())  # noqa: RUF006 (nobody is to keep it)
        await asyncio.sleep(0.01)
        assert lock.locked()

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    loop.run_until_complete(main())
    gc.collect()  # nothing will ever wake it up
    assert not lock.locked()
    loop.close()


def test_an_rlock_is_free_when_the_coroutine_that_has_it_is_closed(
    cache: FastMmap,
) -> None:
    async def work() -> None:
        async with RLock(cache, "a"):
            await asyncio.sleep(10)

    coroutine = work()

    async def main() -> None:
        task = asyncio.create_task(coroutine)
        await asyncio.sleep(0.01)
        assert RLock(cache, "a").locked()
        task.remove_done_callback(lambda _: None)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    coroutine.close()  # in no task
    assert not RLock(cache, "a").locked()
    loop.run_until_complete(asyncio.sleep(0.001))
    loop.close()


# ------------------------------------------------------------------- waiting


@pytest.mark.parametrize("kind", KINDS)
def test_a_timeout_ends_the_waiting(cache: FastMmap, kind: Any) -> None:
    held = kind(cache, "a")
    held.acquire()
    wanted = kind(make_another(cache), "a", timeout=0.05)
    assert wanted.acquire() is False
    assert wanted.acquire(timeout=0) is False
    with pytest.raises(LockTimeout, match=r"'a'.*within 0\.05 s"), wanted:
        pass
    held.release()
    assert wanted.acquire(timeout=-1) is True


def make_another(cache: FastMmap) -> FastMmap:
    """Return another object of the same file, whose RLocks do not nest."""
    copy: FastMmap = pickle.loads(pickle.dumps(cache))
    return copy


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "bad", [{"lease_time": "now"}, {"lease_time": -1}, {"timeout": -1}], ids=str
)
def test_bad_options_are_value_errors(cache: FastMmap, kind: Any, bad: Any) -> None:
    with pytest.raises(ValueError):
        kind(cache, "a", **bad)


@pytest.mark.parametrize("kind", KINDS)
def test_tasks_wait_without_blocking_their_loop(cache: FastMmap, kind: Any) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    async def main() -> None:
        nonlocal ticks
        ticking = asyncio.create_task(tick())
        lock = kind(make_another(cache), "a", timeout=0.3)
        with kind(cache, "a"):
            assert await lock.acquire_async() is False
            assert ticks > 10
            with pytest.raises(LockTimeout):
                async with lock:
                    pass
        async with lock:
            assert lock.locked()
        ticking.cancel()

    asyncio.run(main())
    assert not kind(cache, "a").locked()


def test_a_task_that_is_cancelled_while_it_waits_has_nothing(cache: FastMmap) -> None:
    async def main() -> None:
        lock = Lock(cache, "a")
        async with lock:
            waiting = asyncio.create_task(lock.acquire_async())
            await asyncio.sleep(0.02)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        assert not lock.locked()

    asyncio.run(main())


# ----------------------------------------------------------- time, and its end


@pytest.mark.quick
@pytest.mark.parametrize("kind", KINDS)
def test_past_its_time_a_lock_is_free_and_its_holder_hears_of_it(
    cache: FastMmap, kind: Any
) -> None:
    lock, other = kind(cache, "a", lease_time=10), kind(make_another(cache), "a")
    lock.acquire()
    with time_travel(9):
        assert other.acquire(False) is False
    with time_travel(10):
        assert other.acquire(False) is True
        with pytest.raises(LockLost, match="'a' was lost before it was released"):
            lock.release()
        assert other.locked()
        other.release()


def test_past_its_time_what_nobody_took_is_released_like_any_other(
    cache: FastMmap,
) -> None:
    lock = Lock(cache, "a", lease_time=10)
    lock.acquire()
    with time_travel(11):
        assert not lock.locked()
        lock.release()


def test_a_lock_lasts_for_a_day_and_its_time_can_begin_anew(cache: FastMmap) -> None:
    lock = Lock(cache, "a")
    lock.acquire()
    with time_travel(DAY - 1):
        assert lock.locked()
        lock.extend()
    with time_travel(2 * DAY - 2):
        assert lock.locked()
        lock.extend("10s")
    with time_travel(2 * DAY + 8.5):
        assert not lock.locked()
        lock.extend()  # nobody took it
        assert lock.locked()
    with pytest.raises(ValueError):
        lock.extend("now")


def test_what_another_took_cannot_be_extended(cache: FastMmap) -> None:
    lock, other = Lock(cache, "a", lease_time=1), Lock(cache, "a")
    lock.acquire()
    with time_travel(2):
        other.acquire()
        with pytest.raises(LockLost):
            lock.extend()
        assert other.locked()


def test_a_clock_that_is_set_back_takes_no_lock_away(cache: FastMmap) -> None:
    with Lock(cache, "a") as lock:
        for seconds in (-0.5, -3600, -DAY + 10):
            with time_travel(seconds):
                assert lock.locked()
                assert not Lock(cache, "a").acquire(False)


def test_one_whose_lock_was_lost_does_not_give_back_that_of_the_next(
    cache: FastMmap,
) -> None:
    lock = Lock(cache, "a", lease_time=10)
    lock.acquire()
    with time_travel(11):
        assert in_thread(lock.acquire, False) is True  # the same object
        with pytest.raises(LockLost):
            lock.release()
        assert lock.locked()
        lock.release()
        assert not lock.locked()


def test_an_rlock_whose_time_is_over_lets_nobody_in_beside_another(
    cache: FastMmap,
) -> None:
    lock, again = RLock(cache, "a", lease_time=10), RLock(cache, "a", timeout=0)
    lock.acquire()
    with time_travel(11):
        assert in_thread(Lock(cache, "a").acquire, False) is True
        for acquire in (lock.acquire, again.acquire, again.__enter__):
            with pytest.raises(LockLost):
                acquire()
        with pytest.raises(LockLost):
            lock.release()


def test_an_rlock_whose_time_is_over_begins_anew_where_nobody_had_it(
    cache: FastMmap,
) -> None:
    lock = RLock(cache, "a", lease_time=10)
    lock.acquire()
    with time_travel(11):
        assert not lock.locked()
        with lock:
            assert in_thread(Lock(cache, "a").acquire, False) is False
        assert lock.locked()
        lock.release()


def test_an_rlock_of_a_replaced_file_is_lost_at_once(make_cache: MakeCache) -> None:
    lock = RLock(make_cache(), "a")
    lock.acquire()
    make_cache(init_file=True, cache_size="512k")
    with time_travel(2), pytest.raises(LockLost):  # the file is looked after
        lock.acquire()


@pytest.mark.parametrize("loss", ["remove", "init_file", "value"])
def test_a_lock_that_goes_with_its_key_is_lost(
    make_cache: MakeCache, loss: str
) -> None:
    cache = make_cache()
    lock = Lock(cache, "a")
    lock.acquire()
    if loss == "remove":
        cache.remove(lock._keys[0])
    elif loss == "init_file":
        make_cache(init_file=True, cache_size="512k")
    else:
        cache.set(lock._keys[0], 1)
    with pytest.raises(LockLost):
        lock.release()
    assert not lock.locked()


def test_a_lost_lock_does_not_hide_the_error_of_its_block(cache: FastMmap) -> None:
    with pytest.raises(LockLost), Lock(cache, "a") as lock:
        cache.remove(lock._keys[0])
    with pytest.raises(KeyError), Lock(cache, "a") as lock:
        cache.remove(lock._keys[0])
        raise KeyError


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("call", ["clear", "empty", "purge"])
def test_what_empties_the_cache_spares_locks_that_are_held(
    cache: FastMmap, kind: Any, call: str
) -> None:
    cache["value"] = 1
    with kind(cache, "a") as lock:
        getattr(cache, call)()
        assert lock.locked()
    assert not lock.locked()
    assert ("value" in cache) == (call == "purge")


@pytest.mark.parametrize("kind", [*KINDS, Semaphore])
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_what_empties_namespaces_spares_locks_that_are_held(
    cache: FastMmap, kind: Any, depth: int
) -> None:
    inner = cache.namespace("outer").namespace("inner")
    spaces = [cache, inner.parent, inner]
    with kind(inner, "a") as lock:
        spaces[depth].clear()
        assert lock.locked()
        assert in_thread(kind(inner, "a").acquire, False) is False
    assert not lock.locked()


def test_a_lock_in_a_namespace_outlives_the_record_of_that(one_page: FastMmap) -> None:
    space = one_page.namespace("space")
    with Lock(space, "a"):
        space["key"] = 1
        for number in range(5000):  # each wanted more than that
            one_page[f"key {number}"] = "a value"
            assert one_page.get(f"key {number}") == one_page[f"key {number}"]
        assert "key" not in space
        assert in_thread(Lock(space, "a").acquire, False) is False


def test_locks_survive_eviction(one_page: FastMmap) -> None:
    locks = [Lock(one_page, f"lock {number}") for number in range(50)]
    for lock in locks:
        lock.acquire()
    for number in range(5000):
        one_page.set(f"filler {number}", b"x" * 500)
    assert one_page.stats().evictions > 4000
    for lock in locks:
        lock.release()


def test_more_locks_than_a_page_holds_are_refused_and_none_is_lost(
    one_page: FastMmap,
) -> None:
    held = []
    for number in range(2000):
        lock = Lock(one_page, f"lock {number}")
        try:
            lock.acquire()
        except LockError as error:
            assert "has no room in its page" in str(error)
        else:
            held.append(lock)
    assert 100 < len(held) < 1000
    for lock in held:
        lock.release()  # LockLost, if it was


def test_a_value_in_the_place_of_a_lock_is_an_error_that_names_it(
    cache: FastMmap,
) -> None:
    lock = Lock(cache, "a")
    cache.set(lock._keys[0], "value")
    with pytest.raises(
        LockError, match=r"'a' cannot be acquired: key .* holds a value"
    ):
        lock.acquire()


def test_a_lock_without_room_is_an_error_that_names_it(make_cache: MakeCache) -> None:
    def fail(*_: object) -> None:
        raise OSError

    cache = make_cache(
        page_size="4k", num_pages=1, write_action="write_back", write_cb=fail
    )
    for number in range(500):
        cache.set(f"changed {number}", b"x" * 20)
    locks = [Lock(cache, str(number)) for number in range(100)]
    with pytest.raises(
        LockError, match=r"cannot be acquired: key .* has no room in its"
    ):
        for lock in locks:
            lock.acquire()


def test_a_lock_in_a_page_that_one_holds_is_an_error(one_page: FastMmap) -> None:
    with one_page.lock("key"), pytest.raises(LockError):
        Lock(one_page, "a").acquire()


def test_nothing_is_logged(cache: FastMmap, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), Lock(cache, "a"):
        pass
    assert caplog.text == ""
