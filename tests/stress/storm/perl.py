"""A cache for reading that a Perl process serves over pipes."""

from __future__ import annotations

import subprocess


class PerlReader:
    """`get` of Perl's Cache::FastMmap, in bytes."""

    def __init__(self, command: list[str]) -> None:
        self._server = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def get(self, key: str) -> bytes | None:
        """Return what Perl reads, None for a miss."""
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.write(key.encode() + b"\n")
        self._server.stdin.flush()
        length = self._server.stdout.readline().strip()
        if length == b"-":
            return None
        return self._server.stdout.read(int(length))

    def close(self) -> None:
        """End the Perl process."""
        self._server.communicate()
