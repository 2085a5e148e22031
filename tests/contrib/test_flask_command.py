"""``flask fastmmap``: the command on the file of an application."""

from __future__ import annotations

import flask
import pytest
from cachelib import SimpleCache
from flask_caching import Cache

from fastmmap.contrib.cachelib import FastMmapCache
from fastmmap.contrib.flask_command import command

OURS = "fastmmap.contrib.flask_caching.FastMmapCache"

pytestmark = pytest.mark.once


def application(**config: object) -> flask.Flask:
    app = flask.Flask("test")
    app.config.update(config)
    app.cli.add_command(command)
    return app


def caching(path: str) -> dict[str, object]:
    return {"CACHE_TYPE": OURS, "CACHE_OPTIONS": {"share_file": path}}


def run(app: flask.Flask, *arguments: str) -> int:
    return app.test_cli_runner().invoke(args=["fastmmap", *arguments]).exit_code


def test_it_looks_at_the_file_of_flask_caching(path: str) -> None:
    app = application(**caching(path))
    cache = Cache(app)
    with app.app_context():
        cache.set("user:1", "value")
        result = app.test_cli_runner().invoke(args=["fastmmap", "keys", "--long"])
        assert result.exit_code == 0 and "user:1" in result.output
        assert run(app, "get", "nothing") == 1
        assert run(app, "clear", "--yes") == 0
        assert cache.get("user:1") is None


def test_it_looks_at_the_file_of_sessions(path: str) -> None:
    sessions = FastMmapCache(share_file=path)
    sessions.set("session", 1)
    assert run(application(SESSION_CACHELIB=sessions), "info") == 0


def test_an_application_with_none_or_several_is_told_so(path: str) -> None:
    none = application(SESSION_CACHELIB=SimpleCache())
    several = application(
        SESSION_CACHELIB=FastMmapCache(share_file=f"{path}.other"), **caching(path)
    )
    Cache(several)
    for app, word in ((none, "no cache"), (several, "several")):
        result = app.test_cli_runner().invoke(args=["fastmmap", "info"])
        assert result.exit_code == 2 and word in result.output


def test_flask_finds_it_by_its_entry_point() -> None:
    from importlib.metadata import EntryPoint

    point = EntryPoint("fastmmap", "fastmmap.contrib.flask_command:command", "x")
    assert point.load() is command
