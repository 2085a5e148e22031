"""The Flask-Caching backend: what its tests, in tests/outside, do not ask."""

from __future__ import annotations

import os

import flask
from flask_caching import Cache

from fastmmap.contrib.flask_caching import FastMmapCache

OURS = "fastmmap.contrib.flask_caching.FastMmapCache"


def application(path: str, **config: object) -> tuple[flask.Flask, Cache]:
    """Return an application and its cache."""
    app = flask.Flask("test")
    app.config["CACHE_TYPE"] = OURS
    app.config["CACHE_OPTIONS"] = {"share_file": path, "cache_size": "1m"}
    app.config.update(config)
    return app, Cache(app)


def test_two_applications_share_the_file(path: str) -> None:
    (first, one), (second, two) = application(path), application(path)
    with first.app_context():
        one.set("key", 1)
    with second.app_context():
        assert two.get("key") == 1


def test_the_settings_reach_the_backend(path: str) -> None:
    app, cache = application(path, CACHE_DEFAULT_TIMEOUT=7, CACHE_KEY_PREFIX="mine:")
    with app.app_context():
        assert isinstance(cache.cache, FastMmapCache)
        assert cache.cache.default_timeout == 7
        cache.set("key", 1)
        assert list(cache.cache._cache) == ["mine:key"]


def test_an_application_that_uses_no_cache_creates_none(path: str) -> None:
    application(path)
    assert not os.path.exists(path)


def test_ignoring_exceptions_a_site_goes_on_without_a_cache(path: str) -> None:
    os.mkdir(path)
    options = {"share_file": path, "ignore_exceptions": True}
    app, cache = application(path, CACHE_OPTIONS=options)

    @app.route("/")
    @cache.cached(timeout=60)
    def view() -> str:
        return str(cache.get("key"))

    assert app.test_client().get("/").text == "None"


def test_a_view_is_made_once(path: str) -> None:
    app, cache = application(path)
    calls = []

    @app.route("/")
    @cache.cached(timeout=60)
    def view() -> str:
        calls.append(1)
        return "page"

    answers = [app.test_client().get("/").data for _ in range(3)]
    assert answers == [b"page"] * 3
    assert len(calls) == 1
