"""lock(): a block that holds the key's page."""

from __future__ import annotations

import threading
from pickle import PicklingError
from typing import Any

import pytest
from support import MakeCache

from fastmmap import FastMmap, LockError, LockTimeout
from fastmmap.testing import time_travel


@pytest.mark.quick
def test_an_assigned_value_is_written_when_the_block_ends(cache: FastMmap) -> None:
    cache.set("key", 1)
    with cache.lock("key") as item:
        assert item.exists is True
        item.value += 1
    assert cache.get("key") == 2


def test_the_item_of_an_absent_key(cache: FastMmap) -> None:
    with cache.lock("key") as item:
        assert item.exists is False
        assert item.value is None
        assert item.expire_on is None
        assert item.modseq is None
    assert "key" not in cache


def test_the_item_tells_expiry_and_modseq(cache: FastMmap) -> None:
    cache.set("key", 1, expire_on=4102444800, modseq=7)
    with cache.lock("key") as item:
        assert item.expire_on == 4102444800
        assert item.modseq == 7


def test_an_assigned_value_reads_back_inside_the_block(cache: FastMmap) -> None:
    with cache.lock("key") as item:
        item.value = [1]
        assert item.value == [1]


def test_nothing_assigned_writes_nothing(cache: FastMmap) -> None:
    cache.set("key", "old", expire_time=100)
    with cache.lock("key") as item:
        assert item.value == "old"
    with time_travel(110):
        assert "key" not in cache


def test_set_takes_a_lifetime(cache: FastMmap) -> None:
    with cache.lock("key") as item:
        item.set("value", expire_time=100)
    assert cache.get("key") == "value"
    with time_travel(110):
        assert "key" not in cache


@pytest.mark.quick
def test_remove_removes_when_the_block_ends(cache: FastMmap) -> None:
    cache.set("key", 1)
    with cache.lock("key") as item:
        item.remove()
    assert "key" not in cache


def test_the_last_word_counts(cache: FastMmap) -> None:
    cache.set("key", 1)
    with cache.lock("key") as item:
        item.remove()
        item.value = 2
    assert cache.get("key") == 2


@pytest.mark.quick
def test_a_block_that_raises_writes_nothing(one_page: FastMmap) -> None:
    one_page.set("key", "old")
    error = RuntimeError("mine")
    with pytest.raises(RuntimeError) as caught, one_page.lock("key") as item:
        item.value = "new"
        raise error
    assert caught.value is error
    assert one_page.get("key") == "old"
    assert one_page.set("other", 1)


def test_too_large_a_value_is_a_value_error_and_the_old_one_stays(
    one_page: FastMmap,
) -> None:
    one_page.set("key", "old")
    with pytest.raises(ValueError), one_page.lock("key") as item:
        item.value = b"x" * 65536
    assert one_page.get("key") == "old"
    assert one_page.set("key", "new")


def test_an_unpicklable_value_raises_and_the_old_one_stays(one_page: FastMmap) -> None:
    one_page.set("key", "old")
    unpicklable = (PicklingError, AttributeError)
    with pytest.raises(unpicklable), one_page.lock("key") as item:
        item.value = lambda: None
    assert one_page.get("key") == "old"
    assert one_page.set("key", "new")


@pytest.mark.quick
def test_using_the_cache_inside_is_a_lock_error(one_page: FastMmap) -> None:
    with one_page.lock("key") as item:
        for use in (
            lambda: one_page.get("other"),
            lambda: one_page.set("other", 1),
            lambda: one_page.incr("other"),
            lambda: one_page.get_keys(),
            lambda: one_page.clear(),
            lambda: len(one_page),
            lambda: one_page.lock("key").__enter__(),
        ):
            with pytest.raises(LockError):
                use()
        item.value = "new"
    assert one_page.get("key") == "new"


def test_a_second_object_of_the_same_thread_is_a_lock_error(
    one_page: FastMmap, make_cache: MakeCache
) -> None:
    other = make_cache()
    with one_page.lock("key"), pytest.raises(LockError):
        other.set("key", 1)
    assert other.set("key", 1)


def test_a_second_object_may_read_inside(
    one_page: FastMmap, make_cache: MakeCache
) -> None:
    other = make_cache()
    one_page.set("key", "old")
    with one_page.lock("key") as item:
        item.value = "new"
        assert other.get("key") == "old"
    assert other.get("key") == "new"


def test_another_thread_waits_and_then_gives_up(one_page: FastMmap) -> None:
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            with one_page.lock("key", timeout=0.05):
                raise AssertionError("two hold one page")
        except LockTimeout as error:
            errors.append(error)

    with one_page.lock("key"):
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join(30)
        assert not thread.is_alive()
    assert len(errors) == 1


def test_a_timeout_of_zero_tries_once(one_page: FastMmap) -> None:
    with one_page.lock("key", timeout=0) as item:
        item.value = 1
    assert one_page.get("key") == 1


def test_a_lock_can_be_taken_again_after_the_block(cache: FastMmap) -> None:
    for number in range(100):
        with cache.lock("key") as item:
            item.value = number
    assert cache.get("key") == 99


def test_a_lock_that_is_never_entered_holds_nothing(one_page: FastMmap) -> None:
    one_page.lock("key")
    unused = one_page.lock("key")
    assert one_page.set("key", 1)
    del unused
    assert one_page.set("key", 2)


def test_an_item_forgotten_inside_its_block_gives_the_page_back(
    one_page: FastMmap,
) -> None:
    one_page.lock("key").__enter__()
    assert one_page.set("key", 1)


def test_an_item_is_of_no_use_after_its_block(one_page: FastMmap) -> None:
    with one_page.lock("key") as item:
        item.value = 1
    with pytest.raises((LockError, ValueError, RuntimeError)):
        item.value = 2
    assert one_page.get("key") == 1


@pytest.mark.parametrize("timeout", [-1, float("nan"), "soon"], ids=str)
def test_an_absurd_timeout_is_refused(cache: FastMmap, timeout: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        cache.lock("key", timeout=timeout)
    assert cache.set("key", 1)
