"""Flask-Caching's tests on our backend; put beside them by `run.py`.

Whole modules are taken over: their tests get the applications of this one.
"""

import flask
import pytest
from flask_caching import Cache
from test_backend_cache import GenericCacheTests
from test_cache import *  # noqa: F403  (collected by pytest)
from test_memoize import *  # noqa: F403  (collected by pytest)
from test_templates import *  # noqa: F403  (collected by pytest)
from test_view import *  # noqa: F403  (collected by pytest)

from fastmmap import _core
from fastmmap.contrib.flask_caching import FastMmapCache

BACKEND = "fastmmap.contrib.flask_caching.FastMmapCache"
AS_CACHELIB = "fastmmap.contrib.cachelib.FastMmapCache"


class Clock:
    """Moves the time of our caches, as theirs does that of cachelib."""

    def advance(self, seconds):
        _core.set_travel(_core.get_travel() + round(seconds * 1000))


@pytest.fixture
def clock():
    yield Clock()
    _core.set_travel(0)


@pytest.fixture(params=[BACKEND, AS_CACHELIB])
def app(request, tmp_path):
    app = flask.Flask(request.module.__name__, template_folder=request.path.parent)
    app.testing = True
    app.config["CACHE_TYPE"] = request.param
    app.config["CACHE_OPTIONS"] = {"share_file": str(tmp_path / "cache.fmm")}
    return app


@pytest.fixture
def cache(app):
    return Cache(app)


class TestFastMmapCache(GenericCacheTests):
    @pytest.fixture
    def make_cache(self, tmp_path):
        return lambda: FastMmapCache(tmp_path / "cache.fmm", cache_size="1m")
