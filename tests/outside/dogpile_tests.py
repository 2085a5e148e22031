"""The generic suites of dogpile.cache on our backend."""

import tempfile
from typing import ClassVar

from dogpile.cache.proxy import ProxyBackend
from dogpile.testing.fixtures import (
    _GenericBackendTestSuite,
    _GenericMutexTestSuite,
    _GenericSerializerTestSuite,
)

ARGUMENTS = {"share_file": tempfile.mkdtemp() + "/cache.fmm", "cache_size": "1m"}


class TestBackend(_GenericBackendTestSuite):
    backend = "fastmmap"
    config_args: ClassVar = {"arguments": ARGUMENTS}


class TestBackendWithProxy(_GenericBackendTestSuite):
    backend = "fastmmap"
    config_args: ClassVar = {"arguments": ARGUMENTS, "wrap": [ProxyBackend]}


class TestSerializer(_GenericSerializerTestSuite, TestBackend):
    pass


class TestMutex(_GenericMutexTestSuite):
    backend = "fastmmap"
    config_args: ClassVar = {"arguments": ARGUMENTS}
