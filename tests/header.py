"""The header of a cache file, read and rewritten as docs/format tells."""

from __future__ import annotations

import struct
from pathlib import Path

SEED_AT, SERIALIZER_AT, CHECKSUM_AT = 48, 72, 136
NO_SEED = (0, 0)
_MASK = 2**64 - 1


def _rotate(word: int, bits: int) -> int:
    return (word << bits | word >> (64 - bits)) & _MASK


def _round(v: list[int]) -> None:
    v[0], v[2] = (v[0] + v[1]) & _MASK, (v[2] + v[3]) & _MASK
    v[1], v[3] = _rotate(v[1], 13) ^ v[0], _rotate(v[3], 16) ^ v[2]
    v[0] = _rotate(v[0], 32)
    v[2], v[0] = (v[2] + v[1]) & _MASK, (v[0] + v[3]) & _MASK
    v[1], v[3] = _rotate(v[1], 17) ^ v[2], _rotate(v[3], 21) ^ v[0]
    v[2] = _rotate(v[2], 32)


def siphash(seed: tuple[int, int], data: bytes) -> int:
    """Return SipHash-1-3, the hash of keys, by its published description."""
    first, second = seed
    v = [
        first ^ 0x736F6D6570736575,
        second ^ 0x646F72616E646F6D,
        first ^ 0x6C7967656E657261,
        second ^ 0x7465646279746573,
    ]
    whole = len(data) // 8
    rest = data[8 * whole :].ljust(7, b"\0") + bytes([len(data) % 256])
    for word in struct.unpack(f"<{whole + 1}Q", data[: 8 * whole] + rest):
        v[3] ^= word
        _round(v)
        v[0] ^= word
    v[2] ^= 0xFF
    for _ in range(3):
        _round(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def seed_of(path: str | Path) -> bytes:
    """Return the seed of a file's hash: the one thing that must not leak."""
    return Path(path).read_bytes()[SEED_AT : SEED_AT + 16]


def rewrite_header(path: str, at: int, field: bytes) -> None:
    """Overwrite a field of the header, and let its checksum agree."""
    data = bytearray(Path(path).read_bytes())
    data[at : at + len(field)] = field
    checksum = siphash(NO_SEED, bytes(data[:CHECKSUM_AT]))
    struct.pack_into("=Q", data, CHECKSUM_AT, checksum)
    Path(path).write_bytes(data)
