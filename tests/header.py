"""The header of a cache file, read and rewritten as docs/format tells."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Optional

from fastmmap import FastMmap

VERSION_AT, BYTE_ORDER_AT, UNWRITTEN_AT = 8, 12, 2056
SEED_AT, SERIALIZER_AT, CHECKSUM_AT = 48, 72, 144
CLIENTS_SIZE = 2048 * 512  # of the table at the end of each file
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


def word_at(path: str, at: int) -> int:
    """Return a word of 4 bytes of the file."""
    with open(path, "rb") as file:
        file.seek(at)
        (word,) = struct.unpack("=I", file.read(4))
    return int(word)


def put_word(path: str, at: int, word: int) -> None:
    """Write a word of 4 bytes into the file."""
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(struct.pack("=I", word))


def make_of_version(
    path: str, version: Optional[int] = None, unwritten: int = 0
) -> int:
    """Make a file that begins as one of that version does, and ends soon after.

    Returns the version that this library writes.
    """
    made = f"{path}.made"
    FastMmap(made, cache_size="64k").close()
    own = word_at(made, VERSION_AT)
    if version is not None:
        put_word(made, VERSION_AT, version)
        put_word(made, UNWRITTEN_AT, unwritten)
        os.truncate(made, 8192)
    os.replace(made, path)
    return own
