"""One `cache.lock(key)` object that many threads, and callbacks, have."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from support import MakeCache, run_scenario

from fastmmap import FastMmap, LockError, LockTimeout

LARGE = "v" * 200_000


def together(count: int, work: Callable[[], object]) -> list[str]:
    """Run it in threads; return what they raised."""
    raised: list[str] = []

    def run() -> None:
        try:
            work()
        except Exception as error:
            raised.append(repr(error))

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    return raised


def take_turns(path: str) -> list[object]:
    cache = FastMmap(path, page_size="1m", num_pages=1)
    cache.set_many({"key": (0, LARGE), "other": 0})
    item = cache.lock("key")
    inside: list[int] = []
    crowd: list[int] = []

    def work() -> None:
        for _ in range(100):
            with item as own:
                inside.append(1)
                crowd.append(len(inside))
                number, filler = own.value
                time.sleep(0)
                own.value = (number + 1, filler)
                inside.pop()
            cache.incr("other")

    raised = together(4, work)
    return [raised, max(crowd), cache["key"][0], cache["other"]]


def test_threads_that_share_it_take_turns(path: str) -> None:
    assert run_scenario(take_turns, path) == [[], 1, 400, 400]


def hold_and_share(path: str) -> list[object]:
    cache = FastMmap(path, page_size="64k", num_pages=1, lock_timeout=0.1)
    cache.set("key", "old")
    item = cache.lock("key")
    outcomes: list[object] = []

    def attempt(use: Callable[[], object]) -> None:
        try:
            outcomes.append(use())
        except Exception as error:
            outcomes.append(type(error).__name__)

    def elsewhere(use: Callable[[], object]) -> None:
        thread = threading.Thread(target=attempt, args=(use,))
        thread.start()
        thread.join(20)

    with item:
        item.value = "new"
        elsewhere(item.__enter__)
        elsewhere(lambda: item.set("theirs"))
        elsewhere(lambda: setattr(item, "value", "theirs"))
        elsewhere(item.remove)
        elsewhere(lambda: item.value)
        elsewhere(lambda: item.exists)
        attempt(item.__enter__)
    elsewhere(lambda: item.value)
    elsewhere(lambda: item.__exit__(None, None, None))
    return [*outcomes, cache["key"]]


def test_who_does_not_hold_it_waits_and_changes_nothing(path: str) -> None:
    assert run_scenario(hold_and_share, path) == [
        "LockTimeout",
        "LockError",
        "LockError",
        "LockError",
        "new",
        True,
        "LockError",
        "new",
        "LockError",
        "new",
    ]


def interrupt_the_wait(path: str) -> str:
    import signal

    cache = FastMmap(path, page_size="64k", num_pages=1)
    item = cache.lock("key")
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with item:
            entered.set()
            leave.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait(20)
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        item.__enter__()
    except KeyboardInterrupt:
        leave.set()
        thread.join(20)
        with item as own:
            own.value = "mine"
        return str(cache["key"])
    return "entered"


def test_a_wait_for_it_can_be_interrupted(path: str) -> None:
    assert run_scenario(interrupt_the_wait, path) == "mine"


# ------------------------------------------------------- from inside the block

MEDDLING: dict[str, Callable[[Any], object]] = {
    "remove": lambda item: item.remove(),
    "set": lambda item: item.set(b"theirs"),
    "assign": lambda item: setattr(item, "value", b"theirs"),
    "exit": lambda item: item.__exit__(None, None, None),
    "exit, raising": lambda item: item.__exit__(ValueError, ValueError(), None),
    "enter": lambda item: item.__enter__(),
    "look": lambda item: item.value and item.exists and item.expire_on,
}


def meddle_from_write_cb(path: str, how: str, action: str) -> list[object]:
    """Use the item while the value of its block is being stored."""
    boxes: list[Any] = []
    outcomes: set[str] = set()
    junk: list[object] = []

    def write(_: object, key: object, value: object, expire_on: object) -> None:
        if boxes:
            try:
                MEDDLING[how](boxes.pop())
                outcomes.add("done")
            except LockError:
                outcomes.add("LockError")
            junk[:] = [bytes([65]) * 700 for _ in range(50)]

    cache = FastMmap(
        path,
        page_size=4096,
        num_pages=1,
        write_action=action,
        write_cb=write,
        serializer="raw",
    )
    cache.set_many({f"k{number}": b"x" * 100 for number in range(60)})
    wrong = 0
    for number in range(100):
        value = b"%8d" % number + b"v" * 692
        with cache.lock("target") as item:
            boxes[:] = [item]
            item.value = value
        wrong += cache.get("target") != value
        for other in range(20):
            cache.set(f"k{number}-{other}", b"x" * 100)
    return [sorted(outcomes), wrong, cache.check().ok]


@pytest.mark.parametrize("action", ["write_back", "write_through"])
@pytest.mark.parametrize("how", MEDDLING)
def test_nothing_of_a_block_is_lost_to_its_write_cb(
    path: str, how: str, action: str
) -> None:
    expected = "done" if how == "look" else "LockError"
    assert run_scenario(meddle_from_write_cb, path, how, action) == [
        [expected],
        0,
        True,
    ]


class Meddler:
    """A value whose pickling does something to the item that it is for."""

    def __init__(self, meddle: Callable[[], object]) -> None:
        self.meddle = meddle

    def __reduce__(self) -> tuple[Any, ...]:
        self.meddle()
        return str, ("pickled",)


def test_a_block_that_its_own_value_ended_takes_no_value(one_page: FastMmap) -> None:
    item = one_page.lock("key")
    item.__enter__()
    with pytest.raises(LockError):
        item.value = Meddler(lambda: item.__exit__(None, None, None))
    assert "key" not in one_page


def test_a_value_that_sets_another_one_while_it_is_pickled_wins(
    one_page: FastMmap,
) -> None:
    with one_page.lock("key") as item:
        item.value = Meddler(lambda: item.set("inner"))
    assert one_page["key"] == "pickled"
    with one_page.lock("key") as item:
        item.value = Meddler(item.remove)
    assert one_page["key"] == "pickled"


class Dying(bytes):
    """Raw bytes whose end does something to the item that they were for."""

    meddle: Callable[[], object]

    def __del__(self) -> None:
        self.meddle()


def test_an_old_value_that_dies_while_it_is_replaced(make_cache: MakeCache) -> None:
    cache = make_cache(serializer="raw")
    with cache.lock("key") as item:
        value = Dying(b"old")
        value.meddle = lambda: item.set(b"last word")
        item.value = value
        del value
        item.value = b"new"
    assert cache["key"] == b"last word"


def test_an_item_that_is_entered_twice_is_a_lock_error(one_page: FastMmap) -> None:
    item = one_page.lock("key")
    with item:
        item.value = 1
        with pytest.raises(LockError):
            item.__enter__()
    assert one_page["key"] == 1
    with pytest.raises(LockError):
        item.__exit__(None, None, None)


def test_a_block_survives_the_end_of_its_cache(one_page: FastMmap, path: str) -> None:
    entered, closed = threading.Event(), threading.Event()
    raised: list[BaseException] = []

    def hold() -> None:
        try:
            with one_page.lock("key") as item:
                entered.set()
                closed.wait(20)
                item.value = "late"
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=hold)
    with FastMmap(path) as other:
        thread.start()
        entered.wait(20)
        one_page.close()
        closed.set()
        thread.join(20)
        assert raised == []
        assert other["key"] == "late"


def test_a_forgotten_block_in_a_cycle_gives_the_page_back(path: str) -> None:
    import gc

    context: dict[str, Any] = {}
    cache = FastMmap(path, page_size="64k", num_pages=1, context=context)
    context["item"] = cache.lock("key").__enter__()
    context["item"].value = "lost"
    with FastMmap(path, lock_timeout=0) as other:
        with pytest.raises(LockTimeout):
            together_raise(other)
        del cache, context
        gc.collect()
        assert other.set("key", 1)


def together_raise(cache: FastMmap) -> None:
    """Store from another thread, and raise here what that raised."""
    raised: list[Exception] = []

    def store() -> None:
        try:
            cache.set("key", 1)
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=store)
    thread.start()
    thread.join(20)
    for error in raised:
        raise error
