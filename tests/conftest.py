"""Fixtures of the whole suite."""

from __future__ import annotations

import functools
import gc
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import MakeCache

import fastmmap
from fastmmap import FastMmap

#: A user who owns nothing.
NOBODY = 65534


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


@functools.cache
def why_not_nobody() -> str:
    """Use the package as another user; return what is in the way, or ""."""
    if os.geteuid() != 0:
        return "only root becomes another user"
    home = Path(fastmmap.__file__).parent.parent
    try:
        done = subprocess.run(
            [sys.executable, "-c", "import fastmmap.ownership"],
            **{"user": NOBODY, "group": NOBODY, "extra_groups": []},
            env={**os.environ, "PYTHONPATH": str(home)},
            cwd="/",
            capture_output=True,
        )
    except PermissionError as error:
        return f"another user cannot run this Python: {error}"
    return "another user cannot read this checkout" if done.returncode else ""


@pytest.fixture
def nobody() -> int:
    """Return a user who owns nothing, whom a process of root can become."""
    reason = why_not_nobody()
    if reason:
        pytest.skip(reason)
    return NOBODY


@pytest.fixture
def without_rights(request: pytest.FixtureRequest) -> None:
    """Require that a process can be had that has no more rights than its user."""
    if os.geteuid() == 0:
        request.getfixturevalue("nobody")


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
