"""A Flask application that caches a view, for all workers at once."""

from __future__ import annotations

import tempfile

from flask import Flask
from flask_caching import Cache


def make_app(path: str) -> Flask:
    """Make the application, as each worker does."""
    app = Flask(__name__)
    app.config["CACHE_TYPE"] = "fastmmap.contrib.flask_caching.FastMmapCache"
    app.config["CACHE_OPTIONS"] = {"share_file": path, "cache_size": "16m"}
    cache = Cache(app)

    def report() -> str:
        print("making the report")
        return "the report"

    app.add_url_rule("/", view_func=cache.cached(timeout=60)(report))
    return app


def main() -> None:
    """Ask two applications for the same page."""
    with tempfile.TemporaryDirectory() as folder:  # /dev/shm is a good place
        for _ in range(2):
            app = make_app(f"{folder}/site.cache")
            print(app.test_client().get("/").text)


if __name__ == "__main__":
    main()
