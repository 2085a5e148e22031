"""remove(), get_and_remove() and expire()."""

from __future__ import annotations

import pytest

from fastmmap import FastMmap
from fastmmap.testing import time_travel


@pytest.mark.quick
def test_remove_says_whether_the_key_was_there(cache: FastMmap) -> None:
    cache.set("key", 1)
    assert cache.remove("key") is True
    assert cache.remove("key") is False
    assert "key" not in cache


def test_remove_leaves_other_keys_alone(one_page: FastMmap) -> None:
    for number in range(50):
        one_page.set(f"key {number}", number)
    one_page.remove("key 25")
    assert len(one_page) == 49
    assert one_page.get("key 24") == 24


def test_remove_of_an_expired_value_says_that_it_was_not_there(
    cache: FastMmap,
) -> None:
    cache.set("key", 1, expire_time=50)
    with time_travel(60):
        assert cache.remove("key") is False


def test_a_removed_key_can_be_set_again(cache: FastMmap) -> None:
    cache.set("key", 1)
    cache.remove("key")
    cache.set("key", 2)
    assert cache.get("key") == 2


def test_get_and_remove_returns_value_and_whether_it_was_there(
    cache: FastMmap,
) -> None:
    cache.set("key", "value")
    result = cache.get_and_remove("key")
    assert (result.value, result.removed) == ("value", True)
    assert result == ("value", True)
    assert "key" not in cache


def test_get_and_remove_of_an_unknown_key_returns_the_default(
    cache: FastMmap,
) -> None:
    assert cache.get_and_remove("key") == (None, False)
    assert cache.get_and_remove("key", "default") == ("default", False)


def test_get_and_remove_of_none_says_that_it_was_there(cache: FastMmap) -> None:
    cache.set("key", None)
    assert cache.get_and_remove("key", "default") == (None, True)


def test_get_and_remove_of_a_large_value(cache: FastMmap) -> None:
    cache.set("key", b"x" * 10000)
    assert cache.get_and_remove("key") == (b"x" * 10000, True)


def test_expire_drops_the_value(cache: FastMmap) -> None:
    cache.set("key", 1)
    assert cache.expire("key") is True
    assert cache.get("key") is None
    assert cache.expire("key") is False
