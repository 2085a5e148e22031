"""python -m fastmmap check beside processes that are stopped or killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from header import CLIENTS_SIZE
from support import Scenario, heard, say

import fastmmap
from fastmmap import FastMmap

PAGE = 65536


def check(path: str, *options: str) -> subprocess.CompletedProcess[str]:
    home = os.path.dirname(os.path.dirname(os.path.abspath(fastmmap.__file__)))
    return subprocess.run(
        [sys.executable, "-m", "fastmmap", "check", path, *options],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=home,
    )


@pytest.fixture
def filled(path: str) -> str:
    with FastMmap(path, page_size=PAGE, num_pages=4, unlink_on_exit=False) as cache:
        for number in range(400):
            cache[f"key {number}"] = b"x" * 200
    return path


def hold_a_page(path: str) -> None:
    with FastMmap(path) as cache, cache.lock("key 0"):
        say("held")
        heard()


@pytest.mark.parametrize("more", [[], ["--repair"]])
def test_a_page_of_a_stopped_process_is_named_and_left_alone(
    filled: str, more: list[str]
) -> None:
    with Scenario(hold_a_page, filled) as holder:
        assert holder.hear() == "held"
        holder.send(signal.SIGSTOP)
        done = check(filled, "--wait", "0.1", *more)
        assert done.returncode == 1
        assert "not checked" in done.stdout
        assert "4 pages" in done.stdout
        holder.send(signal.SIGCONT)
        holder.tell("go on")
        assert holder.exit_code() == 0
    assert check(filled).returncode == 0


def test_a_page_of_a_killed_process_is_checked(filled: str) -> None:
    with Scenario(hold_a_page, filled) as holder:
        assert holder.hear() == "held"
        holder.kill()
        done = check(filled)
        assert done.returncode == 0, done.stdout
    with FastMmap(filled) as cache:
        assert len(cache) == 400 and cache.set("key 0", 1)


def use(path: str) -> None:
    """Use a file whose pages are repaired meanwhile; say how much is left."""
    with FastMmap(path) as cache:
        say(len(cache))
        assert heard() == "repaired"
        for number in range(400):
            assert cache.get(f"key {number}") in (None, b"x" * 200)
        say(len(cache))
        cache["new"] = 1
        say(cache["new"])


def test_repair_goes_beside_a_process_that_has_the_file_open(filled: str) -> None:
    with Scenario(use, filled) as user:
        assert user.hear() == "400"
        with open(filled, "r+b") as file:
            file.seek(-CLIENTS_SIZE - PAGE, os.SEEK_END)
            file.write(b"\xa5" * PAGE)
        assert check(filled, "--repair").returncode == 0
        user.tell("repaired")
        assert 200 < int(user.hear()) < 400
        assert user.hear() == "1"
