"""Values that describe themselves: each byte follows from key, lane, sequence."""

from __future__ import annotations

import struct
from typing import NamedTuple

from .journal import NOISE

HEADER = struct.Struct("<4Q")
SMALL = 256


class Origin(NamedTuple):
    """Which write a value came from."""

    key: int
    lane: int
    sequence: int


class Values:
    """Makes values of up to `largest` bytes, one in `one_in` a large one."""

    def __init__(self, noise: bytes, largest: int, one_in: int) -> None:
        self._noise, self._largest, self._one_in = noise, largest, one_in

    def make(self, origin: Origin) -> bytes:
        """Return the value of one write."""
        key, lane, sequence = origin
        mixed = key * 7919 + lane * 104729 + sequence * 1299709
        size = mixed // 16 % (SMALL if mixed % self._one_in else self._largest)
        offset = mixed % (NOISE - self._largest)
        return HEADER.pack(*origin, size) + self._noise[offset : offset + size]

    def origin(self, key: int, value: object) -> Origin | None:
        """Return where a value came from, None if it is not whole."""
        if not isinstance(value, bytes) or len(value) < HEADER.size:
            return None
        origin = Origin(*HEADER.unpack_from(value)[:3])
        if origin.key != key or self.make(origin) != value:
            return None
        return origin
