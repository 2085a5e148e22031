"""The settings of django-axes's tests, with our cache in the place of theirs."""

import os
import tempfile

from tests.settings import *  # noqa: F403  (every setting of it)

CACHES = {
    "default": {
        "BACKEND": "fastmmap.contrib.django.FastMmapCache",
        "LOCATION": os.path.join(tempfile.mkdtemp(prefix="fastmmap-"), "cache.fmm"),
    }
}
