"""A page that all workers of uWSGI share, and what they changed, written at the end.

``uwsgi --master --processes 3 --http-socket :8000 --wsgi-file with_uwsgi.py``
"""

from __future__ import annotations

import atexit
import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from fastmmap import FastMmap

FOLDER = os.environ.get("PAGES", "/dev/shm")


def write(folder: str, key: str, value: int, expire_on: float | None) -> None:
    """Store a counter where it outlives the cache."""
    Path(folder, key).write_text(str(value))


def open_cache() -> FastMmap:
    """Open the cache: once, or once in each worker with ``--lazy-apps``."""
    cache = FastMmap(
        f"{FOLDER}/pages.cache",
        cache_size="16m",
        write_action="write_back",
        context=FOLDER,
        write_cb=write,
    )
    atexit.register(cache.flush)  # uWSGI's workers run it, its master does not
    return cache


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answer a request."""
    number = cache.incr("answers")
    start_response("200 OK", [])
    return [f"answer {number}".encode()]


# ------------------------------------------------- what a shell and a browser do


def fetch(host: str, port: int) -> str:
    """Fetch the page, as soon as the server is there."""
    for _ in range(300):
        connection = http.client.HTTPConnection(host, port)
        try:
            connection.request("GET", "/")
            return connection.getresponse().read().decode()
        except ConnectionRefusedError:
            time.sleep(0.1)
        finally:
            connection.close()
    raise TimeoutError(f"{host}:{port}")


def stop(server: subprocess.Popen[bytes]) -> None:
    """Stop it, again if need be: one that still begins may overlook a signal."""
    while server.poll() is None:
        server.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.wait(5)


def main() -> None:
    """Start uWSGI, ask three times, and stop it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        host, port = free.getsockname()
    program = str(Path(sys.executable).with_name("uwsgi"))
    command = [program, "--wsgi-file", os.path.abspath(__file__)]
    options = ["--master", "--processes", "3", "--http-socket", f"{host}:{port}"]
    mercy = ["--worker-reload-mercy", "3"]  # for one that overlooked its signal
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [*command, *options, "--die-on-term", *mercy],
            env={**os.environ, "PAGES": folder},
            stderr=subprocess.DEVNULL,
        )
        try:
            for _ in range(3):
                print(fetch(host, port))
        finally:
            stop(server)
        print("written:", Path(folder, "answers").read_text())


if __name__ == "__main__":
    main()
else:
    cache = open_cache()
