"""aiocache's acceptance tests on our cache; put beside them by `run.py`.

What they know of `memory_cache` holds for ours as well, so that it is ours. The
imports that seem unused are tests and fixtures: pytest collects them here.
"""

import asyncio

import pytest
import pytest_asyncio
from aiocache import caches

from fastmmap.contrib.aiocache import FastMmapCache

from ..utils import KEY_LOCK, Keys
from .test_base import TestCache  # noqa: F401  (collected by pytest)
from .test_base import TestMemoryCache as OfMemory
from .test_decorators import *  # noqa: F403  (collected by pytest)
from .test_lock import (  # noqa: F401  (collected by pytest)
    TestMemoryOptimisticLock,
    TestMemoryRedLock,
    TestOptimisticLock,
    TestRedLock,
    custom_memory_cache,
    lock,
)
from .test_plugins import *  # noqa: F403  (collected by pytest)
from .test_serializers import *  # noqa: F403  (collected by pytest)

pytestmark = pytest.mark.asyncio


@pytest.fixture(autouse=True)
def reset_caches(tmp_path):
    caches._caches = {}
    caches.set_config(
        {
            "default": {
                "cache": "fastmmap.contrib.aiocache.FastMmapCache",
                "share_file": str(tmp_path / "default.fmm"),
            }
        }
    )


@pytest_asyncio.fixture
async def memory_cache(tmp_path):
    path = tmp_path / "cache.fmm"
    async with FastMmapCache(path, namespace="test", cache_size="1m") as cache:
        yield cache
        await asyncio.gather(*(cache.delete(key) for key in (*Keys, KEY_LOCK)))


@pytest.fixture
def cache(memory_cache):
    return memory_cache


class TestFastMmapCache(OfMemory):
    async def test_accept_explicit_args(self):
        with pytest.raises(TypeError):
            FastMmapCache(random_attr="wtf")
