"""python -m fastmmap check FILE and info FILE."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import pytest

import fastmmap
from fastmmap import FastMmap


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line of the package that is under test."""
    home = os.path.dirname(os.path.dirname(os.path.abspath(fastmmap.__file__)))
    return subprocess.run(
        [sys.executable, "-m", "fastmmap", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=home,
    )


@pytest.mark.quick
def test_info_tells_what_a_file_is_like(cache: FastMmap, path: str) -> None:
    cache.set("key", 1)
    done = run("info", path)
    assert done.returncode == 0, done.stderr
    for part in (path, str(cache.num_pages), "pickle"):
        assert part in done.stdout


@pytest.mark.quick
def test_check_of_a_sound_file_succeeds(cache: FastMmap, path: str) -> None:
    cache.set("key", 1)
    done = run("check", path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_check_of_a_damaged_file_fails_and_names_the_page(
    one_page: FastMmap, path: str
) -> None:
    for number in range(100):
        one_page.set(f"key {number}", number)
    with open(path, "r+b") as file:
        file.seek(-65536, os.SEEK_END)
        file.write(random.Random(1).randbytes(65536))
    done = run("check", path)
    assert done.returncode == 1
    assert "page 0" in done.stdout + done.stderr


@pytest.mark.parametrize("command", ["check", "info"])
def test_a_missing_file_is_an_error_and_is_not_made(path: str, command: str) -> None:
    done = run(command, path)
    assert done.returncode not in (0, 1)
    assert path in done.stderr
    assert "Traceback" not in done.stderr
    assert not os.path.exists(path)


@pytest.mark.parametrize("command", ["check", "info"])
def test_a_file_that_is_none_of_ours_is_an_error(path: str, command: str) -> None:
    with open(path, "wb") as file:
        file.write(b"text" * 5000)
    done = run(command, path)
    assert done.returncode not in (0, 1)
    assert "Traceback" not in done.stderr
    with open(path, "rb") as file:
        assert file.read() == b"text" * 5000


def test_check_leaves_the_values_alone(cache: FastMmap, path: str) -> None:
    cache.set("key", 1)
    run("check", path)
    run("info", path)
    assert cache.get("key") == 1


def test_help_names_both_commands() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert "check" in done.stdout and "info" in done.stdout


def test_no_command_is_a_usage_error() -> None:
    assert run().returncode == 2
    assert run("polish").returncode == 2
