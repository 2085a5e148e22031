"""The common tests of requests-cache on our backend; put beside them by `run.py`."""

import tempfile

from tests.integration.base_cache_test import BaseCacheTest
from tests.integration.base_storage_test import BaseStorageTest

from fastmmap.contrib.requests_cache import FastMmapCache, FastMmapStorage
from fastmmap.contrib.shared import shared_cache

FILE = {"share_file": tempfile.mkdtemp() + "/cache.fmm", "cache_size": "16m"}


class Storage(FastMmapStorage):
    def __init__(self, name, table, serializer="pickle", connection=None):
        prefix = f"{name}-{table}:"
        super().__init__(shared_cache(**FILE), prefix, 3600, serializer=serializer)


class Backend(FastMmapCache):
    def __init__(self, name, serializer=None, decode_content=False, **settings):
        super().__init__(**FILE, serializer=serializer, decode_content=decode_content)


class TestStorage(BaseStorageTest):
    storage_class = Storage


class TestBackend(BaseCacheTest):
    backend_class = Backend
