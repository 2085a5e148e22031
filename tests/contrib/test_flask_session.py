"""Sessions of Flask in a cache of cachelib."""

from __future__ import annotations

import flask
import pytest
from flask import Flask, session
from flask_session import Session
from support import run_scenario

from fastmmap.contrib.cachelib import FastMmapCache
from fastmmap.testing import time_travel


def make_app(path: str) -> Flask:
    """Make an application that counts the visits of a session."""
    app = Flask(__name__)
    app.config.update(
        SESSION_TYPE="cachelib",
        SESSION_CACHELIB=FastMmapCache(path, cache_size="1m"),
        PERMANENT_SESSION_LIFETIME=60,
    )
    Session(app)

    @app.get("/")
    def visit() -> str:
        session["visits"] = session.get("visits", 0) + 1
        return str(session["visits"])

    @app.get("/leave")
    def leave() -> str:
        session.clear()
        return "left"

    return app


@pytest.fixture
def client(path: str) -> flask.testing.FlaskClient:
    return make_app(path).test_client()


def visit_elsewhere(path: str, cookie: str) -> str:
    client = make_app(path).test_client()
    client.set_cookie("session", cookie)
    return client.get("/").text


def test_another_process_knows_the_session(
    client: flask.testing.FlaskClient, path: str
) -> None:
    assert client.get("/").text == "1"
    cookie = client.get_cookie("session")
    assert cookie is not None
    assert run_scenario(visit_elsewhere, path, cookie.value) == "2"
    assert client.get("/").text == "3"


def test_a_session_lives_for_as_long_as_flask_says(
    client: flask.testing.FlaskClient,
) -> None:
    client.get("/")
    with time_travel(59):
        assert client.get("/").text == "2"
    with time_travel(59 + 61):
        assert client.get("/").text == "1"


def test_a_session_that_was_left_is_gone(
    client: flask.testing.FlaskClient, path: str
) -> None:
    client.get("/")
    client.get("/leave")
    cache = FastMmapCache(path, cache_size="1m")
    assert list(cache._cache) == []
    assert client.get("/").text == "1"
