"""A full disk: an OSError at once, nothing half-made, never a SIGBUS."""

from __future__ import annotations

import errno
import os
import resource
import shutil
from pathlib import Path
from typing import Any

import pytest
from support import Scenario, run_scenario

from fastmmap import FastMmap


def can_mount() -> bool:
    """Tell whether a test may mount a small file system for itself."""
    return os.geteuid() == 0 and shutil.which("unshare") is not None


def limit_size() -> None:
    """Make every file of this process end at 1 MiB."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))


def fill(folder: str, mounted: bool) -> list[object]:
    """Make a cache larger than there is room for; report error and leftovers."""
    if not mounted:
        limit_size()
    path = os.path.join(folder, "cache")
    try:
        FastMmap(path, cache_size="8m")
    except OSError as error:
        return [error.errno, error.filename, str(error), os.listdir(folder)]
    return ["made", path, "", os.listdir(folder)]


def in_small_space(folder: Path) -> list[str]:
    """Return the command prefix that runs a scenario on a 1 MiB tmpfs."""
    mount = 'mount -t tmpfs -o size=1m none "$0" && exec "$@"'
    return ["unshare", "-m", "sh", "-c", mount, str(folder)]


def run_small(scenario: Any, folder: Path) -> list[object]:
    mounted = can_mount()
    prefix = in_small_space(folder) if mounted else []
    arguments = (str(folder), mounted)
    with Scenario(scenario, *arguments, prefix=prefix) as running:
        return list(running.result())


@pytest.mark.quick
def test_a_lack_of_space_is_an_os_error_at_creation(tmp_path: Path) -> None:
    number, filename, message, left = run_small(fill, tmp_path)
    assert number in (errno.ENOSPC, errno.EFBIG)
    assert filename == str(tmp_path / "cache")
    assert left == []
    # The message says how much there is.
    assert any(character.isdigit() for character in str(message).split("]")[-1])


def limit_then_fill(folder: str) -> list[object]:
    return fill(folder, False)


def test_a_limit_on_file_sizes_is_an_os_error_at_creation(tmp_path: Path) -> None:
    number, filename, _, left = run_scenario(limit_then_fill, str(tmp_path))
    assert number == errno.EFBIG
    assert filename == str(tmp_path / "cache")
    assert left == []


def recreate(folder: str, mounted: bool) -> list[object]:
    """Fail to replace a cache by a larger one; report what is left of it."""
    path = os.path.join(folder, "cache")
    if not mounted:
        limit_size()
    with FastMmap(path, cache_size="256k") as cache:
        cache.set("key", "value")
        try:
            FastMmap(path, cache_size="8m", init_file=True)
        except OSError:
            return [cache.get("key"), cache.set("key", "new"), os.listdir(folder)]
    return ["made"]


def test_a_failed_replacement_leaves_the_old_cache(tmp_path: Path) -> None:
    assert run_small(recreate, tmp_path) == ["value", True, ["cache"]]


def fill_reserved(folder: str, mounted: bool) -> list[object]:
    """Fill the file system after the cache was made: it has its space."""
    with FastMmap(os.path.join(folder, "cache"), cache_size="512k") as cache:
        other = os.path.join(folder, "other")
        if mounted:
            with open(other, "wb", buffering=0) as file:
                try:
                    while file.write(bytes(4096)) == 4096:
                        pass
                except OSError:
                    pass
        stored = all(cache.set(f"key {n}", bytes(500)) for n in range(2000))
        return [stored, bool(cache.check().ok)]


def test_a_disk_that_fills_up_later_does_not_matter(tmp_path: Path) -> None:
    assert run_small(fill_reserved, tmp_path) == [True, True]
