"""File modes, exact whatever the umask; descriptors closed on exec."""

from __future__ import annotations

import ast
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support import run_scenario

from fastmmap import FastMmap


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.quick
@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o777])
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o400])
def test_a_new_file_has_exactly_the_mode_asked_for(
    path: str, mask: int, mode: int
) -> None:
    with umask(mask):
        with FastMmap(path, cache_size="512k", permissions=mode) as cache:
            assert stat.S_IMODE(os.stat(path).st_mode) == mode
            assert cache.set("key", 1)
        assert os.umask(mask) == mask


def test_the_default_mode_is_for_the_owner_alone(path: str) -> None:
    with umask(0), FastMmap(path, cache_size="512k"):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_a_mode_for_everybody_goes_with_allow_shared(path: str) -> None:
    with FastMmap(
        path, cache_size="512k", permissions=0o666, allow_shared=True, serializer="raw"
    ):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o666
        with FastMmap(path, allow_shared=True, serializer="raw") as other:
            assert other.set("key", b"value")


def test_an_existing_file_keeps_its_mode(path: str) -> None:
    with FastMmap(path, cache_size="512k"):
        os.chmod(path, 0o640)
        with FastMmap(path, permissions=0o600):
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o640


LIST_INODES = """
import glob, os
files = filter(os.path.exists, glob.glob("/proc/self/fd/*"))
print([os.stat(file).st_ino for file in files])
"""


def inherited_by_exec(path: str) -> bool:
    """Tell whether a program that we start inherits our descriptors."""
    with FastMmap(path, cache_size="512k") as creator, FastMmap(path) as attached:
        creator.set("key", attached.get("key"))
        listed = subprocess.run(
            [sys.executable, "-c", LIST_INODES],
            stdout=subprocess.PIPE,
            close_fds=False,
            check=True,
        )
        return os.stat(path).st_ino in ast.literal_eval(listed.stdout.decode())


@pytest.mark.quick
def test_no_descriptor_survives_exec(path: str) -> None:
    assert run_scenario(inherited_by_exec, path) is False
