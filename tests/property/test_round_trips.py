"""What goes in comes out: keys, values, sizes and lifetimes of every kind."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model import same
from strategies import SERIALIZERS, any_keys, pickled, surrogates

from fastmmap import CorruptError, FastMmap, durations, options

pytestmark = pytest.mark.long

COMPRESSORS = [None, "zlib", "lz4", "zstd", "snappy"]


@pytest.fixture(scope="module")
def cache() -> Iterator[FastMmap]:
    with FastMmap(cache_size="4m") as cache:
        yield cache


@given(key=any_keys, value=st.integers())
def test_any_key_comes_back_as_it_was(cache: FastMmap, key: Any, value: int) -> None:
    cache.clear()
    assert cache.set(key, value) and key in cache
    assert same(list(cache), [key])
    assert same(cache[key], value)
    other = key.encode() if isinstance(key, str) else key.decode("latin-1")
    assert other not in cache
    del cache[key]
    assert len(cache) == 0


def is_file_name(text: str) -> bool:
    """Tell whether some bytes of a file name are read as that."""
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return data.decode("utf-8", "surrogateescape") == text


@given(before=st.text(), key=surrogates)
def test_a_key_that_is_neither_text_nor_a_file_name_is_refused(
    cache: FastMmap, before: str, key: str
) -> None:
    name = before + key
    if is_file_name(name):
        assert cache.set(name, 1) and cache[name] == 1
        return
    with pytest.raises(UnicodeEncodeError):
        cache.set(name, 1)


@pytest.mark.parametrize("compressor", COMPRESSORS)
@pytest.mark.parametrize("serializer", sorted(SERIALIZERS))
@given(data=st.data())
def test_any_value_comes_back_as_it_was(
    serializer: str, compressor: Any, data: Any
) -> None:
    functions, values = SERIALIZERS[serializer]
    with FastMmap(
        cache_size="256k",
        serializer=functions,
        compressor=compressor,
        compress_min_size=9,
    ) as cache:
        for value in data.draw(st.lists(values, min_size=1, max_size=5)):
            assert cache.set("key", value)
            assert same(cache.get("key", "missing"), value)
            assert same(cache.get_many(["key"])["key"], value)
            assert same(cache.get_and_remove("key").value, value)


@given(value=st.lists(pickled) | st.dictionaries(st.text(), pickled))
def test_what_comes_back_is_a_copy(cache: FastMmap, value: Any) -> None:
    cache["key"] = value
    before = repr(value)
    value.clear()
    assert repr(cache["key"]) == before


@given(short=st.integers(-80, 40), key=any_keys)
def test_a_value_around_the_largest_entry_is_stored_whole(
    cache: FastMmap, short: int, key: Any
) -> None:
    length = len(key.encode() if isinstance(key, str) else key)
    value = random.Random(short).randbytes(
        cache._info()["max_entry"] - 32 - length + short
    )
    cache.clear()
    cache[key] = "before"
    cache[key] = value
    assert cache[key] == value and len(cache) == 1


@given(share=st.floats(0, 1.01), key=any_keys)
def test_a_value_fits_or_is_refused_and_changes_nothing(
    cache: FastMmap, share: float, key: Any
) -> None:
    """Whatever its size, no value is stored in part."""
    most = cache._info()["max_value"]
    value = random.Random(share).randbytes(round(most * share))
    cache.clear()
    cache[key] = "before"
    stored = cache.set(key, value)
    assert cache[key] == (value if stored else "before")
    assert stored is (len(value) <= most)


_numbers = st.floats(0.001, 1e9) | st.integers(1, 10**9)


@given(number=_numbers)
def test_a_lifetime_is_the_same_in_every_spelling(number: float) -> None:
    ms = durations.lifetime_ms(number)
    assert ms == max(1, round(number * 1000))
    assert abs(durations.lifetime_ms(timedelta(seconds=number)) - ms) <= 1
    text = f"{number:.12f}"
    assert abs(durations.lifetime_ms(text) - ms) <= 1
    assert durations.lifetime_ms(f" {text}S ") == durations.lifetime_ms(text)
    for unit, seconds in (("m", 60), ("h", 3600), ("d", 86400), ("w", 604800)):
        assert durations.lifetime_ms(f"{number:.0f}{unit}") == (
            round(float(f"{number:.0f}")) * seconds * 1000 or durations.NEVER
        )


@given(text=st.text() | st.from_regex(r"[-+]?\d*\.?\d*(ms|[smhdwx])?", fullmatch=True))
def test_any_text_is_a_lifetime_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert durations.lifetime_ms(text) >= durations.NEVER


@given(value=st.floats() | st.integers() | st.timedeltas())
def test_any_number_is_a_lifetime_or_a_value_error(value: Any) -> None:
    negative = value < type(value)(0)
    try:
        ms = durations.lifetime_ms(value)
    except ValueError:
        return
    assert not negative and (ms == durations.NEVER or ms > 0)


@given(count=st.integers(1, 2**20), unit=st.sampled_from(["", "k", "m", "g"]))
def test_a_size_in_text_is_its_number_of_bytes(count: int, unit: str) -> None:
    factor = 1024 ** ["", "k", "m", "g"].index(unit)
    for text in (f"{count}{unit}", f" {count} {unit.upper()} "):
        assert options.parse_size("cache_size", text) == count * factor


@given(text=st.text())
def test_any_text_is_a_size_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert options.parse_size("cache_size", text) > 0


@pytest.mark.parametrize("compressor", COMPRESSORS[1:])
@pytest.mark.parametrize("serializer", ["json", "msgpack", "raw"])
@given(seed=st.integers(0, 2**32), changes=st.integers(1, 8))
def test_values_overwritten_with_noise_are_an_error_or_a_value(
    serializer: str, compressor: str, seed: int, changes: int
) -> None:
    """Bytes of a value that changed under us raise what decoding raises."""
    noise = random.Random(seed)
    text = "to be or not to be " * 40
    with FastMmap(
        page_size=4096,
        num_pages=1,
        serializer=serializer,
        compressor=compressor,
    ) as cache:
        cache["key"] = text if serializer == "raw" else [text, 1, text]
        size = cache.get_entry("key").size
        with open(cache.share_file, "r+b") as file:
            data = file.read()
            start = data.rindex(b"key", 4096) + 3
            for _ in range(changes):
                file.seek(start + noise.randrange(max(size - 40, 1)))
                file.write(noise.randbytes(1))
        with contextlib.suppress(CorruptError, ValueError, TypeError, UnicodeError):
            cache.get("key")
        assert cache.check().ok
