"""check() and test_file: damage is found, and costs its page only."""

from __future__ import annotations

import contextlib
import random

import pytest
from support import MakeCache

from fastmmap import CheckReport, CorruptError, FastMmap, LockTimeout
from fastmmap.testing import time_travel

HEADER = 4096
INDEXES_AT = 8192  # behind the header and four control blocks
PAGE = 65536


def scribble(path: str, start: int, length: int) -> None:
    """Overwrite a part of a file with noise."""
    seed = random.randrange(2**32)
    print("seed", seed)
    with open(path, "r+b") as file:
        file.seek(start)
        file.write(random.Random(seed).randbytes(length))


def rings_of(cache: FastMmap, number: int) -> tuple[int, int]:
    """Return where the rings of a page begin, and their size: they end the file."""
    index = -(-14 * cache._info()["slots"] // 64) * 64
    size = cache.page_size - index
    return cache.stats().bytes_total - (cache.num_pages - number) * size, size


@pytest.fixture
def full(make_cache: MakeCache) -> FastMmap:
    """Return a cache of four pages that are all in use."""
    cache = make_cache(page_size=PAGE, num_pages=4, unlink_on_exit=False)
    for number in range(400):
        cache.set(f"key {number}", b"x" * 200)
    return cache


@pytest.mark.quick
def test_a_sound_file_checks_as_sound(full: FastMmap) -> None:
    report = full.check()
    assert isinstance(report, CheckReport)
    assert report.ok is True
    assert report.pages == 4
    assert report.entries == len(full)
    assert not report.problems


def test_an_empty_file_is_sound(cache: FastMmap) -> None:
    assert cache.check().ok
    assert cache.check().entries == 0


def test_check_changes_nothing(full: FastMmap) -> None:
    with open(full.share_file, "rb") as file:
        before = file.read()
    full.check()
    with open(full.share_file, "rb") as file:
        after = file.read()
    assert before[INDEXES_AT:] == after[INDEXES_AT:]


def test_check_is_content_with_removed_expired_and_tombstones(full: FastMmap) -> None:
    for number in range(0, 400, 3):
        full.remove(f"key {number}", modseq=number if number % 2 else None)
        full.set(f"key {number + 1}", 1, expire_time=1)
    with time_travel(2):
        assert full.check().ok


@pytest.mark.quick
def test_check_finds_a_damaged_page_and_leaves_it(full: FastMmap) -> None:
    scribble(full.share_file, *rings_of(full, 1))
    for _ in range(2):
        report = full.check()
        assert report.ok is False
        assert len(report.problems) == 1
        assert "1" in report.problems[0]


def test_test_file_empties_the_bad_page_and_keeps_the_rest(
    full: FastMmap, make_cache: MakeCache
) -> None:
    before = dict(full)
    scribble(full.share_file, *rings_of(full, 1))
    full.close()
    again = make_cache(test_file=True)
    assert again.check().ok
    assert again.stats().pages_repaired == 1
    assert len(before) / 2 < len(again) < len(before)
    assert all(before[key] == value for key, value in again.items())


def use_all_of_it(cache: FastMmap) -> None:
    """Run every kind of operation; a damaged page may be reported, no more."""
    for number in range(400):
        for use in (cache.get, cache.exists, cache.remove, cache.incr):
            with contextlib.suppress(CorruptError, TypeError):
                use(f"key {number}")
        with contextlib.suppress(CorruptError):
            cache.set(f"new {number}", b"y" * 100)
    for scan in (cache.get_keys, cache.purge, cache.empty, lambda: list(cache.items())):
        with contextlib.suppress(CorruptError):
            scan()


def test_a_damaged_page_is_no_obstacle(full: FastMmap) -> None:
    scribble(full.share_file, *rings_of(full, 2))
    use_all_of_it(full)
    full.clear()
    assert len(full) == 0
    assert full.set("key", 1)
    assert full.check().ok


def test_noise_all_over_the_pages_never_kills_a_process(full: FastMmap) -> None:
    scribble(full.share_file, INDEXES_AT, 4 * PAGE)
    use_all_of_it(full)
    full.clear()
    assert full.set("key", 1)
    assert full.get("key") == 1


def test_noise_in_the_control_blocks_never_kills_a_process(full: FastMmap) -> None:
    scribble(full.share_file, HEADER, 4 * 256)
    # Noise in a lock word may name a living process: then waiting is right.
    with FastMmap(full.share_file, lock_timeout=0.05) as cache:
        for number in range(20):
            with contextlib.suppress(LockTimeout, CorruptError):
                assert cache.get(f"key {number}") in (None, b"x" * 200)
                cache.set(f"key {number}", 1)
                assert cache.get(f"key {number}") == 1
