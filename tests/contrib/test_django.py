"""The Django backend: what its own tests, in tests/outside, do not ask."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import os
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
import pytest
from broken import Broken
from django.conf import settings
from django.core.cache import cache, caches
from django.core.cache.backends.base import BaseCache, CacheKeyWarning
from django.core.cache.backends.dummy import DummyCache
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.template import Context, Engine
from django.test import override_settings
from held_pages import watched
from support import run_scenario

from fastmmap.contrib.django import FastMmapCache
from fastmmap.testing import time_travel

BACKEND = "fastmmap.contrib.django.FastMmapCache"


def configure() -> None:
    if not settings.configured:
        settings.configure(
            INSTALLED_APPS=["django.contrib.sessions"],
            DATABASES={
                "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
            },
            DEFAULT_AUTO_FIELD="django.db.models.AutoField",
            SECRET_KEY="for tests",
            USE_TZ=True,
        )
        django.setup()
        call_command("migrate", verbosity=0)


def setting(path: str, **others: Any) -> dict[str, Any]:
    """Return the entry of CACHES for a small cache."""
    options = {"cache_size": "1m", **others.pop("OPTIONS", {})}
    return {"BACKEND": BACKEND, "LOCATION": path, "OPTIONS": options, **others}


@pytest.fixture(autouse=True)
def configured(path: str) -> Iterator[None]:
    """Let `cache` and `caches` be on the test's file."""
    configure()
    with override_settings(
        CACHES={
            "default": setting(path),
            "other": setting(path, KEY_PREFIX="other", VERSION=7),
            "forever": setting(path, TIMEOUT=None),
        }
    ):
        yield


def test_all_backends_of_a_process_share_one_open_file() -> None:
    found = [caches["default"]._cache]
    thread = threading.Thread(target=lambda: found.append(caches["default"]._cache))
    thread.start()
    thread.join()
    assert found[0] is found[1] is caches["other"]._cache


def test_close_leaves_the_file_open() -> None:
    cache.set("key", 1)
    cache.close()
    asyncio.run(cache.aclose())
    assert cache.get("key") == 1


def visit_elsewhere(path: str) -> int:
    configure()
    with override_settings(CACHES={"default": setting(path)}):
        assert cache.get("key") == {"from": "the test"}
        return int(cache.incr("count"))


def test_another_process_sees_the_same_cache(path: str) -> None:
    cache.set("key", {"from": "the test"})
    cache.set("count", 41)
    assert run_scenario(visit_elsewhere, path) == 42
    assert cache.get("count") == 42


@pytest.mark.parametrize(
    ("timeout", "alive"),
    [
        *((None, True), (10**6, True), (59, False), (0.5, False)),
        *((sys.maxsize, True), (float("inf"), True), (10**400, True)),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_timeout_is_in_seconds_and_none_is_for_ever(
    timeout: Any, alive: bool
) -> None:
    cache.set("key", 1, timeout)
    assert "key" in cache
    with time_travel(60):
        assert ("key" in cache) is alive


@pytest.mark.parametrize("timeout", [0, -1, -0.5])
def test_a_timeout_of_nothing_or_less_has_expired(timeout: float) -> None:
    cache.set("key", "old")
    cache.set("key", "new", timeout)
    assert cache.get("key") is None
    assert cache.add("added", 1, timeout)
    assert cache.get("added") is None
    cache.set("touched", 1)
    assert cache.touch("touched", timeout)
    assert cache.get("touched") is None


def test_the_default_timeout_is_that_of_the_settings() -> None:
    cache.set("key", 1)
    caches["forever"].set("kept", 1)
    with time_travel(301):
        assert cache.get("key") is None
        assert cache.get("kept") == 1


def test_incr_keeps_the_timeout() -> None:
    cache.set("count", 1, timeout=60)
    assert cache.incr("count", 4) == 5
    with time_travel(61):
        assert cache.get("count") is None


def test_incr_adds_whatever_can_be_added() -> None:
    cache.set("share", 0.5)
    assert cache.incr("share", 1) == 1.5
    cache.set("large", 2**80)
    assert cache.decr("large") == 2**80 - 1


def test_incr_of_a_missing_key_makes_none() -> None:
    with pytest.raises(ValueError, match="'count' not found"):
        cache.incr("count")
    assert "count" not in cache


def test_threads_lose_no_step_of_a_counter() -> None:
    cache.set("count", 0)

    def count() -> None:
        for _ in range(200):
            caches["default"].incr("count")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.get("count") == 800


def test_get_or_set_takes_the_default_or_calls_it() -> None:
    assert cache.get_or_set("plain", 1, timeout=60) == 1
    assert cache.get_or_set("called", lambda: None, version=3) is None
    assert cache.get_or_set("called", 5, version=3) is None
    assert cache.get_or_set("called", 5) == 5
    assert cache.get_or_set("expired", 6, timeout=0) == 6
    assert "expired" not in cache
    with time_travel(61):
        assert cache.get_or_set("plain", 2) == 2


def ask_in_processes(path: str) -> list[int]:
    """Want the same value in four processes; return how they ended."""
    configure()

    def make() -> str:
        with open(f"{path}.calls", "a") as calls:
            calls.write("call ")
        time.sleep(0.3)
        return "the report"

    with override_settings(CACHES={"default": setting(path)}):
        children = []
        for _ in range(4):
            children.append(os.fork())
            if children[-1] == 0:
                os._exit(0 if cache.get_or_set("report", make) == "the report" else 1)
    return [os.waitpid(child, 0)[1] for child in children]


def test_get_or_set_computes_once_for_all_processes(path: str) -> None:
    assert run_scenario(ask_in_processes, path) == [0] * 4
    assert Path(f"{path}.calls").read_text() == "call "


async def fetch() -> str:
    await asyncio.sleep(0)
    return "fetched"


@pytest.mark.parametrize(
    "default",
    [fetch, lambda: fetch(), functools.partial(fetch), lambda: "fetched"],
    ids=["async def", "lambda", "partial", "plain"],
)
def test_aget_or_set_awaits_what_is_to_be_awaited_once(default: Any) -> None:
    async def main() -> list[Any]:
        wanted = (cache.aget_or_set("key", default) for _ in range(3))
        return list(await asyncio.gather(*wanted))

    assert asyncio.run(main()) == ["fetched"] * 3
    assert cache.get("key") == "fetched"


def test_aget_or_set_waits_without_blocking_the_loop() -> None:
    calls = []

    async def make() -> str:
        calls.append("call")
        await asyncio.sleep(0.05)
        return "the report"

    def other() -> str:
        raise AssertionError("nothing to compute")

    async def ask() -> list[str]:
        first = asyncio.ensure_future(cache.aget_or_set("report", make))
        await asyncio.sleep(0)
        others = [cache.aget_or_set("report", default) for default in (make, other, 1)]
        return [*await asyncio.gather(*others), await first]

    assert asyncio.run(ask()) == ["the report"] * 4
    assert calls == ["call"]


def test_prefixes_and_versions_are_apart() -> None:
    cache.set("key", 1)
    caches["other"].set("key", 2)
    assert (cache.get("key"), caches["other"].get("key")) == (1, 2)
    assert cache.get("key", version=7) is None


def test_clear_empties_the_whole_file() -> None:
    caches["other"].set("key", 2)
    cache.clear()
    assert caches["other"].get("key") is None


def test_get_many_tells_none_from_a_miss() -> None:
    cache.set_many({"nothing": None, "one": 1})
    assert cache.get_many(iter(["nothing", "one", "two"])) == {
        "nothing": None,
        "one": 1,
    }


def test_a_value_that_does_not_fit_is_logged_and_its_key_is_free(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cache.set_many({"key": "old", "large": "old"})
    with caplog.at_level(logging.WARNING, "fastmmap"):
        cache.set("key", b"x" * 500_000)
        assert cache.set_many({"small": 1, "large": b"x" * 500_000}) == ["large"]
        assert cache.add("added", b"x" * 500_000) is False
        assert len(cache.get_or_set("made", lambda: b"x" * 500_000)) == 500_000
    assert cache.get_many(["key", "large", "small", "added", "made"]) == {"small": 1}
    assert caplog.text.count("is too large") == 4


@pytest.mark.parametrize("key", ["two words", "x" * 251, "tab\t", "\x7f"])
def test_a_key_that_memcached_would_refuse_is_warned_about(key: str) -> None:
    with pytest.warns(CacheKeyWarning):
        cache.set(key, 1)
    with pytest.warns(CacheKeyWarning):
        assert cache.get(key) == 1


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("MAX_ENTRIES", "cache_size"),
        ("CULL_FREQUENCY", "evicts"),
        ("share_file", "LOCATION"),
        ("expire_time", "TIMEOUT"),
    ],
)
def test_what_is_said_elsewhere_is_refused(path: str, name: str, advice: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"'{name}'.*{advice}"):
        FastMmapCache(path, {"OPTIONS": {name: 300}})


def test_a_misspelt_option_is_an_error(path: str) -> None:
    with pytest.raises(TypeError, match="cache_siez"):
        FastMmapCache(path, {"OPTIONS": {"cache_siez": "1m"}})


def test_what_uses_no_cache_creates_none(path: str) -> None:
    call_command("check", verbosity=0)
    caches["default"].close()
    assert not os.path.exists(path)


def test_a_cache_that_cannot_be_opened_is_an_error_of_its_use(path: str) -> None:
    os.mkdir(path)
    backend = FastMmapCache(path, {})
    with pytest.raises(OSError, match="directory"):
        backend.get("key")
    os.rmdir(path)
    backend.set("key", 1)
    assert backend.get("key") == 1


def answers(backend: Any) -> list[object]:
    """Use every method once; return what they say."""
    return [
        backend.set("key", 1),
        backend.get("key", "missing"),
        backend.add("key", 2),
        backend.touch("key"),
        backend.has_key("key"),
        backend.get_or_set("key", lambda: "made"),
        backend.get_or_set("key", "given"),
        backend.set_many({"a": 1}),
        backend.get_many(["a", "b"]),
        backend.delete("key"),
        backend.delete_many(["a"]),
        backend.clear(),
    ]


def without_a_cache(path: str) -> Any:
    """Return a backend whose file cannot be opened."""
    os.mkdir(path)
    return FastMmapCache(path, {"OPTIONS": {"IGNORE_EXCEPTIONS": True}})


def test_ignoring_exceptions_it_answers_like_the_dummy_cache(path: str) -> None:
    backend = without_a_cache(path)
    assert answers(backend) == answers(DummyCache("", {}))
    with pytest.raises(ValueError, match="not found"):
        backend.incr("key")
    assert asyncio.run(backend.aget_or_set("key", fetch)) == "fetched"
    assert asyncio.run(backend.aget_or_set("key", 1)) == 1
    assert asyncio.run(backend.aadd("key", 1))


def test_what_fails_in_a_default_is_not_ignored(path: str) -> None:
    backend = without_a_cache(path)
    with pytest.raises(ConnectionError):
        backend.get_or_set("key", lambda: raises(ConnectionError()))


def raises(error: Exception) -> None:
    raise error


def test_sessions_go_on_without_a_cache(path: str) -> None:
    from django.contrib.sessions.backends.cache import SessionStore

    os.mkdir(path)
    entry = setting(path, OPTIONS={"IGNORE_EXCEPTIONS": True})
    with override_settings(CACHES={"default": entry}):
        session = SessionStore()
        session["user"] = "Ada"
        session.save()
        assert "user" not in SessionStore(session.session_key)


async def use_every_async_method() -> list[object]:
    return [
        await cache.aset("key", 1),
        await cache.aget("key"),
        await cache.aadd("key", 2),
        await cache.atouch("key", 60),
        await cache.aincr("key", 2),
        await cache.adecr("key"),
        await cache.ahas_key("key"),
        await cache.aget_or_set("made", lambda: "value"),
        await cache.aset_many({"a": 1, "b": 2}),
        await cache.aget_many(["a", "b", "c"]),
        await cache.adelete_many(["a"]),
        await cache.aincr_version("b"),
        await cache.adelete("key"),
        await cache.aclear(),
        await cache.aget("made", "gone"),
        await cache.aclose(),
    ]


def test_async_methods_do_the_same_and_go_through_no_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("a thread was asked for")

    monkeypatch.setattr("django.core.cache.backends.base.sync_to_async", refuse)
    assert asyncio.run(use_every_async_method()) == [
        *(None, 1, False, True, 3, 2, True, "value"),
        *([], {"a": 1, "b": 2}, None, 2, True, None, "gone", None),
    ]


def test_every_method_of_django_that_uses_a_thread_is_replaced() -> None:
    own = {name for name in vars(BaseCache) if name.startswith("a")}
    threaded = {
        name
        for name in own
        if "sync_to_async" in inspect.getsource(BaseCache.__dict__[name])
    }
    # These call the others, unless their plain ones are replaced.
    threaded -= {"aget_or_set", "aincr_version"}
    assert {name for name in threaded if hasattr(FastMmapCache, name)} == threaded
    kept = {
        name
        for name in threaded
        if getattr(FastMmapCache, name) is getattr(BaseCache, name)
    }
    assert kept == set()


@pytest.mark.parametrize("engine", ["cache", "cached_db"])
def test_sessions_work(engine: str) -> None:
    module = __import__(f"django.contrib.sessions.backends.{engine}", fromlist=["x"])
    session = module.SessionStore()
    session["user"] = "Ada"
    session.save()
    again = module.SessionStore(session.session_key)
    assert again["user"] == "Ada"
    again.flush()
    assert not module.SessionStore().exists(session.session_key)
    assert "user" not in module.SessionStore(session.session_key)


def test_a_session_of_cached_db_survives_the_cache() -> None:
    from django.contrib.sessions.backends.cached_db import SessionStore

    session = SessionStore()
    session["user"] = "Ada"
    session.save()
    cache.clear()
    assert SessionStore(session.session_key)["user"] == "Ada"


def test_the_template_tag_works() -> None:
    engine = Engine(libraries={"cache": "django.templatetags.cache"})
    template = engine.from_string(
        "{% load cache %}{% cache 60 part name %}{{ value }}{% endcache %}"
    )

    def render(name: str, value: int) -> str:
        return str(template.render(Context({"name": name, "value": value})))

    assert [render("a", 1), render("a", 2), render("b", 3)] == ["1", "1", "3"]
    with time_travel(61):
        assert render("a", 4) == "4"


@pytest.mark.parametrize("timeout", [-1, -0.5, 0])
def test_a_timeout_that_is_not_positive_has_expired(timeout: float) -> None:
    cache.set("key", "old")
    cache.set("key", "new", timeout)
    cache.set_many({"many": 1}, timeout)
    assert cache.add("added", 1, timeout)
    assert cache.get_many(["key", "many", "added"]) == {}
    cache.set("touched", 1)
    assert cache.touch("touched", timeout) and cache.get("touched") is None


def test_a_negative_default_timeout_has_expired(path: str) -> None:
    with override_settings(CACHES={"default": setting(path, TIMEOUT=-1)}):
        cache.set("key", 1)
        assert cache.get("key") is None


def test_a_value_that_cannot_be_read_is_computed_anew_by_get_or_set() -> None:
    cache.set("key", Broken())
    with pytest.raises(AttributeError):
        cache.get("key")
    assert cache.get_or_set("key", lambda: 5) == 5
    assert cache.get("key") == 5
    cache.set("key", Broken())
    assert asyncio.run(cache.aget_or_set("key", lambda: 6)) == 6


def call_while_the_page_is_held(path: str, name: str, *args: Any) -> bool:
    configure()
    with override_settings(CACHES={"default": setting(path, OPTIONS={"num_pages": 1})}):
        cache.set("number", 1)
        call = getattr(caches["default"], name)
        went_on, _ = asyncio.run(watched(path, lambda: call(*args)))
    return went_on


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("aset", ("key", 1)),
        ("aadd", ("key", 1)),
        ("aincr", ("number",)),
        ("adelete", ("number",)),
        ("aset_many", ({"a": 1, "b": 2},)),
        ("aget_or_set", ("key", 1)),
        ("aclear", ()),
    ],
)
def test_the_loop_goes_on_while_the_page_is_held(
    path: str, name: str, args: tuple[Any, ...]
) -> None:
    assert run_scenario(call_while_the_page_is_held, path, name, *args)


# ---------------------------------------------------------------- keys and warnings


class Plain(BaseCache):
    """Makes keys and warns as Django does."""


def made_by(backend: BaseCache, key: Any) -> tuple[str, list[str]]:
    """Return the key that a backend makes, and what it warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = backend.make_and_validate_key(key)
    assert all(each.category is CacheKeyWarning for each in caught)
    return made, [str(each.message) for each in caught]


KEYS = [
    *(f"a{chr(code)}b" for code in (*range(0x100), 0x2028, 0x3042, 0xDC80, 0x1F600)),
    *("x" * length for length in (0, 1, 240, 246, 247, 248, 300)),
    *(" " * 300, 5, None, 1.5, Path("a/b"), "%s", "{}"),
]


@pytest.mark.parametrize("prefix", ["", "site", "a b", 7])
def test_keys_are_made_and_warned_of_as_django_does(path: str, prefix: Any) -> None:
    params = {"KEY_PREFIX": prefix, "VERSION": 3}
    ours, plain = FastMmapCache(path, params), Plain(params)
    for key in KEYS:
        assert made_by(ours, key) == made_by(plain, key)


def test_who_overrides_the_check_is_asked_each_time(path: str) -> None:
    class Strict(FastMmapCache):
        def validate_key(self, key: str) -> None:
            seen.append(key)

    seen: list[str] = []
    Strict(path, {}).get("fine")
    assert seen == [":1:fine"]


def test_a_key_function_may_come_later(path: str) -> None:
    backend = FastMmapCache(path, {})
    backend.key_func = lambda key, prefix, version: f"mine {key}"
    assert made_by(backend, "a")[0] == "mine a"
    assert len(made_by(backend, "a")[1]) == 1
