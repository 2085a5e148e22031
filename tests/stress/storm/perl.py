"""A cache for reading that a Perl process serves over pipes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any


def counts(value: bytes) -> dict[str, Any]:
    """Return the counts, which Perl keeps as words, as `get_and_set` has them."""
    numbers = [int(word) for word in value.split()]
    return {"counts": numbers, "sum": sum(numbers), "text": "x" * (sum(numbers) % 500)}


DECODERS: dict[str, Callable[[bytes], Any]] = {"incr": int, "get_and_set": counts}


class PerlReader:
    """`get` of Perl's Cache::FastMmap, as the mode has it."""

    def __init__(self, command: list[str], mode: str) -> None:
        self._decode = DECODERS.get(mode, bytes)
        self._server = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def get(self, key: str) -> Any:
        """Return what Perl reads, None for a miss."""
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.write(key.encode() + b"\n")
        self._server.stdin.flush()
        length = self._server.stdout.readline().strip()
        if length == b"-":
            return None
        return self._decode(self._server.stdout.read(int(length)))

    def close(self) -> None:
        """End the Perl process."""
        self._server.communicate()
