"""Many processes start at once, and there is room for one file."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from support import Scenario

from fastmmap import FastMmap

WORKERS = 8
SIZE, ROOM = "24m", "40m"  # of a cache, and of the file system


def in_room(folder: Path) -> list[str]:
    """Return the command prefix that runs a scenario where one cache fits."""
    mount = f'mount -t tmpfs -o size={ROOM} none "$0" && exec "$@"'
    return ["unshare", "-m", "sh", "-c", mount, str(folder)]


@functools.cache
def permitted() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        try:
            command = [*in_room(Path(folder)), "true"]
            return not subprocess.run(command, capture_output=True).returncode
        except FileNotFoundError:
            return False


pytestmark = pytest.mark.skipif(not permitted(), reason="cannot mount a tmpfs")


def open_when_told(go: tuple[int, int], path: str) -> int:
    """Open the cache in a child when the parent closes the pipe; return its pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.close(go[1])
        os.read(go[0], 1)
        with FastMmap(path, cache_size=SIZE) as cache:
            os._exit(not cache.set(str(os.getpid()), 1))
    except BaseException as error:
        os.write(2, f"{error!r}\n".encode())
        os._exit(2)


def opening(count: int, path: str) -> list[int]:
    """Let so many children open the cache at the same time; return their pids."""
    go = os.pipe()
    children = [open_when_told(go, path) for _ in range(count)]
    for end in go:
        os.close(end)
    return children


def failures(children: list[int]) -> int:
    return sum(os.waitpid(child, 0)[1] != 0 for child in children)


def start_together(folder: str) -> list[object]:
    """Let workers start together, time and again; report failures and leftovers."""
    path = os.path.join(folder, "cache")
    failed, left = 0, set()
    for _ in range(10):
        failed += failures(opening(WORKERS, path))
        with FastMmap(path) as cache:
            failed += len(cache) != WORKERS
        left.update(os.listdir(folder))
        os.unlink(path)
    return [failed, sorted(left)]


def test_workers_that_start_together_need_room_for_one_file(tmp_path: Path) -> None:
    prefix = in_room(tmp_path)
    with Scenario(start_together, str(tmp_path), prefix=prefix) as running:
        assert running.result() == [0, ["cache"]]


def kill_creators(folder: str) -> list[object]:
    """Kill one after another of those that open; the last ones must succeed."""
    path = os.path.join(folder, "cache")
    failed, killed, left = 0, 0, set()
    for number in range(30):
        *victims, third, fourth = opening(4, path)
        time.sleep(number * 0.0005)
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
            killed += os.waitpid(victim, 0)[1] == signal.SIGKILL
        failed += failures([third, fourth])
        left.update(os.listdir(folder))
        os.unlink(path)
    return [failed, killed > 0, sorted(left)]


def test_a_creator_that_is_killed_half_way_gives_its_room_to_the_next(
    tmp_path: Path,
) -> None:
    prefix = in_room(tmp_path)
    with Scenario(kill_creators, str(tmp_path), prefix=prefix) as running:
        assert running.result() == [0, True, ["cache"]]


def create_without_reading(folder: str) -> list[object]:
    """Make a cache where files may be made and not listed, as an ordinary user."""
    os.chmod(folder, 0o333)
    os.setuid(65534)
    with FastMmap(os.path.join(folder, "cache"), cache_size="1m") as cache:
        return [cache.set("key", 1)]


@pytest.mark.usefixtures("nobody")
def test_a_directory_that_cannot_be_read_takes_a_cache(shared_path: str) -> None:
    folder = os.path.dirname(shared_path)
    prefix = in_room(Path(folder))
    with Scenario(create_without_reading, folder, prefix=prefix) as running:
        assert running.result() == [True]
