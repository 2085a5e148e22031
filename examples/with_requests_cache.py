"""A program that asks a web service once, whatever its number of processes.

The service is a small server of its own here, so that the program runs as it
stands.
"""

from __future__ import annotations

import tempfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from multiprocessing import get_context
from threading import Thread

from requests_cache import CachedSession

from fastmmap.contrib.requests_cache import FastMmapCache


class Service(BaseHTTPRequestHandler):
    """Says how the weather is."""

    def do_GET(self) -> None:
        print("asked for", self.path, flush=True)
        answer = f"rain in {self.path[1:]}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing else."""


def weather(path: str, url: str, city: str) -> None:
    """Ask as one worker does."""
    cache = FastMmapCache(path, cache_size="16m")
    with CachedSession(backend=cache, expire_after=60) as session:
        print(session.get(f"{url}/{city}").text, flush=True)


def main() -> None:
    """Ask in two processes, one after the other."""
    with (
        tempfile.TemporaryDirectory() as folder,  # /dev/shm is a good place
        HTTPServer(("127.0.0.1", 0), Service) as server,
    ):
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        for _ in range(2):
            arguments = (f"{folder}/http.cache", url, "Bergen")
            worker = get_context("spawn").Process(target=weather, args=arguments)
            worker.start()
            worker.join()
        server.shutdown()


if __name__ == "__main__":
    main()
