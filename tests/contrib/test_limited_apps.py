"""Who counts with us, for real: slowapi, Flask-Limiter, django-ratelimit, django-axes.

The suites of the others run in tests/outside; slowapi ships none. Here two
applications, or two requests, stand for two workers.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import flask
import pytest
from flask_limiter import Limiter as FlaskLimiter
from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient
from support import run_scenario

import fastmmap.contrib.limits  # noqa: F401  (registers the schemes)

pytestmark = pytest.mark.once


def everybody() -> str:
    return "everybody"


def of_slowapi(path: str, strategy: str) -> TestClient:
    """Return a client of an application where three requests an hour pass."""
    uri = f"fastmmap://{path}?cache_size=1m"
    limiter = Limiter(everybody, storage_uri=uri, strategy=strategy)

    async def page(request: Request) -> Response:
        return PlainTextResponse("passed")

    app = Starlette(routes=[Route("/", limiter.limit("3/hour")(page))])
    app.state.limiter = limiter
    handler: Any = _rate_limit_exceeded_handler
    app.add_exception_handler(RateLimitExceeded, handler)
    return TestClient(app)


@pytest.mark.parametrize("strategy", ["fixed-window", "moving-window"])
def test_applications_of_slowapi_count_together(path: str, strategy: str) -> None:
    workers = [of_slowapi(path, strategy) for _ in range(2)]
    codes = [worker.get("/").status_code for worker in workers * 3]
    assert codes == [200, 200, 200, 429, 429, 429]


def of_flask(path: str) -> flask.Flask:
    app = flask.Flask("limited")
    uri = f"fastmmap://{path}?cache_size=1m"
    limiter = FlaskLimiter(everybody, app=app, storage_uri=uri)
    app.add_url_rule("/", view_func=limiter.limit("3/hour")(lambda: "passed"))
    return app


def test_applications_of_flask_limiter_count_together(path: str) -> None:
    workers = [of_flask(path).test_client() for _ in range(2)]
    codes = [worker.get("/").status_code for worker in workers * 3]
    assert codes == [200, 200, 200, 429, 429, 429]


def test_the_command_of_flask_limiter_shows_the_file(path: str) -> None:
    (command,) = entry_points(group="flask.commands", name="limiter")
    runner = of_flask(path).test_cli_runner(env={"COLUMNS": "200"})
    shown = runner.invoke(command.load(), ["config"])
    assert shown.exit_code == 0
    assert Path(path).name in shown.output and "FastMmapStorage" in shown.output


def configure(path: str, **others: Any) -> None:
    """Set up Django with a cache of ours, and what an application wants."""
    import django
    from django.conf import settings
    from django.core.management import call_command

    backend = "fastmmap.contrib.django.FastMmapCache"
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    settings.configure(
        CACHES={"default": {"BACKEND": backend, "LOCATION": path}},
        DATABASES={"default": database},
        SECRET_KEY="for tests",
        SILENCED_SYSTEM_CHECKS=["django_ratelimit.W001"],
        USE_TZ=True,
        **others,
    )
    django.setup()
    call_command("migrate", verbosity=0)
    call_command("check", fail_level="WARNING")


def ask_limited_views(path: str) -> list[bool]:
    configure(path, INSTALLED_APPS=["django_ratelimit"])
    from django.test import RequestFactory
    from django_ratelimit.core import is_ratelimited

    request = RequestFactory().get("/")
    terms = {"group": "pages", "key": "ip", "rate": "3/h", "increment": True}
    return [is_ratelimited(request, **terms) for _ in range(5)]


def test_django_ratelimit_counts_here(path: str) -> None:
    assert run_scenario(ask_limited_views, path) == [False] * 3 + [True] * 2


def log_in_wrongly(path: str) -> list[bool]:
    configure(
        path,
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "axes"],
        AUTHENTICATION_BACKENDS=["axes.backends.AxesStandaloneBackend"],
        MIDDLEWARE=["axes.middleware.AxesMiddleware"],
        AXES_HANDLER="axes.handlers.cache.AxesCacheHandler",
        AXES_FAILURE_LIMIT=3,
    )
    from axes.handlers.proxy import AxesProxyHandler
    from django.contrib.auth import authenticate
    from django.test import RequestFactory

    allowed = []
    for _ in range(4):
        request = RequestFactory().post("/")
        request.session = SimpleNamespace(session_key="1")
        authenticate(request, username="somebody", password="wrong")
        allowed.append(AxesProxyHandler.is_allowed(request, {"username": "somebody"}))
    return allowed


def test_django_axes_locks_out_here(path: str) -> None:
    assert run_scenario(log_in_wrongly, path) == [True, True, False, False]
