"""add() and replace(): only if absent, only if present."""

from __future__ import annotations

import pytest

from fastmmap import FastMmap
from fastmmap.testing import time_travel


@pytest.mark.quick
def test_add_stores_only_what_is_absent(cache: FastMmap) -> None:
    assert cache.add("key", "first") is True
    assert cache.add("key", "second") is False
    assert cache.get("key") == "first"


@pytest.mark.quick
def test_replace_stores_only_over_what_is_present(cache: FastMmap) -> None:
    assert cache.replace("key", "first") is False
    assert "key" not in cache
    cache.set("key", "first")
    assert cache.replace("key", "second") is True
    assert cache.get("key") == "second"


def test_an_expired_value_counts_as_absent(cache: FastMmap) -> None:
    cache.set("key", "old", expire_time=50)
    with time_travel(60):
        assert cache.replace("key", "new") is False
        assert cache.add("key", "new") is True
        assert cache.get("key") == "new"


def test_a_stored_none_counts_as_present(cache: FastMmap) -> None:
    cache.set("key", None)
    assert cache.add("key", 1) is False
    assert cache.replace("key", 1) is True


def test_add_takes_a_lifetime(cache: FastMmap) -> None:
    cache.add("key", 1, expire_time=50)
    with time_travel(60):
        assert cache.add("key", 2) is True


def test_replace_takes_a_lifetime(cache: FastMmap) -> None:
    cache.set("key", 1)
    cache.replace("key", 2, expire_time=50)
    with time_travel(60):
        assert "key" not in cache


def test_a_refused_add_does_not_change_the_lifetime(cache: FastMmap) -> None:
    cache.set("key", 1, expire_time=50)
    cache.add("key", 2, expire_time=1000)
    with time_travel(60):
        assert "key" not in cache


def test_replace_by_too_large_a_value_keeps_the_old_one(one_page: FastMmap) -> None:
    one_page.set("key", "old")
    assert one_page.replace("key", b"x" * 65536) is False
    assert one_page.get("key") == "old"
    assert one_page.add("other", b"x" * 65536) is False


def test_a_removed_key_can_be_added(cache: FastMmap) -> None:
    cache.set("key", 1)
    cache.remove("key")
    assert cache.add("key", 2) is True
