"""One thread of a writer or reader: its cache, its lane, its random numbers."""

from __future__ import annotations

import random
import sys
import threading
from typing import Any

from .journal import Journal
from .values import Values

# Which column a callback of the cache writes to: that of the calling thread.
calling = threading.local()


class Worker:
    """What an operation of a mode works with."""

    def __init__(
        self, cache: Any, journal: Journal, values: Values, column: int, seed: str
    ) -> None:
        self.cache, self.journal, self.values = cache, journal, values
        self.lane = column
        self.random = random.Random(seed)
        calling.column = column

    def count(self, what: str) -> None:
        """Add one to a tally."""
        self.journal.count(self.lane, what)

    def blame(self, what: str, message: str) -> None:
        """Count a broken promise, and print the first few."""
        self.count(what)
        if self.journal.total(what) <= 5:
            print(f"{what}: {message}", file=sys.stderr, flush=True)

    def start(self, key: int) -> int:
        """Note in the journal that a write begins."""
        return self.journal.start(key, self.lane)

    def acknowledge(self, key: int, sequence: int, stored: object = True) -> None:
        """Note in the journal that a write is done, if it was not refused."""
        if stored:
            self.journal.acknowledge(key, self.lane, sequence)
        else:
            self.count("refused")
