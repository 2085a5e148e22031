"""Fixtures of the whole suite."""

from __future__ import annotations

import gc
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import MakeCache

from fastmmap import FastMmap


def pytest_configure() -> None:
    """Let Ctrl-C reach the tests' processes, also when a shell's job runs us.

    A job in the background inherits that SIGINT is ignored, and hands it on.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Spare the collections in tests a look at all that stands here already.

    What a test makes is made later, and is seen: a full collection takes a
    millisecond in place of a hundred.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Return where the test's cache file is, or will be."""
    return str(tmp_path / "cache.fmm")


@pytest.fixture
def shared_path() -> Iterator[str]:
    """Return the path of a file in a directory where everybody may make files.

    pytest takes its own directories from other users whenever it starts.
    """
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o1777)
        yield os.path.join(folder, "cache.fmm")


@pytest.fixture
def make_cache(path: str) -> Iterator[MakeCache]:
    """Open caches, by default small ones on `path`; they are closed at the end."""
    opened: list[FastMmap] = []

    def make(**options: Any) -> FastMmap:
        options.setdefault("share_file", path)
        if not {"cache_size", "page_size", "num_pages"} & options.keys():
            options["cache_size"] = None if Path(path).exists() else "512k"
        opened.append(FastMmap(**options))
        return opened[-1]

    yield make
    for cache in reversed(opened):
        cache.close()


@pytest.fixture
def cache(make_cache: MakeCache) -> FastMmap:
    """Return an empty cache with default options but for its size."""
    return make_cache()


@pytest.fixture
def one_page(make_cache: MakeCache) -> FastMmap:
    """Return a cache of a single page: all keys share one lock."""
    return make_cache(page_size="64k", num_pages=1)
