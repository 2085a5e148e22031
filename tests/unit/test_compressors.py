"""Compressors: large values take less room, small ones are left alone."""

from __future__ import annotations

import os
import random
import sys
import threading
import zlib
from pathlib import Path
from typing import Any

import lz4.block
import pytest
from support import MakeCache

from fastmmap import CorruptError, FastMmap, FormatError

LONG = b"the same again and " * 500
MIB = 1 << 20
SAMPLE = 3 * 96 * 1024
NAMES = ["zlib", "lz4", "zstd", "snappy"]


def stored_size(cache: FastMmap, key: str) -> int:
    entry = cache.get_entry(key)
    assert entry is not None
    return entry.size


@pytest.mark.quick
@pytest.mark.parametrize("name", NAMES)
def test_long_values_shrink_and_come_back(make_cache: MakeCache, name: str) -> None:
    cache = make_cache(compressor=name)
    assert cache.compressor == name
    for value in (LONG, LONG.decode(), [LONG] * 3, {"k": "v" * 5000}, 10**3000):
        cache.set("key", value)
        found = cache.get("key")
        assert found == value and type(found) is type(value)
    cache.set("key", LONG)
    assert stored_size(cache, "key") < len(LONG) / 4


def test_compress_is_the_older_spelling(make_cache: MakeCache) -> None:
    assert make_cache(compress=True).compressor == "zlib"


def test_compress_false_means_none(make_cache: MakeCache) -> None:
    assert make_cache(compress=False).compressor is None


def test_no_compressor_is_the_default(cache: FastMmap) -> None:
    assert cache.compressor is None
    cache.set("key", LONG)
    assert stored_size(cache, "key") > len(LONG)


def test_a_pair_of_functions_compresses(make_cache: MakeCache) -> None:
    cache = make_cache(compressor=(zlib.compress, zlib.decompress))
    cache.set("key", LONG)
    assert stored_size(cache, "key") < len(LONG) / 4
    assert cache.get("key") == LONG


def test_short_values_are_stored_as_they_are(make_cache: MakeCache) -> None:
    cache = make_cache(compressor="zlib", compress_min_size=1000)
    cache.set("short", b"x" * 999)
    cache.set("long", b"x" * 1000)
    assert stored_size(cache, "short") > 999
    assert stored_size(cache, "long") < 500


def test_values_below_256_bytes_are_short_by_default(make_cache: MakeCache) -> None:
    cache = make_cache(compressor="zlib")
    cache.set("short", b"x" * 255)
    cache.set("long", b"x" * 256)
    assert stored_size(cache, "short") > 255 > stored_size(cache, "long")


def test_what_does_not_shrink_is_stored_as_it_is(make_cache: MakeCache) -> None:
    cache = make_cache(compressor="zlib")
    noise = os.urandom(2000)
    cache.set("key", noise)
    assert cache.get("key") == noise
    assert stored_size(cache, "key") < 2100


def store_large(
    make_cache: MakeCache,
    monkeypatch: pytest.MonkeyPatch,
    value: bytes,
    cache_size: str = "32m",
) -> tuple[FastMmap, list[int]]:
    """Store a large value; return its cache, and what the compressor was given."""
    given: list[int] = []
    compress = lz4.block.compress

    def note(plain: bytes, **options: Any) -> bytes:
        given.append(len(plain))
        return bytes(compress(plain, **options))

    monkeypatch.setattr(lz4.block, "compress", note)
    cache = make_cache(cache_size=cache_size, compressor="lz4")
    assert cache.set("key", value)
    assert cache.get("key") == value
    return cache, given


def test_large_random_values_cost_a_sample_only(
    make_cache: MakeCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = random.Random(1).randbytes(MIB)
    cache, given = store_large(make_cache, monkeypatch, value)
    assert given == [SAMPLE]
    assert stored_size(cache, "key") >= MIB


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_sample_comes_from_all_over_a_large_value(
    make_cache: MakeCache, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    parts = [random.Random(1).randbytes(MIB), random.Random(2).randbytes(MIB)]
    parts.insert(at, bytes(MIB))
    cache, given = store_large(make_cache, monkeypatch, b"".join(parts))
    assert given == [SAMPLE, 3 * MIB]
    assert stored_size(cache, "key") < 2.1 * MIB


def test_long_repeats_of_a_large_value_are_seen(
    make_cache: MakeCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = random.Random(1).randbytes(60 * 1024) * 40
    cache, _ = store_large(make_cache, monkeypatch, value)
    assert stored_size(cache, "key") < MIB / 8


def test_a_large_value_that_fits_only_compressed_needs_no_sample(
    make_cache: MakeCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = random.Random(1).randbytes(100_000) + bytes(MIB)
    _, given = store_large(make_cache, monkeypatch, value, cache_size="1m")
    assert given == [len(value)]


def test_functions_of_users_get_whole_values_only(make_cache: MakeCache) -> None:
    given: list[int] = []

    def compress(plain: bytes) -> bytes:
        given.append(len(plain))
        return zlib.compress(plain, 1)

    cache = make_cache(cache_size="32m", compressor=(compress, zlib.decompress))
    value = random.Random(1).randbytes(2 * MIB)
    assert cache.set("key", value)
    assert cache.get("key") == value and given == [2 * MIB]


def test_a_value_that_fits_only_compressed_is_stored(make_cache: MakeCache) -> None:
    cache = make_cache(page_size="64k", num_pages=1, compressor="zlib")
    assert cache.set("key", b"x" * 1_000_000) is True
    assert cache.get("key") == b"x" * 1_000_000


def test_counters_work_beside_compression(make_cache: MakeCache) -> None:
    cache = make_cache(compressor="zlib", compress_min_size=0)
    assert cache.incr("n") == 1
    assert cache.incr("n") == 2
    assert cache.get("n") == 2


def test_a_file_remembers_its_compressor(make_cache: MakeCache) -> None:
    make_cache(compressor="zlib").set("key", LONG)
    again = make_cache()
    assert again.compressor == "zlib"
    assert again.get("key") == LONG


def test_another_compressor_than_the_file_has_is_a_format_error(
    make_cache: MakeCache, path: str
) -> None:
    make_cache(compressor="zlib")
    with pytest.raises(FormatError) as caught:
        FastMmap(path, compressor="lz4")
    assert "zlib" in str(caught.value) and "lz4" in str(caught.value)


@pytest.mark.parametrize(
    "compressor", ["gzip", 1, (), (zlib.compress,), (zlib.compress, 1)], ids=repr
)
def test_an_unknown_compressor_is_refused(path: str, compressor: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="compressor"):
        FastMmap(path, compressor=compressor)
    assert not Path(path).exists()


def test_compress_against_a_compressor_is_a_value_error(path: str) -> None:
    with pytest.raises(ValueError, match="compress"):
        FastMmap(path, compress=False, compressor="lz4")
    assert not Path(path).exists()


@pytest.mark.parametrize(
    ("name", "package"), [("lz4", "lz4"), ("zstd", "zstandard"), ("snappy", "cramjam")]
)
def test_a_missing_package_is_an_import_error_that_names_it(
    path: str, monkeypatch: pytest.MonkeyPatch, name: str, package: str
) -> None:
    for module in [package, *(m for m in sys.modules if m.startswith(package + "."))]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=package):
        FastMmap(path, compressor=name)
    assert not Path(path).exists()


@pytest.mark.parametrize("size", [-1, 1.5, "many"], ids=str)
def test_an_absurd_compress_min_size_is_refused(path: str, size: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="compress_min_size"):
        FastMmap(path, compressor="zlib", compress_min_size=size)
    assert not Path(path).exists()


@pytest.mark.parametrize("name", NAMES)
def test_damaged_compressed_bytes_are_a_corrupt_error(
    make_cache: MakeCache, name: str
) -> None:
    cache = make_cache(compressor=name, serializer="raw")
    cache.set("key", LONG)
    with open(cache.share_file, "r+b") as file:
        content = file.read()
        at = content.index(b"key", cache.stats().bytes_total - 2**19) + 3
        file.seek(at)
        file.write(b"\xff" * 40)
    with pytest.raises(CorruptError):
        cache.get("key")
    assert cache.set("key", LONG)
    assert cache.get("key") == LONG


def order_of_set_and_thread(cache: FastMmap, value: bytes) -> list[str]:
    """Return which ended first: set(), or a thread that needs the GIL once."""
    order: list[str] = []
    gate = threading.Lock()
    gate.acquire()

    def need_the_gil() -> None:
        with gate:
            order.append("thread")

    thread = threading.Thread(target=need_the_gil)
    thread.start()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)  # nobody is made to give the GIL up
    try:
        gate.release()
        assert cache.set("key", value)
        order.append("set")
    finally:
        sys.setswitchinterval(interval)
    thread.join()
    return order


@pytest.mark.parametrize("compressor", ["zlib", None])
def test_zlib_releases_the_gil_for_large_values(
    make_cache: MakeCache, compressor: str | None
) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    # To copy so many bytes does not release it.
    letters = random.Random(seed).choices(b"0123456789abcdef", k=250_000)
    cache = make_cache(compressor=compressor, page_size="16m", num_pages=1)
    orders = (order_of_set_and_thread(cache, bytes(letters)) for _ in range(10))
    released = any(order == ["thread", "set"] for order in orders)
    assert released == (compressor is not None)
