"""Write hash_vectors.txt: what the key hash of the file format must give.

Run as ``python3.11 tests/golden/make_hash_vectors.py``, with CPython 3.11 or
newer on a little-endian machine: its own hash of bytes is SipHash-1-3, under
a seed that PYTHONHASHSEED decides. That makes it a source of truth that
shares no code with ours. The file is frozen: it changes only together with
the version of the file format.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

LENGTHS = [*range(1, 34), 63, 64, 65, 255, 256, 257, 1000]
SEEDS = (0, 1, 4294967295)
PAGES, BUCKETS = 1000, 77
PROGRAM = f"print([hash(bytes(i % 256 for i in range(n))) for n in {LENGTHS}])"


def seed_words(seed: int) -> tuple[int, int]:
    """Return the two halves of CPython's hash secret for a PYTHONHASHSEED."""
    if seed == 0:
        return 0, 0
    state, secret = seed, bytearray()
    for _ in range(16):
        state = (state * 214013 + 2531011) & 0xFFFFFFFF
        secret.append(state >> 16 & 0xFF)
    return int.from_bytes(secret[:8], "little"), int.from_bytes(secret[8:], "little")


def hashes(seed: int) -> list[int]:
    """Return CPython's hashes of the test strings under a PYTHONHASHSEED."""
    environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
    command = [sys.executable, "-c", PROGRAM]
    printed = subprocess.check_output(command, env=environment, text=True)
    return [number % 2**64 for number in ast.literal_eval(printed)]


def places(value: int) -> tuple[int, int, int, int, int]:
    """Return page, both buckets, tag and ghost, as docs/format has them."""
    low, high = value % 2**32, value >> 32
    first = low * BUCKETS >> 32
    second = (low * 0x9E3779B1 % 2**32) * BUCKETS >> 32
    second = (first + 1) % BUCKETS if second == first else second
    return high * PAGES >> 32, first, second, low & 0xFFFF, high & 0xFFFF or 1


def main() -> None:
    """Write the file beside this program."""
    assert sys.hash_info.algorithm == "siphash13" and sys.byteorder == "little"
    lines = [
        "# seed0 seed1 length hash | page of 1000, buckets of 77, tag, ghost",
        "# of the bytes 0, 1, 2 ... 255, 0 ...",
    ]
    for seed in SEEDS:
        words = seed_words(seed)
        for length, value in zip(LENGTHS, hashes(seed), strict=True):
            parts = " ".join(str(place) for place in places(value))
            lines.append(f"{words[0]:x} {words[1]:x} {length} {value:x} {parts}")
    text = "\n".join(lines) + "\n"
    Path(__file__).with_name("hash_vectors.txt").write_text(text)


if __name__ == "__main__":
    main()
