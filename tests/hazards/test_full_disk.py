"""A full disk: an OSError at once, nothing half-made, never a SIGBUS."""

from __future__ import annotations

import errno
import functools
import os
import resource
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from support import Scenario, run_scenario

from fastmmap import CorruptError, FastMmap


def limit_size() -> None:
    """Make every file of this process end at 2 MiB: the table of clients has one."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 21, 1 << 21))


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


@functools.cache
def why_not_mounted() -> str:
    """Try to run something in a small space; return what is in the way, or ""."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*in_small_space(Path(folder)), "true"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        except FileNotFoundError as error:
            return str(error)
    return "" if done.returncode == 0 else done.stderr.strip() or "it failed"


def run_small(scenario: Any, folder: Path) -> list[object]:
    mounted = not why_not_mounted()
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


def fill_and_say(folder: str, mounted: bool) -> list[object]:
    """Fail for want of space, with room left for a smaller cache."""
    number, _, message, left = fill(folder, mounted)
    room = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    with FastMmap(os.path.join(folder, "cache"), cache_size="512k") as cache:
        return [number, message, left, room, cache.set("key", "value")]


def require_mount() -> None:
    if why_not_mounted():
        pytest.skip(f"cannot mount a tmpfs: {why_not_mounted()}")


def test_the_error_says_how_much_is_free_and_all_of_that_can_be_had(
    tmp_path: Path,
) -> None:
    require_mount()
    number, message, left, room, stored = run_small(fill_and_say, tmp_path)
    assert (number, left, stored) == (errno.ENOSPC, [], True)
    assert f"{room} are free" in str(message)
    assert "--shm-size" in str(message)
    assert "reserve=False" not in str(message)  # which leads into a SIGBUS
    assert room == 1 << 20


def create_on_full(folder: str, mounted: bool) -> list[object]:
    """Open sparse where not even the header finds room."""
    with open(os.path.join(folder, "other"), "wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)) == 4096:
                pass
        except OSError:
            pass
    path = os.path.join(folder, "cache")
    try:
        FastMmap(path, cache_size="512k", reserve=False)
    except OSError as error:
        return [error.errno, error.filename, os.listdir(folder)]
    return ["made"]


def test_not_even_a_header_is_an_os_error_too(tmp_path: Path) -> None:
    require_mount()
    found = run_small(create_on_full, tmp_path)
    assert found == [errno.ENOSPC, str(tmp_path / "cache"), ["other"]]


def overfill(folder: str, guard: bool) -> list[object]:
    """Use a sparse cache that is larger than its file system."""
    path = os.path.join(folder, "cache")
    cache = FastMmap(path, cache_size="8m", reserve=False, sigbus_guard=guard)
    stored = 0
    try:
        for number in range(20_000):
            stored += cache.set(f"key {number}", bytes(1000))
    except CorruptError as error:
        again = [is_corrupt(cache), is_corrupt(cache)]
        return [100 < stored < 2000, "ran out of space" in str(error), *again]
    return [stored]


def is_corrupt(cache: FastMmap) -> bool:
    """Tell whether the cache refuses to go on."""
    try:
        return cache.get("key 1") is None and False
    except CorruptError:
        return True


def start_overfill(folder: Path, guard: bool) -> Scenario:
    prefix = in_small_space(folder)
    return Scenario(overfill, str(folder), guard, prefix=prefix)


def test_a_sparse_file_on_a_full_disk_is_corrupt_under_the_guard(
    tmp_path: Path,
) -> None:
    require_mount()
    with start_overfill(tmp_path, True) as running:
        assert running.result() == [True, True, True, True]


def test_a_sparse_file_on_a_full_disk_is_a_sigbus_without_the_guard(
    tmp_path: Path,
) -> None:
    require_mount()
    with start_overfill(tmp_path, False) as running:
        assert running.exit_code() == -signal.SIGBUS


def limit_then_use(folder: str) -> list[object]:
    """Use a cache from before the limit, and try to replace it."""
    path = os.path.join(folder, "cache")
    with FastMmap(path, cache_size="4m") as cache:
        limit_size()
        stored = all(cache.set(f"key {n}", bytes(500)) for n in range(4000))
        try:
            FastMmap(path, cache_size="4m", init_file=True)
        except OSError as error:
            text = str(error)
            return [stored, error.errno, "ulimit" in text, len(cache) == 4000]
    return ["made"]


def test_a_limit_on_file_sizes_is_no_matter_for_a_cache_that_is_there(
    tmp_path: Path,
) -> None:
    found = run_scenario(limit_then_use, str(tmp_path))
    assert found == [True, errno.EFBIG, True, True]
