"""A cache without a name: private, on tmpfs, gone at the end."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastmmap import FastMmap, location


@pytest.mark.quick
def test_two_private_caches_are_two_files() -> None:
    with FastMmap(cache_size="512k") as first, FastMmap(cache_size="512k") as second:
        first.set("key", 1)
        assert "key" not in second
        assert first.share_file != second.share_file


def test_a_private_file_lies_in_a_directory_of_its_own_user() -> None:
    with FastMmap(cache_size="512k") as cache:
        directory = os.path.dirname(cache.share_file)
        found = os.lstat(directory)
        assert stat.S_ISDIR(found.st_mode)
        assert stat.S_IMODE(found.st_mode) == 0o700
        assert found.st_uid == os.geteuid()
        assert stat.S_IMODE(os.stat(cache.share_file).st_mode) == 0o600


@pytest.fixture
def empty_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Let private files lie in an empty directory, and restore the umask."""
    monkeypatch.setattr(location, "_SHARED_MEMORY", str(tmp_path))
    before = os.umask(0o077)
    yield tmp_path / f"fastmmap-{os.geteuid()}"
    os.umask(before)


def test_no_umask_leaves_a_directory_that_nobody_can_enter(empty_memory: Path) -> None:
    os.umask(0o777)
    with FastMmap(cache_size="512k") as cache:
        assert cache.share_file.startswith(f"{empty_memory}/")
        assert stat.S_IMODE(empty_memory.stat().st_mode) == 0o700
        assert cache.set("key", 1)


def test_a_directory_that_an_earlier_run_left_closed_is_opened(
    empty_memory: Path,
) -> None:
    empty_memory.mkdir()
    empty_memory.chmod(0)
    with FastMmap(cache_size="512k") as cache:
        assert cache.share_file.startswith(f"{empty_memory}/")
        assert stat.S_IMODE(empty_memory.stat().st_mode) == 0o700


def test_a_private_file_lies_on_tmpfs_where_there_is_one() -> None:
    with FastMmap(cache_size="512k") as cache:
        assert cache.share_file.startswith("/dev/shm/") == os.path.isdir("/dev/shm")


def test_a_private_file_is_gone_after_close() -> None:
    with FastMmap(cache_size="512k") as cache:
        assert os.path.exists(cache.share_file)
    assert not os.path.exists(cache.share_file)


def test_a_private_file_can_be_kept_and_opened_by_its_name() -> None:
    with FastMmap(cache_size="512k", unlink_on_exit=False) as cache:
        cache.set("key", 1)
    with FastMmap(cache.share_file, unlink_on_exit=True) as again:
        assert again.get("key") == 1
    assert not os.path.exists(cache.share_file)
