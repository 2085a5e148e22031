"""Values larger than a page: whole or not there, behind the same calls."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fastmmap import FastMmap, Store
from fastmmap.testing import time_travel

MIB = 1 << 20
LARGE = bytes(range(256)) * 4096  # 1 MiB; a page of the caches below has 64 KiB
MakeCache = Callable[..., FastMmap]


@pytest.fixture
def cache(make_cache: MakeCache) -> FastMmap:
    """Return a cache that takes values up to 2 MiB."""
    return make_cache(cache_size=8 * MIB, page_size="64k")


@pytest.mark.quick
@pytest.mark.parametrize(
    "value",
    [
        LARGE,
        LARGE.decode("latin-1"),
        [LARGE],
        {"key": LARGE},
        int.from_bytes(LARGE, "big"),
    ],
    ids=["bytes", "str", "list", "dict", "int"],
)
def test_a_value_larger_than_a_page_comes_back_as_it_was(
    cache: FastMmap, value: object
) -> None:
    assert cache.set("key", value) is True
    found = cache.get("key")
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize("serializer", ["raw", "json", "msgpack"])
@pytest.mark.parametrize("compressor", [None, "zlib"])
def test_every_serializer_and_compressor_takes_large_values(
    make_cache: MakeCache, serializer: str, compressor: str | None
) -> None:
    cache = make_cache(
        cache_size="8m", page_size="64k", serializer=serializer, compressor=compressor
    )
    value = os.urandom(MIB // 2).hex()
    assert cache.set("key", value) and cache.get("key") == value


STORES: dict[str, Callable[[FastMmap, bytes], object]] = {
    "set": lambda c, v: c.set("key", v),
    "add": lambda c, v: c.remove("key") and c.add("key", v),
    "replace": lambda c, v: c.replace("key", v),
    "item": lambda c, v: c.__setitem__("key", v),
    "setdefault": lambda c, v: c.remove("key") and c.setdefault("key", v),
    "set_many": lambda c, v: c.set_many({"key": v}),
    "get_or_set": lambda c, v: c.remove("key") and c.get_or_set("key", lambda: v),
    "get_and_set": lambda c, v: c.get_and_set("key", lambda *_: v),
    "modseq": lambda c, v: c.set("key", v, modseq=5),
}


@pytest.mark.parametrize("name", STORES)
def test_every_way_of_storing_takes_large_values(cache: FastMmap, name: str) -> None:
    cache.set("key", "small")
    STORES[name](cache, LARGE)
    assert cache["key"] == LARGE


def test_the_block_of_a_lock_takes_large_values(cache: FastMmap) -> None:
    with cache.lock("key") as item:
        item.value = LARGE
    with cache.lock("key") as item:
        assert item.value == LARGE
        item.value = item.value[1:]
    assert cache["key"] == LARGE[1:]
    with cache.lock("key") as item:
        item.remove()
    assert len(cache) == 0 and cache.stats().bytes_live == 0


def test_read_cb_may_give_a_large_value(make_cache: MakeCache) -> None:
    calls: list[object] = []

    def read(_context: object, key: object) -> bytes:
        calls.append(key)
        return LARGE

    cache = make_cache(cache_size="8m", read_cb=read)
    assert cache.get("key") == LARGE and cache.get("key") == LARGE
    assert calls == ["key"]


READS: dict[str, Callable[[FastMmap], Any]] = {
    "get": lambda c: c.get("key"),
    "item": lambda c: c["key"],
    "get_many": lambda c: c.get_many(["key"])["key"],
    "get_entry": lambda c: c.get_entry("key").value,  # type: ignore[union-attr]  # there
    "values": lambda c: next(iter(c.values())),
    "items": lambda c: dict(c.items())["key"],
    "get_keys": lambda c: c.get_keys(2)[0]["value"],
    "pop": lambda c: c.pop("key"),
    "popitem": lambda c: c.popitem()[1],
    "get_and_remove": lambda c: c.get_and_remove("key")[0],
    "get_and_set": lambda c: c.get_and_set("key", lambda _key, value, _entry: value)[0],
}


@pytest.mark.parametrize("name", READS)
def test_every_way_of_reading_gives_the_whole_value(cache: FastMmap, name: str) -> None:
    cache["key"] = LARGE
    assert READS[name](cache) == LARGE


@pytest.mark.quick
def test_a_large_value_is_one_entry(cache: FastMmap) -> None:
    cache["key"] = LARGE
    assert len(cache) == 1 and list(cache) == ["key"] == cache.get_keys()
    assert cache.stats().entries == 1 and cache.stats().stores == 1
    entry = cache.get_entry("key")
    assert entry is not None and entry.size >= len(LARGE)
    assert cache.check().ok


def test_what_is_removed_or_replaced_leaves_no_parts(cache: FastMmap) -> None:
    for _ in range(20):
        cache["key"] = LARGE
    assert cache.stats().bytes_live < len(LARGE) * 1.01
    cache["key"] = "small"
    assert cache.stats().bytes_live < 100
    for drop in (cache.remove, cache.pop, cache.expire, cache.get_and_remove):
        cache["key"] = LARGE
        drop("key")
        assert cache.stats().bytes_live == 0, drop


def test_beyond_a_quarter_of_the_cache_the_old_value_stays(cache: FastMmap) -> None:
    cache["key"] = LARGE
    assert cache.set("key", bytes(2 * MIB)) is True
    assert cache.set("key", bytes(2 * MIB + 1)) is False
    assert cache["key"] == bytes(2 * MIB)
    with pytest.raises(ValueError, match=rf"'key'.*at most {2 * MIB} bytes"):
        cache["key"] = bytes(2 * MIB + 1)
    assert cache.set_many({"key": bytes(3 * MIB)}) == ["key"]
    assert cache.get_and_set("key", lambda *_: bytes(3 * MIB))[1] is False
    assert cache["key"] == bytes(2 * MIB)


def test_the_limit_is_the_one_that_info_tells(cache: FastMmap) -> None:
    assert cache._info()["max_value"] == 2 * MIB


def test_multi_set_takes_what_others_cut_into_parts_under_every_name(
    make_cache: MakeCache,
) -> None:
    cache = make_cache(page_size="1m", num_pages=2)
    for name in map(str, range(64)):
        assert cache.multi_set("page", {name: b"x" * 40_000}) is True
        assert cache.multi_get("page", [name]) == {name: b"x" * 40_000}


def test_the_values_of_multi_set_share_a_page_and_have_to_fit(cache: FastMmap) -> None:
    assert cache.multi_set("page", {"key": LARGE}) is False
    assert cache.multi_get("page", ["key"]) == {}


def test_a_refused_store_leaves_no_parts(cache: FastMmap) -> None:
    cache.set("key", "newer", modseq=9)
    live = cache.stats().bytes_live
    assert cache.add("key", LARGE) is False
    assert cache.replace("other", LARGE) is False
    assert cache.set("key", LARGE, modseq=8) is False
    assert cache.stats().bytes_live == live and cache["key"] == "newer"


def test_incr_of_a_large_value_is_a_type_error(cache: FastMmap) -> None:
    cache["key"] = LARGE
    with pytest.raises(TypeError, match="not an int"):
        cache.incr("key")
    assert cache["key"] == LARGE


# ------------------------------------------------------------------- lifetimes


def test_a_large_value_expires_whole(cache: FastMmap) -> None:
    cache.set("key", LARGE, 10)
    with time_travel(11):
        assert cache.get("key") is None
        assert cache.purge() == 1
        assert cache.stats().bytes_live == 0


def test_touch_prolongs_all_of_it(cache: FastMmap) -> None:
    cache.set("key", LARGE, 10)
    assert cache.touch("key", 100) is True
    with time_travel(50):
        assert cache.get("key") == LARGE
        assert cache.touch("key", 1) is True
    with time_travel(52):
        assert cache.get("key") is None


# ------------------------------------------------------------------- callbacks


def test_in_write_back_a_large_value_is_written_through_at_once(
    make_cache: MakeCache,
) -> None:
    written: list[tuple[object, int]] = []
    cache = make_cache(
        cache_size="8m",
        write_action="write_back",
        write_cb=lambda _c, key, value, _e: written.append((key, len(value))),
    )
    cache["key"] = LARGE
    assert written == [("key", MIB)]
    entry = cache.get_entry("key")
    assert entry is not None and not entry.dirty
    cache.get_and_set("key", lambda *_: Store(LARGE * 2))
    with cache.lock("key") as item:
        item.value = LARGE
    assert written == [("key", MIB), ("key", 2 * MIB), ("key", MIB)]
    assert cache.empty() == 1 and len(written) == 3


def test_a_large_value_waits_for_the_changed_ones_in_its_way(
    make_cache: MakeCache,
) -> None:
    written: set[object] = set()
    cache = make_cache(
        cache_size="1m",
        page_size="64k",
        write_action="write_back",
        write_cb=lambda _c, key, _v, _e: written.add(key),
    )
    for n in range(3000):
        cache[f"key {n}"] = "x" * 400
    cache["large"] = bytes(200_000)
    assert cache["large"] == bytes(200_000)
    missing = {f"key {n}" for n in range(3000)} - set(cache) - written
    assert missing == set()


# ------------------------------------------------------------------ in the crowd


def test_values_that_lost_a_part_are_a_miss_and_never_half(
    make_cache: MakeCache,
) -> None:
    cache = make_cache(cache_size="1m", page_size="64k")
    values = {f"key {n}": os.urandom(100_000 + n) for n in range(40)}
    for key, value in values.items():
        assert cache.set(key, value)
    found = cache.get_many(values)
    assert 1 <= len(found) < 40
    assert all(values[str(key)] == value for key, value in found.items())
    assert dict(cache.items()).keys() == found.keys()  # the others are gone


@pytest.mark.parametrize("count", [4, 16])
def test_threads_that_hold_a_page_each_do_not_wait_for_each_other(
    cache: FastMmap, count: int
) -> None:
    """Their values together are more than fits: none may keep what it has so far."""

    def work(name: str) -> list[int]:
        """Return which values were stored."""
        return [
            n
            for n in range(10)
            if cache.get_and_set(name, lambda *_, n=n: bytes([n]) * MIB).stored
        ]

    names = [f"key {n}" for n in range(count)]
    with ThreadPoolExecutor(count) as pool:
        stored = dict(zip(names, pool.map(work, names), strict=True))
    for name, value in cache.get_many(names).items():
        assert {*value} == {stored[str(name)][-1]} and len(value) == MIB


#: Where a file of 128 pages has the lock of each page, and that of the directory.
PAGE_LOCKS = [4096 + 256 * page + 64 for page in range(128)]
DIRECTORY_LOCK = 4096 + 256 * 128


def lock_at(path: str, at: int) -> bytes:
    """Return a lock word of the file: who has it."""
    return Path(path).read_bytes()[at : at + 8]


def give(path: str, at: int, owner: bytes) -> None:
    """Let somebody have a lock of the file."""
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(owner)


def test_with_a_page_held_the_directory_is_waited_for(path: str) -> None:
    with FastMmap(path, page_size="64k", num_pages=128) as cache:
        with FastMmap(path) as other:
            with other.lock("another key"):
                (owner,) = {lock_at(path, at) for at in PAGE_LOCKS} - {bytes(8)}
            give(path, DIRECTORY_LOCK, owner)
            free = threading.Timer(0.2, give, (path, DIRECTORY_LOCK, bytes(8)))
            free.start()
            cache.get_and_set("key", lambda *_: LARGE)
            assert free.finished.is_set()
        assert cache["key"] == LARGE


WRITER = textwrap.dedent(
    """
    import itertools, sys
    from fastmmap import FastMmap

    cache = FastMmap(sys.argv[1])
    print("ready", flush=True)
    for n in itertools.count():
        cache["key"] = bytes([n % 256]) * (200_000 + n % 7 * 100_000)
    """
)


def test_a_writer_killed_at_any_time_leaves_a_whole_value(
    make_cache: MakeCache, tmp_path: os.PathLike[str]
) -> None:
    path = os.fspath(tmp_path) + "/cache"
    cache = make_cache(share_file=path, cache_size="8m", page_size="64k")
    cache["key"] = bytes(200_000)
    for round_ in range(8):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        try:
            with writer.stdout as ready:
                assert ready.readline() == b"ready\n"
                for _ in range(20 + round_ * 10):
                    value = cache["key"]
                    assert value == value[:1] * len(value)
        finally:
            writer.send_signal(signal.SIGKILL)
            writer.wait(60)
        value = cache["key"]
        assert value == value[:1] * len(value)
    assert cache.check().ok
