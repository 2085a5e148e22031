"""Random load on a cache that is too small: good hit rates, right values."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable, Iterator

import pytest
from support import MakeCache

from fastmmap import FastMmap

VALUE = b"v" * 180


def zipf_keys(dice: random.Random, keys: int, draws: int) -> Iterator[str]:
    """Draw keys of which the n-th is asked for with weight 1 / n."""
    weights = [1 / (rank + 1) for rank in range(keys)]
    for rank in dice.choices(range(keys), weights, k=draws):
        yield f"key {rank}"


def uniform_keys(dice: random.Random, keys: int, draws: int) -> Iterator[str]:
    for _ in range(draws):
        yield f"key {dice.randrange(keys)}"


def hit_rate_of_lru(keys: Iterator[str], room: int) -> float:
    """Return the hit rate that one exact LRU list of `room` items reaches."""
    held: OrderedDict[str, None] = OrderedDict()
    hits = total = 0
    for key in keys:
        total += 1
        hits += key in held
        held[key] = None
        held.move_to_end(key)
        if len(held) > room:
            held.popitem(last=False)
    return hits / total


def hit_rate_of(cache: FastMmap, keys: Iterator[str]) -> float:
    """Ask, and set what is missing; every hit must be the right value."""
    hits = total = 0
    for key in keys:
        total += 1
        found = cache.get(key)
        if found is None:
            cache.set(key, key.encode() + VALUE)
        else:
            assert found == key.encode() + VALUE
            hits += 1
    return hits / total


@pytest.mark.parametrize("draw", [zipf_keys, uniform_keys])
def test_the_hit_rate_is_near_that_of_lru_or_better(
    make_cache: MakeCache, draw: Callable[..., Iterator[str]]
) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    cache = make_cache(page_size="64k", num_pages=8)
    ours = hit_rate_of(cache, draw(random.Random(seed), 10_000, 40_000))
    room = len(cache)
    theirs = hit_rate_of_lru(draw(random.Random(seed), 10_000, 40_000), room)
    print("ours", ours, "LRU", theirs, "items", room)
    assert room > 8 * 65536 * 0.8 / 240
    assert ours > theirs - 0.03
    assert cache.check().ok


@pytest.mark.quick
def test_what_fits_is_found_again(make_cache: MakeCache) -> None:
    cache = make_cache(cache_size="2m")
    keys = [f"key {number}" for number in range(3000)]
    hit_rate_of(cache, iter(keys))
    assert hit_rate_of(cache, iter(keys)) == 1.0


def test_values_of_random_sizes_are_right_whenever_found(
    make_cache: MakeCache,
) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    dice = random.Random(seed)
    cache = make_cache(page_size="64k", num_pages=4)
    model: dict[str, bytes] = {}
    for _ in range(20_000):
        key = f"key {dice.randrange(2000)}"
        if dice.random() < 0.5:
            value = dice.randbytes(dice.randrange(1, 2000))
            assert cache.set(key, value)
            model[key] = value
        elif (found := cache.get(key)) is not None:
            assert found == model[key]
    assert cache.stats().evictions > 0
    assert all(model[str(key)] == value for key, value in cache.items())
