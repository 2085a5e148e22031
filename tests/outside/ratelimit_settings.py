"""Settings for the tests of django-ratelimit: every cache that they name is ours."""

import os
import tempfile

from fastmmap.contrib.django import FastMmapCache

FOLDER = tempfile.mkdtemp(prefix="fastmmap-")
BACKEND = "fastmmap.contrib.django.FastMmapCache"


class Forgetful(FastMmapCache):
    """Keeps nothing that is added."""

    def add(self, key, value, timeout=None, version=None):
        return super().add(key, value, 0, version)


SECRET_KEY = "for tests"
INSTALLED_APPS = ("django_ratelimit",)
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
SILENCED_SYSTEM_CHECKS = ("django_ratelimit.W001",)  # it knows other backends only
USE_TZ = True

CACHES = {
    "default": {"BACKEND": BACKEND, "LOCATION": os.path.join(FOLDER, "cache.fmm")},
    "instant-expiration": {
        "BACKEND": "ratelimit_settings.Forgetful",
        "LOCATION": os.path.join(FOLDER, "forgetful.fmm"),
    },
}
