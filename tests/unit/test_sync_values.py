"""Events, counters and keys that are waited for, by threads of one process."""

from __future__ import annotations

import asyncio
import pickle
import threading
import time
from typing import Any

import pytest
from support import MakeCache

from fastmmap import FastMmap, LockError, LockTimeout
from fastmmap.sync import Counter, Event, Lock, wait_for_key, wait_for_key_async
from fastmmap.testing import time_travel

SERIALIZERS = ["pickle", "raw", "json", "msgpack"]


# ---------------------------------------------------------------------- events


@pytest.mark.quick
@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_an_event_is_set_for_all_of_its_name(
    make_cache: MakeCache, serializer: str
) -> None:
    cache = make_cache(serializer=serializer)
    event, same, other = Event(cache, "a"), Event(cache, "a"), Event(cache, "b")
    assert not same.is_set() and not same.wait(0)
    event.set()
    event.set()
    assert same.is_set() and same.wait() and not other.is_set()
    same.clear()
    same.clear()
    assert not event.is_set()


def test_a_task_waits_for_an_event_without_blocking_its_loop(cache: FastMmap) -> None:
    event = Event(cache, "a")

    async def main() -> list[bool]:
        waits = [asyncio.create_task(event.wait_async(30)) for _ in range(3)]
        await asyncio.sleep(0.02)
        event.set()
        event.clear()  # at once
        return [*await asyncio.gather(*waits), await event.wait_async(0.01)]

    assert asyncio.run(main()) == [True, True, True, False]


def test_an_event_whose_key_is_gone_is_not_set(cache: FastMmap) -> None:
    event = Event(cache, "a")
    for _ in range(3):
        event.set()
        event.clear()
    event.set()
    cache.clear()
    assert not event.is_set()
    waiting = threading.Thread(target=event.wait, args=(30,))
    waiting.start()
    event.set()
    waiting.join(30)
    assert not waiting.is_alive()


def test_one_who_waits_while_the_key_goes_hears_of_the_next_set(
    cache: FastMmap,
) -> None:
    event = Event(cache, "a")
    for _ in range(3):
        event.set()
        event.clear()

    async def main() -> bool:
        waiting = asyncio.create_task(event.wait_async(30))
        await asyncio.sleep(0.02)
        cache.clear()
        await asyncio.sleep(0.05)
        assert not waiting.done()
        event.set()
        event.clear()
        return await waiting

    assert asyncio.run(main())


def test_an_event_outlasts_the_lifetime_of_values(make_cache: MakeCache) -> None:
    event = Event(make_cache(expire_time=10), "a")
    event.set()
    with time_travel(9):
        event.clear()
        event.set()
    with time_travel(1000):
        assert event.is_set()


def test_an_event_that_finds_no_room_is_an_error(make_cache: MakeCache) -> None:
    cache, held = make_cache(page_size="4k", num_pages=1), []
    with pytest.raises(LockError):
        for number in range(1000):
            held.append(Lock(cache, f"lock {number}"))
            held[-1].acquire()
    event = Event(cache, "a")
    event.clear()  # it is not set
    with pytest.raises(LockError, match="no room for"):
        event.set()


def test_something_else_in_the_place_of_an_event_is_an_error(cache: FastMmap) -> None:
    event = Event(cache, "a")
    cache.set(event._key, [1])
    for call in (event.is_set, event.set, event.clear, event.wait):
        with pytest.raises(ValueError, match="not a number of fastmmap"):
            call()


def test_an_event_survives_pickling(cache: FastMmap) -> None:
    event = Event(cache, "a")
    event.set()
    assert pickle.loads(pickle.dumps(event)).is_set()
    assert "'a'" in repr(event) and event.name == "a"


# -------------------------------------------------------------------- counters


@pytest.mark.quick
@pytest.mark.parametrize("serializer", SERIALIZERS)
def test_a_counter_counts_for_all_of_its_name(
    make_cache: MakeCache, serializer: str
) -> None:
    cache = make_cache(serializer=serializer)
    counter, same, other = Counter(cache, "a"), Counter(cache, "a"), Counter(cache, "b")
    assert counter.value() == 0
    assert [counter.add(), same.add(5), counter.add(-2)] == [1, 6, 4]
    assert same.value() == 4 and other.value() == 0
    assert same.reset() == 4 and counter.value() == 0 and counter.reset() == 0


def test_a_counter_lasts_from_its_first_change_on(cache: FastMmap) -> None:
    counter = Counter(cache, "a", expire_time="1m")
    counter.add()
    with time_travel(50):
        assert counter.add() == 2
    with time_travel(61):
        assert counter.value() == 0
        assert counter.add() == 1


def test_a_counter_stays_within_64_bits(cache: FastMmap) -> None:
    counter = Counter(cache, "a")
    counter.add(2**63 - 1)
    with pytest.raises(OverflowError):
        counter.add()
    assert counter.value() == 2**63 - 1
    assert pickle.loads(pickle.dumps(counter)).value() == 2**63 - 1
    assert "'a'" in repr(counter) and counter.name == "a"


# ------------------------------------------------------------------------ keys


@pytest.mark.quick
@pytest.mark.parametrize("value", ["value", None, 0])
def test_a_key_is_waited_for_until_it_has_a_value(cache: FastMmap, value: Any) -> None:
    threading.Timer(0.05, cache.set, ["key", value]).start()
    assert wait_for_key(cache, "key", timeout=30) == value
    assert wait_for_key(cache, "key", timeout=0) == value


def test_a_key_without_a_value_is_waited_for_no_longer_than_asked(
    cache: FastMmap,
) -> None:
    began = time.monotonic()
    with pytest.raises(LockTimeout, match=r"key 'key' had no value within 0\.1 s"):
        wait_for_key(cache, "key", 0.1)
    assert time.monotonic() - began >= 0.1
    with pytest.raises(ValueError):
        wait_for_key(cache, "key", -1)


def test_tasks_wait_for_a_key_beside_the_one_that_stores_it(cache: FastMmap) -> None:
    async def store() -> None:
        await asyncio.sleep(0.02)
        cache["key"] = 1

    async def main() -> list[Any]:
        waits = [wait_for_key_async(cache, "key", 30) for _ in range(3)]
        found = await asyncio.gather(store(), *waits)
        with pytest.raises(LockTimeout):
            await wait_for_key_async(cache, "other", 0.01)
        return found

    assert asyncio.run(main()) == [None, 1, 1, 1]
