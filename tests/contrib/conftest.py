"""Adapters keep their caches open until the process ends; tests must not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fastmmap.contrib import shared


@pytest.fixture(autouse=True)
def closed_at_the_end() -> Iterator[None]:
    """Close what a test's adapters opened."""
    yield
    for _, cache in shared._opened:
        cache.close()
    shared._absent.clear()
    shared._told.clear()
