"""Django in front of Redis: what its own backend answers, and that both agree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import django
import pytest
import tier_server
from django.conf import settings
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from tier_support import LIMIT, settle

from fastmmap.contrib import django_tiered, tiered

BACKEND = "fastmmap.contrib.django.TieredCache"


@pytest.fixture(autouse=True)
def configured(server: tier_server.Server, client: Any, path: str) -> Iterator[None]:
    """Let one cache be ours, and one Django's own, on the same server."""
    if not settings.configured:
        settings.configure(SECRET_KEY="for tests", USE_TZ=True)
        django.setup()
    ours = {"share_file": path, "cache_size": "1m", "max_lag": 5}
    theirs = "django.core.cache.backends.redis.RedisCache"
    with override_settings(
        CACHES={
            "default": {
                "BACKEND": BACKEND,
                "LOCATION": server.url,
                "KEY_PREFIX": "site",
                "OPTIONS": ours,
            },
            "theirs": {
                "BACKEND": theirs,
                "LOCATION": server.url,
                "KEY_PREFIX": "site",
            },
        }
    ):
        assert caches["default"].tier.wait_until_live(LIMIT)
        yield
        tier = caches["default"].tier
        tier.close()
        tiered._opened.clear()


@pytest.mark.parametrize("value", [5, -1, True, None, "x", b"x", {"a": [1.5]}])
def test_both_backends_read_what_the_other_wrote(value: Any) -> None:
    ours, theirs = caches["default"], caches["theirs"]
    ours.set("a", value)
    theirs.set("b", value)
    settle(ours.tier)
    assert theirs.get("a", 7) == value
    assert [ours.get("b", 7), ours.get("b", 7)] == [value, value]


def test_the_operations_answer_as_those_of_django() -> None:
    cache = caches["default"]
    assert cache.add("a", 1) and not cache.add("a", 2)
    assert not cache.set("a", 3, nx=True) and cache.set("b", 3, nx=True)
    assert cache.incr("a", 4) == 5 and cache.decr("a") == 4
    with pytest.raises(ValueError, match="not found"):
        cache.incr("none")
    assert cache.has_key("a") and "none" not in cache
    assert cache.set_many({"c": 1, "d": 2}) == []
    assert cache.get_many(["c", "d", "none"]) == {"c": 1, "d": 2}
    assert cache.get_or_set("e", lambda: 9) == cache.get("e") == 9
    cache.delete_many(["c", "d"])
    assert cache.delete("a") and not cache.delete("a")
    assert cache.get_many(["a", "c", "d"]) == {}
    cache.set("v", 1, version=2)
    assert cache.get("v") is None and cache.get("v", version=2) == 1
    assert cache.incr_version("v", version=2) == 3
    cache.clear()
    assert cache.get("b") is None


def test_lifetimes_are_those_of_django() -> None:
    cache = caches["default"]
    cache.set("a", 1)
    assert 299 <= cache.ttl("a") <= 300
    assert cache.persist("a") and cache.ttl("a") is None
    assert cache.expire("a", 60) and 59_000 < cache.pttl("a") <= 60_000
    assert cache.touch("a", 0) and cache.get("a") is None and cache.ttl("a") == 0
    cache.set("a", 1, timeout=-1)
    assert cache.get("a") is None
    cache.set("a", 1)
    assert not cache.add("a", 2, timeout=0) and cache.get("a") == 1
    assert cache.add("b", 2, timeout=0) and cache.get("b") is None


def test_keys_are_found_by_patterns() -> None:
    cache = caches["default"]
    cache.set_many({"user:1": 1, "user:2": 2, "page": 3})
    assert sorted(cache.keys("user:*")) == ["user:1", "user:2"]
    assert cache.delete_pattern("user:*") == 2
    assert cache.keys("*") == ["page"]


def test_backends_of_a_process_share_one_tier() -> None:
    one = caches["default"]
    other = caches.create_connection("default")
    assert one is not other and one.tier is other.tier


@pytest.mark.parametrize(
    ("location", "options"),
    [(["redis://a", "redis://b"], {"share_file": "x"}), ("redis://a", {})],
)
def test_settings_that_cannot_be_are_refused(location: Any, options: Any) -> None:
    with pytest.raises(ImproperlyConfigured):
        django_tiered.TieredCache(location, {"OPTIONS": options})
