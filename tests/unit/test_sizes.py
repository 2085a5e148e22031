"""Sizes: bytes, or text with a unit; geometry follows."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import MakeCache

from fastmmap import FastMmap
from fastmmap.options import parse_size

KB, MB, GB = 2**10, 2**20, 2**30


@pytest.mark.quick
@pytest.mark.parametrize(
    ("size", "total"),
    [
        (512 * KB, 512 * KB),
        ("512k", 512 * KB),
        ("512K", 512 * KB),
        ("64m", 64 * MB),
        ("2g", 2 * GB),
        ("1048576", MB),
        ("64 MiB", 64 * MB),
        ("1GiB", GB),
        ("1.5g", 3 * GB // 2),
        ("1048576b", MB),
    ],
)
def test_cache_size_takes_bytes_or_a_unit(
    make_cache: MakeCache, size: Any, total: int
) -> None:
    cache = make_cache(cache_size=size, reserve=False)
    assert cache.page_size * cache.num_pages == total
    assert total <= cache.cache_size <= total * 1.02 + 2**16


@pytest.mark.parametrize(
    ("size", "bytes_"),
    [("10MB", 10**7), ("64 MB", 64 * 10**6), ("1gb", 10**9), ("0.5 kB", 500)],
)
def test_a_b_alone_makes_powers_of_a_thousand(size: str, bytes_: int) -> None:
    assert parse_size("cache_size", size) == bytes_


def test_the_default_cache_is_of_16_mb(path: str) -> None:
    with FastMmap(path) as cache:
        assert (cache.page_size, cache.num_pages) == (MB, 16)


def test_pages_grow_with_the_cache(make_cache: MakeCache) -> None:
    cache = make_cache(cache_size="64m", reserve=False)
    assert cache.page_size == 2 * MB


def test_geometry_can_be_given(make_cache: MakeCache) -> None:
    cache = make_cache(page_size="64k", num_pages=7)
    assert (cache.page_size, cache.num_pages) == (64 * KB, 7)


@pytest.mark.parametrize(
    ("given", "used"),
    [(5000, 4096), (7000, 8192), (100_000, 131072), ("90k", 65536), (65536, 65536)],
)
def test_page_size_is_rounded_to_the_nearest_power_of_two(
    make_cache: MakeCache, given: Any, used: int
) -> None:
    assert make_cache(page_size=given, num_pages=2).page_size == used


@pytest.mark.quick
@pytest.mark.parametrize("option", ["cache_size", "page_size"])
@pytest.mark.parametrize(
    "bad",
    [
        "12x",
        "",
        "k",
        "1ib",
        "1 mbit",
        "b",
        "1.5.2m",
        "-1m",
        -1,
        0,
        10**30,
        "9" * 30 + "g",
    ],
    ids=str,
)
def test_an_unreadable_size_is_a_value_error(path: str, option: str, bad: Any) -> None:
    with pytest.raises(ValueError, match=option):
        FastMmap(path, **{option: bad})
    assert not Path(path).exists()


@pytest.mark.parametrize("bad", [[1], b"64k", 1j, float("nan")], ids=repr)
def test_a_size_of_another_type_is_refused(path: str, bad: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="cache_size"):
        FastMmap(path, cache_size=bad)
    assert not Path(path).exists()


@pytest.mark.parametrize("page_size", [1, 4095, "2k", 2**30 + 1, "2g"])
def test_page_size_has_limits(path: str, page_size: Any) -> None:
    with pytest.raises(ValueError, match="page_size"):
        FastMmap(
            path,
            page_size=page_size,
            num_pages=1,
            reserve=False,
        )
    assert not Path(path).exists()


@pytest.mark.parametrize("option", ["num_pages", "start_slots", "entry_size"])
@pytest.mark.parametrize("bad", [0, -1, 2**40, "many", 1.5], ids=str)
def test_counts_have_limits(path: str, option: str, bad: Any) -> None:
    with pytest.raises((ValueError, TypeError, OverflowError), match=option):
        FastMmap(path, **{option: bad})
    assert not Path(path).exists()


def test_a_smaller_entry_size_gives_more_slots_at_first(
    make_cache: MakeCache, tmp_path: Path
) -> None:
    slots, counts = [], []
    for entry_size in (20, 2000):
        cache = make_cache(
            share_file=str(tmp_path / str(entry_size)),
            page_size="64k",
            num_pages=1,
            entry_size=entry_size,
        )
        slots.append(cache._info()["slots"])
        for number in range(2000):
            cache.set(f"{number}", number)
        counts.append(len(cache))
    assert slots[0] > 20 * slots[1]
    # The other index grows to what it needs.
    assert counts[1] > 20 * slots[1]
    assert abs(counts[0] - counts[1]) < 0.1 * counts[0]


def test_space_is_taken_at_creation(make_cache: MakeCache) -> None:
    cache = make_cache(cache_size="4m")
    stat = os.stat(cache.share_file)
    assert stat.st_blocks * 512 >= 4 * MB


def test_a_sparse_file_takes_space_as_it_fills(make_cache: MakeCache) -> None:
    cache = make_cache(cache_size="64m", reserve=False)
    stat = os.stat(cache.share_file)
    assert stat.st_size >= 64 * MB
    assert stat.st_blocks * 512 < 4 * MB


#: What stores nothing, or nothing more.
LOOKS: dict[str, Callable[[FastMmap], object]] = {
    "get": lambda cache: [cache.get(f"{number}") for number in range(2000)],
    "get_many": lambda cache: cache.get_many([f"{number}" for number in range(2000)]),
    "in": lambda cache: [f"{number}" in cache for number in range(2000)],
    "remove": lambda cache: [cache.remove(f"{number}") for number in range(2000)],
    "len": len,
    "iter": list,
    "get_keys": lambda cache: cache.get_keys(2),
    "check": lambda cache: cache.check(),
    "stats": lambda cache: cache.stats(),
    "purge": lambda cache: cache.purge(),
    "empty": lambda cache: cache.empty(),
    "clear": lambda cache: cache.clear(),
}


@pytest.fixture(params=["memory", "disk"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Yield a path on tmpfs, where even a read can take space, and on a disk."""
    if request.param == "disk":
        yield str(tmp_path / "cache")
        return
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("there is no /dev/shm")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield os.path.join(folder, "cache")


@pytest.mark.parametrize("look", LOOKS)
def test_only_storing_takes_space_in_a_sparse_file(place: str, look: str) -> None:
    with FastMmap(place, cache_size="16m", reserve=False) as cache:
        before = os.stat(place).st_blocks
        LOOKS[look](cache)
        assert os.stat(place).st_blocks == before
        cache.set("key", b"0" * 10_000)
        assert os.stat(place).st_blocks > before
