"""A page that all workers of gunicorn share, and its settings in the same file.

``gunicorn --config with_gunicorn.py with_gunicorn:app``
"""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from functools import lru_cache
from typing import Any

from fastmmap import FastMmap
from fastmmap.contrib.gunicorn import hooks

PATH = os.environ.get("PAGES", "/dev/shm/pages.cache")

# These are settings of gunicorn; its master runs the two functions.
workers = 3
loglevel = "warning"
on_starting, on_exit = hooks(PATH, cache_size="16m", unlink_on_exit=True)


@lru_cache
def pages() -> FastMmap:
    """Open the cache, once in each worker."""
    return FastMmap(PATH)


def make_page() -> str:
    """Make a page, which takes long."""
    print("making the page", flush=True)
    time.sleep(0.1)
    return "the page"


def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answer a request."""
    page = pages().get_or_set(environ["PATH_INFO"], make_page)
    number = pages().incr("answers")
    start_response("200 OK", [])
    return [f"{page}, answer {number}".encode()]


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


def main() -> None:
    """Start gunicorn, ask three times, and stop it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        host, port = free.getsockname()
    command = [sys.executable, "-m", "gunicorn", "--config", __file__]
    options = ["--bind", f"{host}:{port}", "--no-control-socket", "with_gunicorn:app"]
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [*command, *options],
            cwd=os.path.dirname(os.path.abspath(__file__)),
            env={**os.environ, "PAGES": f"{folder}/pages.cache"},
        )
        try:
            for _ in range(3):
                print(fetch(host, port), flush=True)
        finally:
            server.terminate()
            server.wait()
        print("left behind:", os.listdir(folder))


if __name__ == "__main__":
    main()
