"""The user's store: slow at random, and strict about the order."""

from __future__ import annotations

import os
import random
import threading
import time

from board import (
    DELETES,
    STORED,
    TELLER,
    WRITES,
    Board,
    is_present,
    state_of,
    version_of,
)

_LONG, _SHORT = 0.03, 0.002


def teller() -> int:
    """Return a number of this thread of this process."""
    return os.getpid() << 32 | threading.get_ident() & 0xFFFFFFFF


class Store:
    """Callbacks of a cache whose keys are numbers and values versions."""

    def __init__(self, board: Board, living: set[int]) -> None:
        """Use that board; `living` is unused but by the parent."""
        self.board = board

    def _linger(self) -> None:
        if random.random() < 0.5:
            time.sleep(random.random() * random.choice((_SHORT, _SHORT, _LONG)))

    def _tell(self, key: int, state: int, column: int) -> None:
        """Do what takes long, and see that nobody else did so meanwhile."""
        me = teller()
        self.board.put(key, TELLER, me)
        self._linger()
        if self.board.get(key, TELLER) != me:
            self.board.accuse(f"key {key}: two tell the store of it at once")
        known = self.board.get(key, STORED)
        if version_of(state) < version_of(known):
            self.board.accuse(
                f"key {key}: version {version_of(state)} was written over "
                f"{version_of(known)}"
            )
        self.board.put(key, STORED, state)
        self.board.put(key, column, self.board.get(key, column) + 1)
        self._linger()

    def write(self, context: object, key: str, value: object, expire: object) -> None:
        """Keep a value, (version, padding)."""
        version: int = value[0]  # type: ignore[index]  # see owner.py
        self._tell(int(key), state_of(version, True), WRITES)

    def delete(self, context: object, key: str) -> None:
        """Delete a key; which removal it stands for is not told."""
        number = int(key)
        version = version_of(self.board.get(number, STORED))
        self._tell(number, state_of(version, False), DELETES)

    def read(self, context: object, key: str) -> object:
        """Return what is kept, without its padding."""
        self._linger()
        state = self.board.get(int(key), STORED)
        return (version_of(state), b"") if is_present(state) else None
