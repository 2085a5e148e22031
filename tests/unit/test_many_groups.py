"""A group for each user: namespaces and tags take no room from values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support import MakeCache

from fastmmap import FastMmap

USERS = 12_000

#: How the value of a user is stored, and how it is looked up.
Stored = tuple[Callable[[FastMmap, str], Any], Callable[[FastMmap, str], Any]]
PLAIN: Stored = (lambda c, u: c.set(u, b"x" * 200), lambda c, u: c.get(u))
GROUPED: dict[str, Stored] = {
    "tag": (lambda c, u: c.set(u, b"x" * 200, tags=[u]), lambda c, u: c.get(u)),
    "namespace": (
        lambda c, u: c.namespace(u).set("key", b"x" * 200),
        lambda c, u: c.namespace(u).get("key"),
    ),
}


def count_kept(cache: FastMmap, how: Stored) -> int:
    """Return how many of more values than fit are there in the end."""
    store, look = how
    users = [f"user {number}" for number in range(USERS)]
    for user in users:
        store(cache, user)
        look(cache, user)
    return sum(look(cache, user) is not None for user in users)


@pytest.mark.quick
@pytest.mark.parametrize("how", GROUPED)
def test_a_group_for_each_value_costs_hardly_any(
    make_cache: MakeCache, how: str
) -> None:
    options = {"cache_size": "1m", "serializer": "raw", "init_file": True}
    with make_cache(**options) as cache:
        plain = count_kept(cache, PLAIN)
    kept = count_kept(make_cache(**options), GROUPED[how])
    assert USERS / 4 < plain < USERS / 2  # it was full
    assert kept > 0.92 * plain


@pytest.mark.parametrize("how", GROUPED)
def test_groups_that_end_one_after_another_leave_the_others(
    make_cache: MakeCache, how: str
) -> None:
    """Each ends for itself, but for the few whose base ends with a record."""
    cache = make_cache(cache_size="1m", serializer="raw")
    store, look = GROUPED[how]
    count_kept(cache, PLAIN)
    for number in range(500):
        store(cache, f"kept {number}")
    for number in range(100):
        name = f"ended {number}"
        cache.namespace(name).clear()
        cache.invalidate_tag(name)
    kept = sum(look(cache, f"kept {number}") is not None for number in range(500))
    assert kept > 350


def test_a_group_in_use_survives_the_end_of_many(make_cache: MakeCache) -> None:
    cache = make_cache(cache_size="1m", serializer="raw")
    count_kept(cache, PLAIN)
    cache.invalidate_tag("all")
    cache.set("key", b"value", tags=["all"])
    for number in range(1000):
        cache.invalidate_tag(f"user {number}")
        assert cache.get("key") == b"value"
