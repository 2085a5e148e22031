"""Adapters of frameworks with a server behind them: the same ones, one option more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tier_server
from support import LONG
from tier_support import LIMIT, settle

pytest.importorskip("cachelib")
pytest.importorskip("flask_caching")
pytest.importorskip("dogpile.cache")
pytest.importorskip("aiocache")

import flask
from aiocache.lock import OptimisticLock, OptimisticLockError, RedLock
from dogpile.cache import make_region
from dogpile.cache.api import NO_VALUE
from dogpile.testing.fixtures import _GenericBackendTestSuite, _GenericMutexTestSuite
from flask_caching import Cache

from fastmmap.contrib import aiocache, cachelib, shared, tiered
from fastmmap.redis.tracking import PROBE

pytestmark = pytest.mark.once


@pytest.fixture
def options(
    server: tier_server.Server, client: Any, tmp_path: Path
) -> Iterator[dict[str, Any]]:
    """Yield options of an adapter; what it opened is closed at the end."""
    yield options_for(server, str(tmp_path / "host"))
    close_all()


def options_for(server: tier_server.Server, path: str) -> dict[str, Any]:
    return {"share_file": path, "server": server.url, "max_lag": 5, "cache_size": "1m"}


def keys_on(client: Any) -> list[bytes]:
    """Return the keys on the server but those of listeners."""
    return [key for key in client.keys() if not key.endswith(PROBE.encode())]


def close_all() -> None:
    for _, _, tier in tiered._opened:
        tier.close()
    tiered._opened.clear()
    for _, cache in shared._opened:
        cache.close()


def live(adapter: Any) -> Any:
    """Return an adapter whose tier is live."""
    assert adapter._cache.tier.wait_until_live(LIMIT)
    return adapter


# ------------------------------------------------------------------- cachelib


def test_cachelib_keeps_its_contract(options: dict[str, Any], client: Any) -> None:
    cache = live(cachelib.FastMmapCache(key_prefix="app:", **options))
    assert cache.set("a", [1]) and cache.get("a") == [1]
    assert not cache.add("a", 2) and cache.add("b", 2)
    assert cache.get_many("a", "b", "c") == [[1], 2, None]
    assert cache.set_many({"c": 3, "d": 4}) == ["c", "d"]
    assert [cache.inc("n", 3), cache.dec("n"), cache.get("n")] == [3, 2, 2]
    with pytest.raises(TypeError, match="int"):
        cache.inc("a")
    assert [cache.has("a"), cache.delete("a"), cache.has("a")] == [True, True, False]
    assert cache.delete_many("b", "z") == ["b", "z"]
    assert cache.set("gone", 1, timeout=-1) and cache.get("gone") is None
    assert cache.set("ever", 1, timeout=0) and client.ttl("app:ever") == -1
    assert 290 < client.ttl("app:c") <= 300


def test_clear_spares_other_prefixes(options: dict[str, Any], client: Any) -> None:
    cache = live(cachelib.FastMmapCache(key_prefix="a*[b]?", **options))
    client.set("a1[b]2", 1)
    cache.set_many({str(number): number for number in range(3)})
    assert cache.clear()
    assert keys_on(client) == [b"a1[b]2"]
    assert cachelib.FastMmapCache(**options).clear()
    assert keys_on(client) == []


def test_a_hit_asks_nobody_and_a_change_elsewhere_is_seen(
    options: dict[str, Any], client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = live(cachelib.FastMmapCache(key_prefix="app:", **options))
    cache.set("a", 1)
    tier = cache._cache.tier
    settle(tier)
    assert cache.get("a") == 1
    with monkeypatch.context() as patch:
        patch.setattr(tier, "_execute", None)
        assert cache.get("a") == 1
    client.set("app:a", 2)
    settle(tier)
    assert cache.get("a") == 2


def test_adapters_with_the_same_options_share_a_tier(options: dict[str, Any]) -> None:
    one, other = (cachelib.FastMmapCache(key_prefix="app:", **options) for _ in "12")
    assert one._cache.tier is other._cache.tier
    third = cachelib.FastMmapCache(key_prefix="else:", **options)
    assert third._cache.tier is not one._cache.tier
    assert third._cache.file is one._cache.file


def test_a_server_needs_a_path(options: dict[str, Any]) -> None:
    del options["share_file"]
    with pytest.raises(ValueError, match="share_file"):
        cachelib.FastMmapCache(**options)


def test_options_of_a_tier_need_a_server(options: dict[str, Any]) -> None:
    del options["server"]
    with pytest.raises(TypeError, match="max_lag"):
        cachelib.FastMmapCache(**options)


def test_a_server_that_is_down_is_no_value_that_is_too_large(
    options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    lone = tier_server.Server()
    options.update(server=lone.url, on_down="miss")
    cache = live(cachelib.FastMmapCache(key_prefix="app:", **options))
    lone.close()
    assert not cache.set("a", 1) and not cache.add("a", 1)
    assert cache.get("a") is None and cache.get_many("a", "b") == [None, None]
    assert "too large" not in caplog.text


# -------------------------------------------------------------- Flask-Caching


def test_flask_caching_makes_a_view_once(options: dict[str, Any], client: Any) -> None:
    app = flask.Flask("test")
    app.config["CACHE_TYPE"] = "fastmmap.contrib.flask_caching.FastMmapCache"
    app.config["CACHE_KEY_PREFIX"] = "site:"
    app.config["CACHE_OPTIONS"] = options
    cache, calls = Cache(app), []

    @app.route("/")
    @cache.cached(timeout=60)
    def view() -> str:
        calls.append(1)
        return "page"

    web = app.test_client()
    assert [web.get("/").data for _ in range(3)] == [b"page"] * 3
    assert len(calls) == 1
    assert keys_on(client) == [b"site:view//"]
    with app.app_context():
        cache.clear()
    assert web.get("/").data == b"page" and len(calls) == 2


# -------------------------------------------------------------- dogpile.cache


@pytest.fixture(scope="module")
def lasting(
    server: tier_server.Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """Yield options for tests that use their cache after their end."""
    yield options_for(server, str(tmp_path_factory.mktemp("dogpile") / "host"))
    close_all()


class OfDogpile:
    """What the suites of dogpile.cache are given; they tidy up by themselves."""

    backend = "fastmmap"

    @pytest.fixture(autouse=True)
    def with_server(self, lasting: dict[str, Any]) -> None:
        self.config_args = {"arguments": lasting}


class TestBackend(OfDogpile, _GenericBackendTestSuite):  # type: ignore[misc]
    if LONG == 1:
        test_threaded_dogpile = test_threaded_get_multi = None  # they take long


class TestMutex(OfDogpile, _GenericMutexTestSuite):  # type: ignore[misc]
    pass


def test_dogpile_serves_what_another_host_created(
    options: dict[str, Any], client: Any, tmp_path: Path
) -> None:
    def region(name: str) -> Any:
        arguments = {**options, "share_file": str(tmp_path / name)}
        return make_region().configure("fastmmap", arguments=arguments)

    one, other = region("one"), region("other")
    assert one.get_or_create("key", lambda: "made") == "made"
    assert other.get_or_create("key", lambda: "again") == "made"
    tier = live(other.backend)._cache.tier
    client.delete("key")
    settle(tier)
    assert other.get("key") is NO_VALUE


# ------------------------------------------------------------------- aiocache


@pytest.fixture
def run(options: dict[str, Any]) -> Callable[..., list[Any]]:
    """Return what makes calls of a cache one after the other; it gives the results."""

    def run(*calls: Callable[[Any], Any]) -> list[Any]:
        async def all_of_them() -> list[Any]:
            cache = live(aiocache.FastMmapCache(namespace="app:", **options))
            return [await call(cache) for call in calls]

        return asyncio.run(all_of_them())

    return run


def test_aiocache_keeps_its_contract(run: Any, client: Any) -> None:
    assert run(
        lambda cache: cache.set("a", [1]),
        lambda cache: cache.get("a"),
        lambda cache: cache.add("b", 2, ttl=60),
        lambda cache: cache.multi_set([("c", 3), ("d", 4)]),
        lambda cache: cache.multi_get(["a", "b", "z"]),
        lambda cache: cache.increment("b", 5),
        lambda cache: cache.increment("n"),
        lambda cache: cache.exists("n"),
        lambda cache: cache.expire("d", 60),
        lambda cache: cache.expire("z", 60),
        lambda cache: cache.delete("c"),
        lambda cache: cache.get("c", 7),
    ) == [True, [1], True, True, [[1], 2, None], 7, 1, True, True, False, 1, 7]
    assert 50 < client.ttl("app:b") <= 60 and 50 < client.ttl("app:d") <= 60
    with pytest.raises(ValueError, match="exists"):
        run(lambda cache: cache.add("a", 1))
    with pytest.raises(TypeError, match="int"):
        run(lambda cache: cache.increment("a"))
    client.set("other", 1)
    assert run(lambda cache: cache.clear("app:")) == [True]
    assert keys_on(client) == [b"other"]


def test_aiocache_leaves_the_loop_only_to_ask_the_server(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hit(cache: Any) -> list[Any]:
        settle(cache._cache.tier)
        found = [await cache.get("a"), await cache.get("none")]
        with monkeypatch.context() as patch:
            patch.setattr(cache, "_call", None)
            return [*found, await cache.get("a"), await cache.get("none", 3)]

    done = run(lambda cache: cache.set("a", 1), hit)
    assert done == [True, [1, None, 1, 3]]


def test_locks_of_aiocache_are_of_the_server(run: Any, client: Any) -> None:
    async def red(cache: Any) -> list[bool]:
        first, second = RedLock(cache, "key", 20), RedLock(cache, "key", 20)
        await first.__aenter__()
        await second.__aexit__(None, None, None)
        held = await cache.exists("key-lock")
        await first.__aexit__(None, None, None)
        return [held, await cache.exists("key-lock")]

    async def optimistic(cache: Any) -> Any:
        await cache.set("n", 1)
        async with OptimisticLock(cache, "n") as lock:
            await lock.cas(2)
        async with OptimisticLock(cache, "n") as lock:
            client.set("app:n", 5)
            await lock.cas(3)

    assert run(red) == [[True, False]]
    with pytest.raises(OptimisticLockError):
        run(optimistic)
    assert client.get("app:n") == b"5"
