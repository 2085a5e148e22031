"""stats().advice: which options do not fit what is stored, and what would."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import MakeCache

from fastmmap import FastMmap

MISSES = "of the reads found nothing"
MEMORY = Path("/dev/shm")


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Return a directory in memory: on a disk entries are larger, by their seals."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as path:
        yield Path(path)


def use(cache: FastMmap, keys: int, size: int) -> tuple[str, ...]:
    """Read keys at random, and store what is missing; return the advice.

    But for that to make the file larger, for there is more than it can hold.
    """
    rng = random.Random(5)
    for _ in range(6 * keys):
        key = f"key {rng.randrange(keys)}"
        if cache.get(key) is None:
            cache.set(key, b"x" * size)
    return tuple(text for text in cache.stats().advice if MISSES not in text)


def given(advice: str) -> dict[str, Any]:
    """Return the options that it tells to give."""
    found = re.findall(r'(\w+)=(?:"(\w+)"|(\d+))', advice)
    return {name: text or int(number) for name, text, number in found}


@pytest.mark.quick
def test_a_cache_that_is_not_full_gets_no_advice(cache: FastMmap) -> None:
    assert cache.stats().advice == cache.check().advice == ()
    cache.set("key", "value")
    assert use(cache, 10, 10) == ()


# Values so small that the index cannot grow enough; a first index that is too small
# by so little that it stays.
@pytest.mark.quick
@pytest.mark.parametrize(
    ("size", "options", "gain"), [(0, {}, 1.04), (8, {"entry_size": 48}, 1.1)]
)
def test_small_values_are_told_of_and_the_advice_helps(
    make_cache: MakeCache, size: int, options: dict[str, Any], gain: float
) -> None:
    cache = make_cache(cache_size="256k", serializer="raw", **options)
    (advice,) = use(cache, 6000, size)
    assert "for lack of index slots" in advice
    kept = cache.stats().entries
    better = given(advice)
    assert better.keys() == {"entry_size"}
    other = FastMmap(cache_size="256k", serializer="raw", **better)
    assert not any("slots" in text for text in use(other, 6000, size))
    assert other.stats().entries > gain * kept
    other.close()


@pytest.mark.quick
@pytest.mark.parametrize("size", [8, 40, 100])
def test_where_the_index_grows_there_is_nothing_to_tell(
    make_cache: MakeCache, size: int
) -> None:
    cache = make_cache(cache_size="256k", serializer="raw")
    assert use(cache, 6000, size) == ()
    told = FastMmap(cache_size="256k", serializer="raw", entry_size=size + 8)
    use(told, 6000, size)
    assert told.stats().entries < 1.05 * cache.stats().entries
    told.close()


def test_an_index_that_has_just_grown_is_no_reason_for_advice(
    make_cache: MakeCache,
) -> None:
    cache = make_cache(page_size="64k", num_pages=1, start_slots=32)
    for number in range(1000):
        cache.set(f"key {number}", 1)
    stats = cache.stats()
    assert 0 < stats.slot_evictions == stats.evictions < stats.entries
    assert stats.advice == ()


@pytest.mark.parametrize("size", [20_000, 100_000, 250_000])
def test_large_values_fill_the_file_so_that_there_is_nothing_to_tell(
    make_cache: MakeCache, size: int
) -> None:
    cache = make_cache(cache_size="4m", serializer="raw")
    assert use(cache, 500, size) == ()
    stats = cache.stats()
    assert stats.evictions and stats.bytes_live > 0.8 * stats.bytes_total


@pytest.mark.parametrize("size", [9_000, 12_000, 16_000])
def test_values_that_are_large_for_small_pages_are_told_of_and_the_advice_helps(
    make_cache: MakeCache, size: int
) -> None:
    cache = make_cache(cache_size="1m", page_size="64k", serializer="raw")
    advice = use(cache, 300, size)
    assert len(advice) == 1 and f"values of {size}"[:10] in advice[0]
    options = given(advice[0])
    other = FastMmap(serializer="raw", **options)
    use(other, 300, size)
    before, after = cache.stats(), other.stats()
    share = before.bytes_live / before.bytes_total
    assert after.bytes_live / after.bytes_total > max(share, 0.8)
    other.close()


def test_many_misses_of_a_full_file_are_told_of(make_cache: MakeCache) -> None:
    cache = make_cache(cache_size="256k")
    use(cache, 3000, 400)
    (advice,) = (text for text in cache.stats().advice if MISSES in text)
    assert 'cache_size="512k"' in advice


def test_the_command_line_says_it_too(make_cache: MakeCache, path: str) -> None:
    cache = make_cache(cache_size="256k", serializer="raw")
    use(cache, 6000, 0)
    slots, misses = advice = cache.stats().advice
    assert cache.check().advice == advice
    command = [sys.executable, "-m", "fastmmap", "info", path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"advice          {slots}\nadvice          {misses}\n" in done.stdout
    assert done.stdout.count("advice") == 2
