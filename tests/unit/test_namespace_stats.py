"""`Namespace.stats`: what is in a namespace now."""

from __future__ import annotations

import time

import pytest
from support import MakeCache

from fastmmap import FastMmap, NamespaceStats
from fastmmap.testing import time_travel


@pytest.mark.quick
def test_values_of_the_namespace_are_counted_and_no_others(cache: FastMmap) -> None:
    space = cache.namespace("space")
    assert space.stats() == NamespaceStats(0, 0, 0, None, None)
    cache.set("key", 1)
    space.namespace("inner").set("key", 1)
    space.update({str(n): "x" * 100 for n in range(50)})
    stats = space.stats()
    assert (stats.entries, stats.expiring) == (50, 0)
    assert 50 * 132 <= stats.bytes_live < cache.stats().bytes_live


def test_what_has_gone_is_not_counted(cache: FastMmap) -> None:
    space = cache.namespace("space")
    space.set("short", 1, 10)
    space.set("tagged", 1, 1000, tags=["tag"])
    space.set("key", 1)
    assert space.stats()[0::2][:2] == (3, 2)
    space.invalidate_tag("tag")
    with time_travel(20):
        assert space.stats().entries == 1
    space.clear()
    assert space.stats().entries == 0


def test_ages_are_told(make_cache: MakeCache) -> None:
    space = make_cache().namespace("space")
    began = int(time.time())
    space.set("old", 1)
    with time_travel(100):
        space.set("new", 1)
        stats = space.stats()
    assert stats.oldest is not None and stats.last_access is not None
    assert began <= stats.oldest <= began + 30
    assert began + 100 <= stats.last_access <= began + 130
