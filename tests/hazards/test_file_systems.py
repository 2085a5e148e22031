"""File systems that are not like others: a cache has its space, or says why not."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from support import Scenario

from fastmmap import FastMmap

GET_FLAGS, NO_COPY_ON_WRITE = 0x80086601, 0x00800000  # of ioctl_iflags(2)
BTRFS_BYTES = 120 << 20  # the least that it takes


def mounted(kind: str, source: str, folder: Path) -> list[str]:
    """Return the command prefix that runs a scenario with a file system mounted."""
    options = "-o loop " if source != "none" else ""
    mount = f'mount -t {kind} {options}{source} "$0" && exec "$@"'
    prefix = ["unshare", "-m", "sh", "-c", mount, str(folder)]
    if not shutil.which("unshare") or subprocess.call(
        [*prefix, "true"], stderr=subprocess.DEVNULL
    ):
        pytest.skip(f"cannot mount {kind}")
    return prefix


def create(folder: str, reserve: bool) -> list[object]:
    path = os.path.join(folder, "cache")
    try:
        with FastMmap(path, cache_size="1m", reserve=reserve) as cache:
            return [cache.set("key", 1), bool(flags_of(path) & NO_COPY_ON_WRITE)]
    except OSError as error:
        return [error.errno, str(error), os.listdir(folder)]


def flags_of(path: str) -> int:
    with open(path, "rb") as file:
        answer = fcntl.ioctl(file, GET_FLAGS, bytes(8))
    return int(struct.unpack("L", answer)[0])


def test_space_on_btrfs_is_reserved_for_good(tmp_path: Path) -> None:
    if not shutil.which("mkfs.btrfs"):
        pytest.skip("there is no mkfs.btrfs")
    image, folder = tmp_path / "image", tmp_path / "mounted"
    with open(image, "wb") as file:
        file.truncate(BTRFS_BYTES)
    subprocess.run(["mkfs.btrfs", "-q", image], check=True, capture_output=True)
    folder.mkdir()
    prefix = mounted("btrfs", str(image), folder)
    with Scenario(create, str(folder), True, prefix=prefix) as running:
        assert running.result() == [True, True]


@pytest.mark.parametrize("reserve", [True, False])
def test_hugetlbfs_is_refused_by_name(tmp_path: Path, reserve: bool) -> None:
    prefix = mounted("hugetlbfs", "none", tmp_path)
    with Scenario(create, str(tmp_path), reserve, prefix=prefix) as running:
        number, message, left = running.result()
    assert number == errno.EOPNOTSUPP
    assert "hugetlbfs" in message
    assert left == []
