"""A Flask site whose sessions live in one cache for all workers.

Flask-Session takes any cache of cachelib. The browser gets a random number, and
nothing else.
"""

from __future__ import annotations

import tempfile

from flask import Flask, session
from flask_session import Session

from fastmmap.contrib.cachelib import FastMmapCache

FOLDER = tempfile.TemporaryDirectory()  # /dev/shm is a good place


def make_app() -> Flask:
    """Make the application, as each worker does."""
    app = Flask(__name__)
    app.config.update(
        SESSION_TYPE="cachelib",
        SESSION_CACHELIB=FastMmapCache(f"{FOLDER.name}/sessions", cache_size="16m"),
    )
    Session(app)

    @app.get("/")
    def visit() -> str:
        session["visits"] = session.get("visits", 0) + 1
        return f"visit {session['visits']}"

    return app


def main() -> None:
    """Let one browser come to two workers, and another to the second."""
    one, two = make_app().test_client(), make_app().test_client()
    print(one.get("/").text)
    cookie = one.get_cookie("session")
    assert cookie is not None
    print(two.get("/").text)
    two.set_cookie("session", cookie.value)
    print(two.get("/").text)


if __name__ == "__main__":
    with FOLDER:
        main()
