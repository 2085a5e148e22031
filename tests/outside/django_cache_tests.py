"""Django's own cache tests on our backend; put beside them by `run.py`."""

import json
import os
import tempfile

from cache import tests as of_django
from django.test import TestCase, override_settings

CACHES = of_django.caches_setting_for_tests(
    BACKEND="fastmmap.contrib.django.FastMmapCache",
    LOCATION=os.path.join(tempfile.mkdtemp(prefix="fastmmap-"), "cache.fmm"),
    exclude={"cull", "zero_cull"},
)


@override_settings(CACHES=CACHES)
class FastMmapCacheTests(of_django.BaseCacheTests, TestCase):
    """All of BaseCacheTests but for what `suites.py` deselects."""


for name in json.loads(os.environ["DESELECTED"]):
    assert hasattr(of_django.BaseCacheTests, name), f"deselected, but gone: {name}"
    setattr(FastMmapCacheTests, name, None)
