"""get(): what it finds, and what it gives when it finds nothing."""

from __future__ import annotations

import pytest
from support import MakeCache

from fastmmap import FastMmap
from fastmmap.testing import time_travel


@pytest.mark.quick
def test_get_of_an_unknown_key_returns_none(cache: FastMmap) -> None:
    assert cache.get("nothing") is None


def test_get_of_an_unknown_key_returns_the_default(cache: FastMmap) -> None:
    default = object()
    assert cache.get("nothing", default) is default
    assert cache.get("nothing", default=default) is default


@pytest.mark.quick
def test_get_returns_what_was_set(cache: FastMmap) -> None:
    cache.set("key", "value")
    assert cache.get("key") == "value"


def test_get_takes_the_key_by_name(cache: FastMmap) -> None:
    cache.set(key="key", value="value")
    assert cache.get(key="key") == "value"


def test_get_tells_a_stored_none_from_a_miss(cache: FastMmap) -> None:
    cache.set("key", None)
    assert cache.get("key", "default") is None


def test_get_returns_a_new_object_each_time(cache: FastMmap) -> None:
    cache.set("key", [1])
    first = cache.get("key")
    first.append(2)
    assert cache.get("key") == [1]


def test_get_after_expiry_returns_the_default(cache: FastMmap) -> None:
    cache.set("key", "value", expire_time=100)
    with time_travel(110):
        assert cache.get("key", "default") == "default"


def test_get_after_remove_returns_the_default(cache: FastMmap) -> None:
    cache.set("key", "value")
    cache.remove("key")
    assert cache.get("key", "default") == "default"


def test_get_sees_what_another_object_stored(
    cache: FastMmap, make_cache: MakeCache
) -> None:
    make_cache().set("key", "theirs")
    assert cache.get("key") == "theirs"


def test_get_of_values_of_all_lengths_around_a_kilobyte(cache: FastMmap) -> None:
    for length in [*range(70), *range(1000, 1050), 4096, 20000]:
        value = bytes(i & 255 for i in range(length))
        assert cache.set("key", value)
        assert cache.get("key") == value


def test_get_needs_a_key(cache: FastMmap) -> None:
    with pytest.raises(TypeError):
        cache.get()  # type: ignore[call-arg]  # on purpose


def test_get_refuses_an_unknown_option(cache: FastMmap) -> None:
    with pytest.raises(TypeError, match="colour"):
        cache.get("key", colour="red")  # type: ignore[call-arg]  # on purpose
