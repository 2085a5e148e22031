"""A Django site whose pages and sessions live in one cache for all workers.

The site is in one file, so that it runs as it stands; the setting ``CACHES`` is
all that a site of yours needs.
"""

from __future__ import annotations

import tempfile

import django
from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from django.views.decorators.cache import cache_page

FOLDER = tempfile.TemporaryDirectory()  # /dev/shm is a good place

settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["testserver"],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    CACHES={
        "default": {
            "BACKEND": "fastmmap.contrib.django.FastMmapCache",
            "LOCATION": f"{FOLDER.name}/site.cache",
            "OPTIONS": {"cache_size": "16m"},
        }
    },
)
django.setup()


def visit(request: HttpRequest) -> HttpResponse:
    """Count the visits of all, and those of this visitor."""
    cache.add("visits", 0, timeout=None)
    own = request.session["visits"] = request.session.get("visits", 0) + 1
    return HttpResponse(f"{cache.incr('visits')}, {own} by you")


def report(request: HttpRequest) -> HttpResponse:
    """Make a page that takes long."""
    print("making the report")
    return HttpResponse("the report")


urlpatterns = [
    path("visit", visit),
    path("report", cache_page(60)(report)),  # once a minute, for all workers
]


def main() -> None:
    """Visit the site as two browsers."""
    first, second = Client(), Client()
    for browser in (first, first, second):
        print(browser.get("/visit").content.decode())
    for browser in (first, second):
        print(browser.get("/report").content.decode())


if __name__ == "__main__":
    with FOLDER:
        main()
