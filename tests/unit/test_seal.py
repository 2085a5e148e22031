"""The seal of an entry, computed by what docs/format.rst says, and as C has it."""

from __future__ import annotations

import re
import struct
from pathlib import Path

ALL = 2**64 - 1
G = 0x9E3779B97F4A7C15
KEY = 0x0123456789ABCDEF
VECTORS = Path(__file__).parents[1] / "c" / "test_seal.c"


def fold(a: int, b: int) -> int:
    product = (a & ALL) * (b & ALL)
    return product & ALL ^ product >> 64


def take(k: int, s: int, piece: bytes) -> int:
    a, b = struct.unpack("<2Q", piece.ljust(16, b"\0"))
    return fold(a ^ k, b ^ s)


def total(k: int, s: int, data: bytes) -> int:
    left = data
    if len(data) >= 64:
        lanes = [s + i * G & ALL for i in range(4)]
        for at in range(0, len(data) // 64 * 64, 16):
            lane = at // 16 % 4
            lanes[lane] = take(k, lanes[lane], data[at : at + 16])
        s = fold(lanes[0] ^ k, lanes[1]) ^ fold(lanes[2] ^ k, lanes[3])
        left = data[len(data) // 64 * 64 :]
    for at in range(0, len(left), 16):
        s = take(k, s, left[at : at + 16])
    return fold(s ^ len(data), k)


def test_the_vectors_of_c_are_what_the_page_on_the_format_says() -> None:
    found = re.findall(r"\{(\d+), UINT64_C\((0x[0-9a-f]+)\)\}", VECTORS.read_text())
    data = bytes((i * 7 + 1) % 256 for i in range(300))
    assert len(found) >= 10
    for length, value in found:
        assert total(KEY, 5, data[: int(length)]) == int(value, 16)
