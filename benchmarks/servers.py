"""Start the servers that peers need, on Unix sockets; end exactly those.

All of it lives in a temporary directory, on tmpfs where there is one, which
goes away with everything that peers left in shared memory under its name.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from peers import Place
from peers.manager_dict import KEY, Manager

SHM = Path("/dev/shm")
START_LIMIT = 10.0  # seconds
SLACK = 64 << 20  # servers have more than values to keep


def answers(path: str) -> bool:
    """Tell whether somebody listens at a Unix socket."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(path)
        except OSError:
            return False
    return True


@contextlib.contextmanager
def process(command: list[str], path: str) -> Iterator[str]:
    """Run a server until the end of the block; "" when it is not installed."""
    if shutil.which(command[0]) is None:
        yield ""
        return
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(command, stdout=quiet, stderr=quiet, stdin=quiet)
    try:
        deadline = time.monotonic() + START_LIMIT
        while not answers(path):
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} does not listen at {path}")
            time.sleep(0.01)
        yield path
    finally:
        server.terminate()
        server.wait()


def redis(path: str, size: int) -> contextlib.AbstractContextManager[str]:
    """Run a Redis that keeps nothing on disk and evicts when it is full."""
    options = {
        "--port": "0",
        "--unixsocket": path,
        "--save": "",
        "--appendonly": "no",
        "--maxmemory": str(size),
        "--maxmemory-policy": "allkeys-lru",
        "--dir": str(Path(path).parent),
    }
    words = [word for option in options.items() for word in option]
    return process(["redis-server", *words], path)


def memcached(path: str, size: int) -> contextlib.AbstractContextManager[str]:
    """Run a memcached with two threads, like the processors of a small host."""
    command = ["memcached", "-s", path, "-m", str(size >> 20), "-t", "2", "-c", "1024"]
    if os.geteuid() == 0:
        command += ["-u", "root"]
    return process(command, path)


@contextlib.contextmanager
def manager(path: str) -> Iterator[str]:
    """Run the process of a Manager().dict()."""
    server = Manager(address=path, authkey=KEY)
    server.start()
    try:
        yield path
    finally:
        server.shutdown()


@contextlib.contextmanager
def directory() -> Iterator[Path]:
    """Make a directory; remove it, and what bears its name in shared memory."""
    parent = SHM if os.access(SHM, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="fastmmap-bench-", dir=parent) as name:
        path = Path(name)
        try:
            yield path
        finally:
            for left in SHM.glob(f"*{path.name}?*"):
                left.unlink()


@contextlib.contextmanager
def home(size: int = 16 << 20) -> Iterator[Place]:
    """Yield a place without servers."""
    with directory() as path:
        yield Place(str(path), size)


@contextlib.contextmanager
def place(size: int = 16 << 20, roomy: bool = True) -> Iterator[Place]:
    """Yield a place with all servers; `roomy` ones have room for overhead."""
    room = size + SLACK if roomy else size
    with contextlib.ExitStack() as stack:
        empty = stack.enter_context(home(size))
        yield empty._replace(
            redis=stack.enter_context(redis(empty.file("redis"), room)),
            memcached=stack.enter_context(memcached(empty.file("memcached"), room)),
            manager=stack.enter_context(manager(empty.file("manager"))),
        )
