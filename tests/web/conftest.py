"""Pages over a cache of the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asking import Client

from fastmmap import FastMmap
from fastmmap.web import Pages


@pytest.fixture
def client_of(cache: FastMmap) -> Iterator[Callable[..., Client]]:
    """Return a function that makes pages over the cache, and who asks them."""
    made: list[Pages] = []

    def make(**options: Any) -> Client:
        made.append(Pages(cache, **options))
        return Client(made[-1])

    yield make
    for pages in made:
        pages.close()


@pytest.fixture
def client(client_of: Callable[..., Client]) -> Client:
    """Return who asks a page that only looks."""
    return client_of()
