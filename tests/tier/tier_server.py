"""A Redis server of the tests' own, on a Unix socket, ended by its process."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

PROGRAM = shutil.which("redis-server") or shutil.which("valkey-server")
LIMIT = 30.0  # seconds


class Server:
    """A server without a file; it is empty when it starts again."""

    def __init__(self, *options: str) -> None:
        # The path of a Unix socket is short.
        self._folder = tempfile.TemporaryDirectory(prefix="tier")
        self.socket = str(Path(self._folder.name) / "socket")
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def client(self, **options: Any) -> Any:
        import redis

        return redis.Redis.from_url(self.url, **options)

    def nodes(self) -> list[Any]:
        """Return a client of each server that there is."""
        return [self.client()]

    def start(self) -> None:
        assert PROGRAM is not None
        settings = ("--port", "0", "--save", "", "--unixsocket", self.socket)
        self._process = subprocess.Popen(
            [PROGRAM, *settings, *self._options],
            cwd=self._folder.name,
            stdout=subprocess.DEVNULL,
        )
        end = time.monotonic() + LIMIT
        while not self._answers():
            assert time.monotonic() < end, "the server does not start"
            time.sleep(0.01)

    def _answers(self) -> bool:
        import redis

        try:
            return bool(self.client().ping())
        except redis.exceptions.ConnectionError:
            return False

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        self.kill()
        self._folder.cleanup()
