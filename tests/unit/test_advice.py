"""stats().advice: which options do not fit what is stored, and what would."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from typing import Any

import pytest
from support import MakeCache

from fastmmap import FastMmap


def use(cache: FastMmap, keys: int, size: int) -> tuple[str, ...]:
    """Read keys at random, and store what is missing; return the advice."""
    rng = random.Random(5)
    for _ in range(6 * keys):
        key = f"key {rng.randrange(keys)}"
        if cache.get(key) is None:
            cache.set(key, b"x" * size)
    return cache.stats().advice


def given(advice: str) -> dict[str, Any]:
    """Return the options that it tells to give."""
    found = re.findall(r'(\w+)=(?:"(\w+)"|(\d+))', advice)
    return {name: text or int(number) for name, text, number in found}


@pytest.mark.quick
def test_a_cache_that_is_not_full_gets_no_advice(cache: FastMmap) -> None:
    assert cache.stats().advice == cache.check().advice == ()
    cache.set("key", "value")
    assert use(cache, 10, 10) == ()


@pytest.mark.quick
@pytest.mark.parametrize("size", [8, 40])
def test_small_values_are_told_of_and_the_advice_helps(
    make_cache: MakeCache, path: str, size: int
) -> None:
    cache = make_cache(cache_size="256k", serializer="raw")
    (advice,) = use(cache, 6000, size)
    assert "for want of index slots" in advice
    kept = cache.stats().entries
    options = given(advice)
    assert options.keys() == {"entry_size"}
    other = FastMmap(cache_size="256k", serializer="raw", **options)
    assert not any("slots" in text for text in use(other, 6000, size))
    assert other.stats().entries > 1.5 * kept
    other.close()


@pytest.mark.parametrize("size", [20_000, 100_000, 250_000])
def test_large_values_are_told_of_and_the_advice_helps(
    make_cache: MakeCache, size: int
) -> None:
    cache = make_cache(cache_size="4m", serializer="raw")
    advice = use(cache, 500, size)
    assert len(advice) == 1 and f"values of {size}"[:10] in advice[0]
    options = given(advice[0])
    other = FastMmap(serializer="raw", **options)
    use(other, 500, size)
    before, after = cache.stats(), other.stats()
    share = before.bytes_live / before.bytes_total
    assert after.bytes_live / after.bytes_total > max(share, 0.8)
    other.close()


def test_many_misses_of_a_full_file_are_told_of(make_cache: MakeCache) -> None:
    cache = make_cache(cache_size="256k", enable_stats=True)
    advice = use(cache, 3000, 400)
    assert any('cache_size="512k"' in text for text in advice), advice


def test_the_command_line_says_it_too(make_cache: MakeCache, path: str) -> None:
    cache = make_cache(cache_size="256k", serializer="raw")
    (advice,) = use(cache, 6000, 8)
    assert cache.check().advice == (advice,)
    command = [sys.executable, "-m", "fastmmap", "info", path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"advice          {advice}\n" in done.stdout
    assert done.stdout.count("advice") == 1
