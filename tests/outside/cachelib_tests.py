"""The common tests of cachelib on our cache; put beside them by `run.py`."""

import pytest
from cachelib.serializers import BaseSerializer
from clear import ClearTests
from common import CommonTests
from delete_many_with_prefix import DeleteManyWithPrefixTests
from has import HasTests
from serializer import SerializerTests

from fastmmap.contrib.cachelib import FastMmapCache


class ReprSerializer(BaseSerializer):
    def dumps(self, value):
        return repr(value).encode()

    def loads(self, bvalue):
        return eval(bvalue)


class WithSerializer(FastMmapCache):
    serializer = ReprSerializer()


class WithPrefix(FastMmapCache):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **{"key_prefix": "prefix:", **kwargs})


@pytest.fixture(autouse=True, params=[FastMmapCache, WithSerializer, WithPrefix])
def cache_factory(request, tmp_path):
    def factory(self, *args, **kwargs):
        return request.param(tmp_path / "cache.fmm", *args, cache_size="1m", **kwargs)

    request.cls.cache_factory = factory


class TestFastMmapCache(
    CommonTests, HasTests, ClearTests, SerializerTests, DeleteManyWithPrefixTests
):
    pass
