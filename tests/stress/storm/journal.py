"""What was started and what was acknowledged, in memory that outlives writers.

A lane is one thread of one writer: whoever takes the place of a killed writer
goes on in its lanes. For each key and lane the journal holds the sequence
number of the last write that was started and of the last that was
acknowledged. Each cell has one writer at a time and is 8 aligned bytes, so a
kill leaves the old number or the new one.
"""

from __future__ import annotations

import mmap
import random
from pathlib import Path

TALLIES = (
    "operations",
    "reads",
    "refused",
    "lost",
    "torn",
    "stale",
    "hung",
    "emptied",
    "errors",
)
NOISE = 1 << 18


class Journal:
    """Cells of 8 bytes in a shared file, by name; then a block of noise."""

    def __init__(self, path: Path, keys: int, lanes: int, readers: int) -> None:
        self.path, self.keys, self.lanes = path, keys, lanes
        # One column for each lane and reader, and one for the supervisor.
        self.columns = lanes + readers + 1
        cells = keys * (2 * lanes + self.columns) + self.columns * len(TALLIES) + 8
        with path.open("w+b") as file:
            file.truncate(8 * cells + NOISE)
            self._map = mmap.mmap(file.fileno(), 0)
        self.noise = bytes(random.Random(1).choices(b"acgt0123", k=NOISE))
        self._map[8 * cells :] = self.noise
        words = memoryview(self._map)[: 8 * cells].cast("Q")
        self._started, words = _cut(words, keys * lanes)
        self._acked, words = _cut(words, keys * lanes)
        self._backing, words = _cut(words, keys * self.columns)
        self._tally, words = _cut(words, self.columns * len(TALLIES))
        self._flags = words

    def start(self, key: int, lane: int) -> int:
        """Note that the lane's next write begins; return its sequence number."""
        at = key * self.lanes + lane
        sequence: int = self._started[at] + 1
        self._started[at] = sequence
        return sequence

    def acknowledge(self, key: int, lane: int, sequence: int) -> None:
        """Note that the write is done: from now on it must not be lost."""
        self._acked[key * self.lanes + lane] = sequence

    def settle(self, key: int, lane: int, sequence: int) -> None:
        """Note how far a lane really got, known by its next owner's reading."""
        self._acked[key * self.lanes + lane] = sequence
        self._started[key * self.lanes + lane] = sequence

    def acked(self, key: int) -> list[int]:
        """Return the last acknowledged sequence of each lane."""
        return self._acked[key * self.lanes : (key + 1) * self.lanes].tolist()

    def started(self, key: int) -> list[int]:
        """Return the last started sequence of each lane."""
        return self._started[key * self.lanes : (key + 1) * self.lanes].tolist()

    def write_back(self, key: int, column: int, sequence: int) -> None:
        """Store a sequence in the backing store; an older one changes nothing."""
        at = key * self.columns + column
        self._backing[at] = max(self._backing[at], sequence)

    def backed(self, key: int) -> int:
        """Return the newest sequence in the backing store, 0 for none."""
        found = self._backing[key * self.columns : (key + 1) * self.columns]
        return max(found.tolist())

    def count(self, column: int, what: str, number: int = 1) -> None:
        """Add to a tally."""
        self._tally[column * len(TALLIES) + TALLIES.index(what)] += number

    def total(self, what: str) -> int:
        """Return a tally summed over all columns."""
        return sum(self._tally[TALLIES.index(what) :: len(TALLIES)].tolist())

    @property
    def over(self) -> bool:
        """Tell whether the readers shall end."""
        return bool(self._flags[0])

    def end(self) -> None:
        """Ask the readers to end."""
        self._flags[0] = 1


def _cut(words: memoryview, count: int) -> tuple[memoryview, memoryview]:
    return words[:count], words[count:]
