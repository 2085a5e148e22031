"""Keys made to collide: under the file's own seed they are keys like any."""

from __future__ import annotations

import functools
import os
import pickle
import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from header import NO_SEED, SEED_AT, rewrite_header, seed_of, siphash
from support import MakeCache

import fastmmap
from fastmmap import FastMmap

# Where the pages' counts of entries are in the file, as docs/format tells.
HEADER, CONTROL, ENTRIES_AT = 4096, 256, 104
MASK = 2**64 - 1

PAGES, PAGE_SIZE, SLOTS = 16, 65536, 128
# A value of the size that so many slots are for: with these the index never grows.
LARGE = bytes(500)
BUCKETS = SLOTS // 8

Hash = Callable[[bytes], int]


def fnv1a(data: bytes) -> int:
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & MASK
    return value


def times31(data: bytes) -> int:
    value = functools.reduce(lambda value, byte: value * 31 + byte, data, 0)
    return value << 32 & MASK


def crc(data: bytes) -> int:
    return zlib.crc32(data) << 32 | zlib.crc32(data)


UNKEYED: dict[str, Hash] = {
    "siphash without a seed": functools.partial(siphash, NO_SEED),
    "fnv1a": fnv1a,
    "times 31": times31,
    "crc32": crc,
}


def page_of(value: int) -> int:
    return (value >> 32) * PAGES >> 32


def buckets_of(value: int) -> tuple[int, int]:
    low = value & 0xFFFFFFFF
    first = low * BUCKETS >> 32
    second = (low * 0x9E3779B1 & 0xFFFFFFFF) * BUCKETS >> 32
    return first, (first + 1) % BUCKETS if second == first else second


def collisions(same: Callable[[bytes], bool], count: int) -> list[str]:
    """Search for keys by force, as one who floods a cache would."""
    tried = random.Random(count)
    found: list[str] = []
    while len(found) < count:
        key = f"{tried.getrandbits(48):x}"
        if same(key.encode()):
            found.append(key)
    return found


def keys_of_one_page(unkeyed: Hash, count: int) -> list[str]:
    return collisions(lambda key: page_of(unkeyed(key)) == 3, count)


@functools.cache
def keys_of_two_buckets() -> list[str]:
    """Return keys whose only two buckets are the same, without a seed."""
    wanted = buckets_of(siphash(NO_SEED, b"key"))
    return collisions(lambda key: buckets_of(siphash(NO_SEED, key)) == wanted, 40)


def entries_of_pages(path: str) -> list[int]:
    data = Path(path).read_bytes()
    starts = range(HEADER, HEADER + CONTROL * PAGES, CONTROL)
    return [struct.unpack_from("=Q", data, at + ENTRIES_AT)[0] for at in starts]


def remove_seed(path: str) -> None:
    """Make a file as a cache with an unkeyed hash would have it."""
    rewrite_header(path, SEED_AT, bytes(16))


def chi_squared(counts: list[int]) -> float:
    expected = sum(counts) / len(counts)
    return sum((count - expected) ** 2 for count in counts) / expected


@pytest.fixture
def many_pages(make_cache: MakeCache) -> FastMmap:
    return make_cache(num_pages=PAGES, page_size=PAGE_SIZE, start_slots=SLOTS)


@pytest.mark.quick
def test_the_hash_of_this_module_is_that_of_the_cache() -> None:
    golden = Path(__file__).parents[1] / "golden" / "hash_vectors.txt"
    lines = [
        line.split()
        for line in golden.read_text().splitlines()
        if not line.startswith("#")
    ]
    assert len(lines) > 100
    for first, second, length, value, *_ in lines:
        data = bytes(i % 256 for i in range(int(length)))
        assert siphash((int(first, 16), int(second, 16)), data) == int(value, 16)


@pytest.mark.parametrize("name", UNKEYED)
def test_keys_of_one_page_spread_over_all_pages(
    many_pages: FastMmap, name: str
) -> None:
    for key in keys_of_one_page(UNKEYED[name], 800):
        assert many_pages.set(key, b"value")
    counts = entries_of_pages(many_pages.share_file)
    assert sum(counts) == 800
    # 15 degrees of freedom: one fair draw in a billion is beyond 70.
    assert chi_squared(counts) < 70
    assert max(counts) < 50 + 7 * 50**0.5


def test_without_its_seed_the_same_keys_would_fill_one_page(
    make_cache: MakeCache, path: str
) -> None:
    make_cache(num_pages=PAGES, page_size=PAGE_SIZE, unlink_on_exit=False).close()
    remove_seed(path)
    cache = make_cache()
    for key in keys_of_one_page(UNKEYED["siphash without a seed"], 100):
        cache.set(key, b"value")
    counts = entries_of_pages(path)
    assert sum(counts) == counts[3]


def test_keys_of_two_buckets_spread_over_all_buckets(make_cache: MakeCache) -> None:
    cache = make_cache(num_pages=1, page_size=PAGE_SIZE, start_slots=SLOTS)
    for key in keys_of_two_buckets():
        assert cache.set(key, LARGE)
    assert len(cache) == len(keys_of_two_buckets())
    assert cache.stats().evictions == 0


def test_without_its_seed_two_buckets_would_take_sixteen(
    make_cache: MakeCache, path: str
) -> None:
    shape = {"num_pages": 1, "page_size": PAGE_SIZE, "start_slots": SLOTS}
    make_cache(**shape, unlink_on_exit=False).close()
    remove_seed(path)
    cache = make_cache()
    for key in keys_of_two_buckets():
        cache.set(key, LARGE)
    assert len(cache) == 16
    assert cache.stats().slot_evictions == len(keys_of_two_buckets()) - 16


def fill(cache: FastMmap, keys: list[str]) -> fastmmap.Stats:
    for key in keys:
        cache.set(key, bytes(100))
    return cache.stats()


def test_a_full_cache_keeps_as_many_of_them_as_of_random_keys(
    make_cache: MakeCache, tmp_path: Path
) -> None:
    shape: dict[str, Any] = {"num_pages": PAGES, "page_size": 4096, "start_slots": 32}
    flood = keys_of_one_page(crc, 3000)
    others = collisions(lambda key: True, 3000)
    flooded = fill(make_cache(share_file=tmp_path / "a", **shape), flood)
    usual = fill(make_cache(share_file=tmp_path / "b", **shape), others)
    assert usual.evictions > 1000
    assert abs(flooded.entries - usual.entries) < 0.15 * usual.entries
    assert abs(flooded.evictions - usual.evictions) < 0.15 * usual.evictions


@pytest.mark.quick
def test_every_file_has_a_seed_of_its_own(
    make_cache: MakeCache, tmp_path: Path
) -> None:
    paths = [tmp_path / str(number) for number in range(40)]
    for path in paths:
        make_cache(share_file=path, num_pages=1, page_size=4096)
    words = {seed_of(path)[half : half + 8] for path in paths for half in (0, 8)}
    assert len(words) == 80
    assert bytes(8) not in words


def test_a_file_made_anew_has_another_seed(make_cache: MakeCache, path: str) -> None:
    make_cache()
    before = seed_of(path)
    make_cache(init_file=True, cache_size="512k")
    assert seed_of(path) != before


# ------------------------------------------------------ the seed stays inside


def traces_of(seed: bytes) -> list[bytes]:
    """Return how a seed, or a half of it, would look where it is shown."""
    words = [seed[:8], seed[8:]]
    texts = [form for word in (*words, seed) for form in (word.hex(), repr(word))]
    orders: tuple[Literal["little", "big"], ...] = ("little", "big")
    for order in orders:
        for part in (*words, seed):
            number = int.from_bytes(part, order)
            texts += [str(number), f"{number:x}"]
    signed = [str(number) for number in struct.unpack("<2q", seed)]
    pickled = [part for word in words for part in (word, word[::-1])]
    return [text.encode() for text in (*texts, *signed)] + pickled


def messages(cache: FastMmap, path: str) -> list[str]:
    """Return what the errors say that show the most of a file."""
    said = []
    for options in ({"page_size": 4096}, {"serializer": "json"}, {"num_pages": 77}):
        with pytest.raises(fastmmap.FormatError) as caught:
            FastMmap(path, **options)  # type: ignore[arg-type]  # any option
        said.append(repr(caught.value))
    with pytest.raises(KeyError) as missing:
        cache["missing"]
    return [*said, repr(missing.value)]


def attributes(cache: FastMmap) -> list[object]:
    """Return all that needs no argument, private names included."""
    found: list[object] = []
    for name in dir(cache):
        try:
            found.append(getattr(cache, name))
        except AttributeError:
            continue
    return found


def command(name: str, path: str) -> bytes:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    words = [sys.executable, "-m", "fastmmap", name, path]
    return subprocess.check_output(words, env=environment, timeout=60)


@pytest.mark.quick
def test_nothing_public_shows_the_seed(cache: FastMmap, path: str) -> None:
    for number in range(20):
        cache.set(f"key{number}", number, modseq=number)
    cache.get_and_set("key", lambda key, value, entry: repr((key, value, entry)))
    shown: list[object] = [
        cache,
        attributes(cache),
        vars(cache),
        cache._info(),
        cache.stats(),
        cache.check(),
        cache.get_statistics() if cache.stats().reads else (),
        cache.get_keys(2),
        cache.get_entry("key1"),
        cache.items(),
        list(cache),
        messages(cache, path),
        command("info", path),
        command("check", path),
    ]
    text = repr(shown).encode() + pickle.dumps(cache) + repr(cache.get("key")).encode()
    assert b"key19" in text and path.encode() in text
    assert [trace for trace in traces_of(seed_of(path)) if trace in text] == []


def test_a_seed_that_is_shown_would_be_seen(cache: FastMmap, path: str) -> None:
    seed = seed_of(path)
    for shown in (repr(seed), seed.hex(), str(struct.unpack("<2Q", seed))):
        assert any(trace in shown.encode() for trace in traces_of(seed))
