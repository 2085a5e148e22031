"""Files over 4 GiB, made sparse."""

from __future__ import annotations

import os

from support import MakeCache

GB = 2**30


def test_a_file_beyond_4_gib_works_to_its_end(make_cache: MakeCache) -> None:
    cache = make_cache(cache_size="5g", reserve=False)
    assert os.path.getsize(cache.share_file) > 5 * GB
    model = {f"key {number}": f"value {number}" for number in range(150)}
    assert cache.set_many(model) == []
    assert cache.get_many(model) == model
    file = os.open(cache.share_file, os.O_RDONLY)
    try:
        assert os.lseek(file, 4 * GB + 2**20, os.SEEK_DATA) > 4 * GB
    finally:
        os.close(file)
    assert os.stat(cache.share_file).st_blocks * 512 < GB / 2


def test_one_page_of_a_gib(make_cache: MakeCache) -> None:
    cache = make_cache(page_size="1g", num_pages=1, reserve=False)
    assert cache.page_size == GB
    large = b"x" * (20 << 20)
    assert cache.set("large", large)
    assert cache.set("small", 1)
    assert cache.get("large") == large
    assert cache.get("small") == 1


def test_a_big_file_is_found_by_a_second_object(make_cache: MakeCache) -> None:
    make_cache(cache_size="5g", reserve=False).set("key", 1)
    assert make_cache().get("key") == 1
