"""Memory limits of control groups: a cache that does not fit is an OSError.

Where it lies on tmpfs it is memory of the group, and the system would kill a process
of the group instead.
"""

from __future__ import annotations

import errno
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import Scenario

from fastmmap import FastMmap

MEBIBYTE = 1 << 20
#: Room for a process, a sanitized one too, and for a small cache beside it.
LIMIT = 192 * MEBIBYTE
MEMORY = Path("/dev/shm")
#: Where groups have memory limits, and what a limit is called: versions 1 and 2.
KINDS = {
    Path("/sys/fs/cgroup/memory"): "memory.limit_in_bytes",
    Path("/sys/fs/cgroup"): "memory.max",
}


@pytest.fixture
def group() -> Iterator[Path]:
    """Make a control group with a limit, and yield its directory."""
    for parent, name in KINDS.items():
        folder = parent / f"fastmmap-test-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            (folder / name).write_text(str(LIMIT))
            yield folder
            return
        except OSError:
            continue
        finally:
            remove(folder)
    pytest.skip("cannot make a control group with a memory limit")


def remove(group: Path) -> None:
    """Remove a group, as soon as the last process has left it."""
    for _ in range(100):
        try:
            return group.rmdir()
        except OSError:
            time.sleep(0.05)


@pytest.fixture
def folder() -> Iterator[str]:
    """Make a directory on tmpfs."""
    if not os.access(MEMORY, os.W_OK):
        pytest.skip("there is no /dev/shm")
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        yield name


def inside(group: Path) -> list[str]:
    """Return the command prefix of a process in that group."""
    join = 'echo $$ > "$0/cgroup.procs" && exec "$@"'
    return ["sh", "-c", join, str(group)]


def create(folder: str, size: str, reserve: bool) -> list[object]:
    path = os.path.join(folder, "cache")
    try:
        with FastMmap(path, cache_size=size, reserve=reserve) as cache:
            return [cache.set("key", 1), os.listdir(folder)]
    except OSError as error:
        return [error.errno, error.filename, str(error), os.listdir(folder)]


def run_in(group: Path, *arguments: object) -> list[object]:
    with Scenario(create, *arguments, prefix=inside(group)) as running:
        return list(running.result())


@pytest.mark.parametrize("reserve", [True, False])
def test_a_cache_above_the_limit_is_an_error_that_names_it(
    group: Path, folder: str, reserve: bool
) -> None:
    number, filename, message, left = run_in(group, folder, "256m", reserve)
    assert (number, filename) == (errno.ENOMEM, f"{folder}/cache")
    assert str(LIMIT) in str(message)
    assert group.name in str(message)
    assert left == []


def test_what_the_process_itself_uses_counts_too(group: Path, folder: str) -> None:
    size = str(LIMIT - 2 * MEBIBYTE)
    if "SwapFree:              0 kB" not in Path("/proc/meminfo").read_text():
        pytest.skip("the process could be swapped out")
    assert run_in(group, folder, size, True)[0] == errno.ENOMEM


def test_a_cache_that_fits_is_made(group: Path, folder: str) -> None:
    assert run_in(group, folder, "16m", True) == [True, ["cache"]]


def test_a_cache_on_a_disk_is_no_matter_of_the_limit(
    group: Path, tmp_path: Path
) -> None:
    if os.stat(tmp_path).st_dev == os.stat(MEMORY).st_dev:
        pytest.skip("the temporary directory is on tmpfs")
    assert run_in(group, str(tmp_path), "256m", False) == [True, ["cache"]]
