"""ttl, persist, get(touch=), and keys by their beginning."""

from __future__ import annotations

from typing import Any

import pytest
from support import MakeCache

from fastmmap import FastMmap
from fastmmap.testing import time_travel


@pytest.mark.quick
def test_the_seconds_left_are_told(cache: FastMmap) -> None:
    cache.set("key", 1, "10m")
    cache.set("for ever", 1)
    left = cache.ttl("key")
    assert left is not None and 599 < left <= 600
    assert cache.ttl("for ever") is None
    with time_travel(590):
        left = cache.ttl("key")
        assert left is not None and 9 < left <= 10


def test_what_is_not_there_has_no_seconds_left(make_cache: MakeCache) -> None:
    cache = make_cache(read_cb=lambda context, key: 1 / 0, enable_stats=True)
    cache.set("expired", 1, "1s")
    cache.remove("tombstone", modseq=5)
    with time_travel(2):
        for key in ("missing", "expired", "tombstone", b"expired"):
            with pytest.raises(KeyError) as caught:
                cache.ttl(key)
            assert caught.value.args == (key,)
    with pytest.raises(TypeError, match="int"):
        cache.ttl(1)  # type: ignore[arg-type]  # on purpose
    assert cache.get_statistics() == (0, 0)


class Unreadable:
    def __reduce__(self) -> Any:
        return int, ("nothing",)


def test_a_value_need_not_be_readable_for_that(cache: FastMmap) -> None:
    cache.set("key", Unreadable(), "1h")
    left = cache.ttl("key")
    assert left is not None and left > 3000


@pytest.mark.quick
def test_a_value_can_be_made_to_stay(cache: FastMmap) -> None:
    cache.set("key", "value", "10s")
    assert cache.persist("key") is True
    assert cache.persist("missing") is False
    with time_travel(60):
        assert cache["key"] == "value"
    assert cache.ttl("key") is None


@pytest.mark.quick
def test_get_may_give_a_new_lifetime(cache: FastMmap) -> None:
    cache.set("key", "value", "10s")
    assert cache.get("key", touch="10m") == "value"
    with time_travel(60):
        assert cache.get("key", touch=None) == "value"
        assert cache.get("key", None, touch="never") == "value"
    assert cache.ttl("key") is None
    assert cache.get("missing", "default", touch=10) == "default"
    assert "missing" not in cache


def test_a_lifetime_that_get_cannot_read_is_an_error(cache: FastMmap) -> None:
    cache.set("key", "value", "10s")
    with pytest.raises(ValueError, match="lifetime"):
        cache.get("key", touch="soon")
    with pytest.raises(TypeError):
        cache.get("key", None, "10m")  # type: ignore[misc]  # by name only
    assert cache["key"] == "value"


KEYS: list[Any] = ["user:1", "user:2", "use", "other", "", b"user:1", b"\xff1", "usér"]


@pytest.mark.quick
@pytest.mark.parametrize("prefix", ["user:", "us", "", b"user:", b"\xff", b"", "none"])
def test_keys_are_found_and_removed_by_their_beginning(
    cache: FastMmap, prefix: Any
) -> None:
    wanted = {
        key for key in KEYS if type(key) is type(prefix) and key.startswith(prefix)
    }
    for place in (cache, cache.namespace("space")):
        place.set_many({key: 1 for key in KEYS})
        assert set(place.iter_prefix(prefix)) == wanted
        assert place.delete_prefix(prefix) == len(wanted)
        assert set(place) == set(KEYS) - wanted


def test_a_prefix_is_str_or_bytes(cache: FastMmap) -> None:
    for call in (cache.iter_prefix, cache.delete_prefix):
        with pytest.raises(TypeError, match="a prefix must be str or bytes, not int"):
            call(1)  # type: ignore[arg-type]  # on purpose


def test_asking_how_long_a_value_lives_is_no_read_of_it(cache: FastMmap) -> None:
    cache["key"] = 1
    assert cache.ttl("key") is None
    with pytest.raises(KeyError):
        cache.ttl("other")
    assert cache.stats().reads == 0
