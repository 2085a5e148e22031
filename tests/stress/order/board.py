"""What all processes of the run write down: words of shared memory.

Each key has a row. Its owner alone writes the states; whoever has the right to
tell the store of the key writes what the store has. Nothing is lost by a kill.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path

#: The columns of a row.
ACKNOWLEDGED, PENDING, STORED, TELLER, WRITES, DELETES = range(6)
COLUMNS = 8
#: A state is a version, twice, plus whether the key has a value then.
GONE = 0


def state_of(version: int, present: bool) -> int:
    """Return the number of a state; GONE is that of a key never set."""
    return 2 * version + present


def is_present(state: int) -> bool:
    """Tell whether the key has a value in that state."""
    return state % 2 == 1


def version_of(state: int) -> int:
    """Return the version that made the state."""
    return state // 2


class Board:
    """A table of words, and a file of what went wrong."""

    def __init__(self, folder: Path, keys: int) -> None:
        """Make it, before any process is forked."""
        self._memory = mmap.mmap(-1, 8 * COLUMNS * keys)
        self._words = memoryview(self._memory).cast("Q")
        self._log = os.open(
            folder / "violations", os.O_CREAT | os.O_WRONLY | os.O_APPEND
        )
        self._path = folder / "violations"

    def get(self, key: int, column: int) -> int:
        """Return a word."""
        return self._words[COLUMNS * key + column]

    def put(self, key: int, column: int, value: int) -> None:
        """Store a word."""
        self._words[COLUMNS * key + column] = value

    def accuse(self, text: str) -> None:
        """Note a violation; one write, so that lines stay whole."""
        os.write(self._log, f"{text}\n".encode())

    def violations(self) -> list[str]:
        """Return all that was noted."""
        return self._path.read_text().splitlines()
