"""Leases as the binding has them: what get_or_set and memoize are made of."""

from __future__ import annotations

import os
import time

import pytest
from support import BackingStore, MakeCache

from fastmmap import ClosedError, FastMmap, LockError
from fastmmap.testing import time_travel

MINUTE = 60_000


def token_of(cache: FastMmap, key: str = "key", refresh: bool = False) -> int:
    outcome, token = cache._lease_take(key, MINUTE, refresh)
    assert outcome == "taken" and token > 0
    return token


@pytest.mark.quick
def test_one_has_the_lease_and_the_next_hears_who(cache: FastMmap) -> None:
    token = token_of(cache)
    assert cache._lease_take("key", MINUTE) == ("leased", os.getpid())
    assert cache._lease_store("key", [1], token) is True
    assert cache._lease_take("key", MINUTE) == ("exists", 0)
    assert cache["key"] == [1]


def test_a_lease_is_no_key_of_the_cache(cache: FastMmap) -> None:
    token_of(cache)
    assert "key" not in cache and cache.get("key") is None
    assert len(cache) == 0 and list(cache) == [] and cache.get_keys(1) == []
    assert cache.check().ok
    assert cache.remove("key") is False


def test_a_lease_that_was_given_back_stores_nothing(cache: FastMmap) -> None:
    token = token_of(cache)
    assert cache._lease_release("key", token) is True
    assert cache._lease_release("key", token) is False
    assert cache._lease_store("key", "late", token) is False
    assert "key" not in cache


def test_a_removed_key_refuses_what_was_computed(cache: FastMmap) -> None:
    token = token_of(cache)
    cache.remove("key")
    other = token_of(cache)
    assert cache._lease_store("key", "stale", token) is False
    assert cache._lease_store("key", "fresh", other) is True
    assert cache["key"] == "fresh"


def test_a_tombstone_refuses_a_lease(cache: FastMmap) -> None:
    cache.remove("key", modseq=3)
    assert cache._lease_take("key", MINUTE) == ("refused", 0)


def test_a_key_too_long_for_a_page_refuses_a_lease(one_page: FastMmap) -> None:
    assert one_page._lease_take("k" * 60_000, MINUTE) == ("refused", 0)


def test_a_value_with_room_is_refreshed_while_it_is_read(cache: FastMmap) -> None:
    assert cache._lease_store("key", "old", token_of(cache), None, True)
    token = token_of(cache, refresh=True)
    assert cache["key"] == "old"
    assert cache._lease_take("key", MINUTE, True) == ("leased", os.getpid())
    assert cache._lease_store("key", "new", token, 10, True)
    assert cache["key"] == "new"
    with time_travel(11):
        assert "key" not in cache


def test_a_deadline_ends_a_lease(cache: FastMmap) -> None:
    token_of(cache)
    with time_travel(61):
        assert cache._lease_take("key", MINUTE)[0] == "taken"


def test_an_absence_that_read_cb_left_is_no_value(make_cache: MakeCache) -> None:
    store = BackingStore()
    cache = make_cache(cache_not_found=True, **store.options())
    other = make_cache()
    assert cache.get("key") is None
    assert other._lease_take("key", MINUTE)[0] == "taken"


def test_write_cb_hears_of_what_was_computed(make_cache: MakeCache) -> None:
    store = BackingStore()
    cache = make_cache(**store.options())
    cache._lease_store("key", 1, token_of(cache))
    assert store.calls == [("write", "key", 1, None)]
    token = token_of(cache, "other")
    cache.remove("other")
    cache._lease_store("other", 2, token)
    assert "other" not in store


def test_an_expired_change_is_written_back_before_its_key_is_computed(
    make_cache: MakeCache,
) -> None:
    store = BackingStore()
    cache = make_cache(write_action="write_back", **store.options())
    cache.set("key", "changed", expire_time=10)
    with time_travel(11):
        token_of(cache)
    assert store == {"key": "changed"}


def test_a_closed_cache_and_one_in_use_say_so(cache: FastMmap) -> None:
    with cache.lock("key"), pytest.raises(LockError):
        cache._lease_take("key", MINUTE)
    cache.close()
    with pytest.raises(ClosedError):
        cache._lease_take("key", MINUTE)
    with pytest.raises(ClosedError):
        cache._lease_store("key", 1, 1)
    with pytest.raises(ClosedError):
        cache._lease_release("key", 1)
    with pytest.raises(ClosedError):
        cache._lease_peek("key")
    with pytest.raises(ClosedError):
        cache._lease_extend("key", 1, 1)


@pytest.mark.parametrize("arguments", [(), ("key",), (1, 1), ("key", "x")])
def test_bad_arguments_are_type_errors(
    cache: FastMmap, arguments: tuple[object, ...]
) -> None:
    with pytest.raises(TypeError):
        cache._lease_take(*arguments)  # type: ignore[arg-type]


def test_a_lease_tells_who_has_it_and_how_long(cache: FastMmap) -> None:
    assert cache._lease_peek("key") is None
    began = time.time()
    token = token_of(cache)
    found = cache._lease_peek("key")
    assert found is not None
    pid, since, until = found
    assert pid == os.getpid()
    assert began - 1.1 < since <= time.time()
    assert began + 59 < until <= time.time() + 60
    cache._lease_store("key", 1, token)
    assert cache._lease_peek("key") is None


def test_a_lease_is_extended_by_its_token(cache: FastMmap) -> None:
    token = token_of(cache)
    assert cache._lease_extend("key", token + 1, 2 * MINUTE) is False
    assert cache._lease_extend("key", token, 2 * MINUTE) is True
    with time_travel(100):
        assert cache._lease_take("key", MINUTE)[0] == "leased"
        assert cache._lease_store("key", 1, token) is True
        assert cache._lease_extend("key", token, MINUTE) is False
