"""Leases as the binding has them: what get_or_set and memoize are made of."""

from __future__ import annotations

import ast
import gc
import os
import time
from typing import Any

import pytest
from support import BackingStore, MakeCache, another_computes

from fastmmap import ClosedError, FastMmap, LockError, _core
from fastmmap.testing import time_travel

MINUTE = 60_000


def take(cache: FastMmap, key: str = "key", refresh: bool = False) -> Any:
    """Return the outcome of an attempt, and who has it."""
    return _core.Lease(cache, key, MINUTE).take(refresh)[:2]


@pytest.mark.quick
def test_one_has_the_lease_and_the_next_hears_who(cache: FastMmap) -> None:
    lease = another_computes(cache)
    assert lease.token and lease.key == "key" and lease.cache is cache
    assert _core.Lease(cache, "key", MINUTE).take() == (
        _core.LEASE_LEASED,
        os.getpid(),
        lease.token,
    )
    assert lease.store([1]) == _core.LEASE_STORED
    assert lease.token is None
    assert take(cache) == (_core.LEASE_EXISTS, 0)
    assert cache["key"] == [1]


def test_a_lease_is_no_key_of_the_cache(cache: FastMmap) -> None:
    lease = another_computes(cache)
    assert "key" not in cache and cache.get("key") is None
    assert len(cache) == 0 and list(cache) == [] and cache.get_keys(1) == []
    assert cache.check().ok
    assert cache.remove("key") is False
    assert lease.release() is False


def test_a_lease_that_was_given_back_stores_nothing(cache: FastMmap) -> None:
    lease = another_computes(cache)
    assert lease.release() is True
    assert lease.release() is False
    assert lease.store("late") == _core.LEASE_LOST
    assert "key" not in cache


def test_a_lease_holds_nothing_before_it_is_taken(cache: FastMmap) -> None:
    with _core.Lease(cache, "key", MINUTE) as lease:
        assert lease.running and lease.token is None
        assert lease.store(1) == _core.LEASE_LOST and lease.release() is False
    assert not lease.running


def test_the_end_of_the_block_ends_the_lease(cache: FastMmap) -> None:
    with pytest.raises(KeyError), _core.Lease(cache, "key", MINUTE) as lease:
        assert lease.take()[0] == _core.LEASE_TAKEN
        raise KeyError
    assert cache._lease_peek("key") is None


def test_a_lease_that_is_forgotten_is_free(cache: FastMmap) -> None:
    another_computes(cache)
    gc.collect()
    assert cache._lease_peek("key") is None


def test_a_lease_is_given_back_after_its_cache_was_closed(
    make_cache: MakeCache,
) -> None:
    cache, other = make_cache(), make_cache()
    lease = another_computes(cache)
    cache.close()
    assert other._lease_peek("key") is not None
    assert lease.release() is True
    assert other._lease_peek("key") is None


def test_a_removed_key_refuses_what_was_computed(cache: FastMmap) -> None:
    lease = another_computes(cache)
    cache.remove("key")
    other = another_computes(cache)
    assert lease.store("stale") == _core.LEASE_LOST
    assert other.store("fresh") == _core.LEASE_STORED
    assert cache["key"] == "fresh"


def test_a_tombstone_refuses_a_lease(cache: FastMmap) -> None:
    cache.remove("key", modseq=3)
    assert take(cache) == (_core.LEASE_REFUSED, 0)


def test_a_key_too_long_for_a_page_refuses_a_lease(one_page: FastMmap) -> None:
    assert take(one_page, "k" * 60_000) == (_core.LEASE_REFUSED, 0)


def test_a_value_without_room_leaves_the_lease(one_page: FastMmap) -> None:
    lease = another_computes(one_page)
    assert lease.store(b"x" * 10**6) == _core.LEASE_REFUSED
    assert lease.release() is True


def test_a_value_with_room_is_refreshed_while_it_is_read(cache: FastMmap) -> None:
    assert another_computes(cache).store("old", None, True) == _core.LEASE_STORED
    lease = _core.Lease(cache, "key", MINUTE)
    assert lease.take(True)[0] == _core.LEASE_TAKEN
    assert cache["key"] == "old"
    assert take(cache, refresh=True) == (_core.LEASE_LEASED, os.getpid())
    assert lease.store("new", 10, True) == _core.LEASE_STORED
    assert cache["key"] == "new"
    with time_travel(11):
        assert "key" not in cache


def test_a_deadline_ends_a_lease(cache: FastMmap) -> None:
    lease = another_computes(cache)
    with time_travel(61):
        assert take(cache)[0] == _core.LEASE_TAKEN
    assert lease.release() is False


def test_an_absence_that_read_cb_left_is_no_value(make_cache: MakeCache) -> None:
    store = BackingStore()
    cache = make_cache(cache_not_found=True, **store.options())
    other = make_cache()
    assert cache.get("key") is None
    assert take(other)[0] == _core.LEASE_TAKEN


def test_write_cb_hears_of_what_was_computed(make_cache: MakeCache) -> None:
    store = BackingStore()
    cache = make_cache(**store.options())
    assert another_computes(cache).store(1) == _core.LEASE_STORED
    assert store.calls == [("write", "key", 1, None)]
    lease = another_computes(cache, "other")
    cache.remove("other")
    assert lease.store(2) == _core.LEASE_LOST
    assert "other" not in store


def test_a_value_that_cannot_be_stored_leaves_the_lease(cache: FastMmap) -> None:
    lease = another_computes(cache)
    with pytest.raises(TypeError):
        lease.store(os.scandir())
    assert lease.token is not None and "key" not in cache


def test_an_expired_change_is_written_back_before_its_key_is_computed(
    make_cache: MakeCache,
) -> None:
    store = BackingStore()
    cache = make_cache(write_action="write_back", **store.options())
    cache.set("key", "changed", expire_time=10)
    with time_travel(11):
        another_computes(cache)
    assert store == {"key": "changed"}


def test_a_closed_cache_and_one_in_use_say_so(cache: FastMmap) -> None:
    lease = another_computes(cache, "other")
    with cache.lock("key"), pytest.raises(LockError):
        take(cache)
    cache.close()
    with pytest.raises(ClosedError):
        take(cache)
    with pytest.raises(ClosedError):
        lease.store(1)
    with pytest.raises(ClosedError):
        cache._lease_peek("key")


@pytest.mark.parametrize("arguments", [(), ("key",), (1, 1), ("key", "x")])
def test_bad_arguments_are_type_errors(
    cache: FastMmap, arguments: tuple[Any, ...]
) -> None:
    with pytest.raises(TypeError):
        _core.Lease(cache, *arguments)
    with pytest.raises(TypeError):
        _core.Lease.__new__(_core.Lease).take()


def test_a_lease_tells_who_has_it_and_how_long(cache: FastMmap) -> None:
    assert cache._lease_peek("key") is None
    began = time.time()
    lease = another_computes(cache)
    found = cache._lease_peek("key")
    assert found is not None
    pid, since, until = found
    assert pid == os.getpid()
    assert began - 1.1 < since <= time.time()
    assert began + 59 < until <= time.time() + 60
    lease.store(1)
    assert cache._lease_peek("key") is None


def tokens_of(cache: FastMmap, count: int) -> list[int]:
    """Take so many leases; return their tokens."""
    tokens = []
    for _ in range(count):
        lease = _core.Lease(cache, "key", MINUTE)
        lease.take()
        tokens.append(lease.token or 0)
        lease.release()
    return tokens


def tokens_of_a_fork(cache: FastMmap, count: int) -> list[int]:
    """Return those that a child takes."""
    here, there = os.pipe()
    if os.fork() == 0:
        os.write(there, repr(tokens_of(cache, count)).encode())
        os._exit(0)
    os.close(there)
    with open(here, "rb") as told:
        tokens: list[int] = ast.literal_eval(told.read().decode())
    os.wait()
    return tokens


def test_no_two_leases_have_one_token(cache: FastMmap, path: str) -> None:
    tokens = tokens_of(cache, 100) + tokens_of_a_fork(cache, 100)
    tokens += tokens_of(cache, 100) + tokens_of(FastMmap(path), 100)
    assert len(set(tokens)) == 400 and 0 not in tokens
    for bit in range(1, 64):  # each is set as often as not
        assert 100 < sum(token >> bit & 1 for token in tokens) < 300
