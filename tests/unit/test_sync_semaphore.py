"""Semaphores by name, by threads of one process."""

from __future__ import annotations

import os
import threading

import pytest

from fastmmap import FastMmap, LockError
from fastmmap.sync import LockLost, Semaphore
from fastmmap.testing import time_travel


@pytest.mark.quick
def test_so_many_have_it_at_a_time(cache: FastMmap) -> None:
    semaphores = [Semaphore(cache, "a", 3) for _ in range(4)]
    assert [s.acquire(False) for s in semaphores] == [True, True, True, False]
    assert semaphores[3].free() == 0 and semaphores[3].locked()
    semaphores[1].release()
    assert semaphores[3].free() == 1 and not semaphores[0].locked()
    assert semaphores[3].acquire(False)


def test_the_holders_are_told(cache: FastMmap) -> None:
    semaphore = Semaphore(cache, "a", 3)
    assert semaphore.holders() == []
    with semaphore, semaphore:
        assert [holder.pid for holder in semaphore.holders()] == [os.getpid()] * 2
        assert repr(semaphore).endswith(": value=1/3>")


def test_one_gives_back_its_own_permit(cache: FastMmap) -> None:
    mine, other = Semaphore(cache, "a", 2), Semaphore(cache, "a", 2)
    mine.acquire()
    other.acquire()
    mine.release()
    with pytest.raises(ValueError, match="release of 1 permits, 0 are held"):
        mine.release()
    assert mine.free() == 1


def test_too_many_are_not_given_back_at_all(cache: FastMmap) -> None:
    semaphore = Semaphore(cache, "a", 4)
    for _ in range(3):
        semaphore.acquire()
    with pytest.raises(ValueError, match="release of 4 permits, 3 are held"):
        semaphore.release(4)
    assert semaphore.free() == 1
    semaphore.release(2)
    assert semaphore.free() == 3
    with pytest.raises(ValueError):
        semaphore.release(0)


def test_what_is_not_held_is_not_extended(cache: FastMmap) -> None:
    with pytest.raises(LockError, match="is not held through this object"):
        Semaphore(cache, "a", 1).extend()


def test_another_thread_may_release(cache: FastMmap) -> None:
    semaphore = Semaphore(cache, "a", 2)
    semaphore.acquire()
    thread = threading.Thread(target=semaphore.release)
    thread.start()
    thread.join(30)
    assert semaphore.free() == 2


@pytest.mark.parametrize("value", [0, -1])
def test_a_value_below_one_is_refused(cache: FastMmap, value: int) -> None:
    with pytest.raises(ValueError, match="at least one permit"):
        Semaphore(cache, "a", value)


def test_a_lost_permit_is_told(cache: FastMmap) -> None:
    semaphore = Semaphore(cache, "a", 2, lease_time=10)
    semaphore.acquire()
    with time_travel(11):
        others = Semaphore(cache, "a", 2)
        assert others.acquire(False) and others.acquire(False)
        with pytest.raises(LockLost):
            semaphore.release()
