"""Settings for tests of Django that use whatever cache there is: ours."""

import os
import tempfile

from test_sqlite import *  # noqa: F403  (every setting of it)

CACHES = {
    "default": {
        "BACKEND": "fastmmap.contrib.django.FastMmapCache",
        "LOCATION": os.path.join(tempfile.mkdtemp(prefix="fastmmap-"), "cache.fmm"),
        "OPTIONS": {"cache_size": "1m"},
    }
}
