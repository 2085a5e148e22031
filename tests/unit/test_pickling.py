"""Pickling: the copy re-attaches to the file."""

from __future__ import annotations

import copy
import os
import pickle

import pytest
from support import MakeCache

from fastmmap import FastMmap


def read(context: object, key: object) -> str:
    return f"read {key!r}"


@pytest.mark.quick
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_copy_shares_the_file(cache: FastMmap, protocol: int) -> None:
    with pickle.loads(pickle.dumps(cache, protocol)) as twin:
        assert twin.share_file == cache.share_file
        twin.set("key", "from the twin")
        assert cache.get("key") == "from the twin"


def test_copying_re_attaches_too(cache: FastMmap) -> None:
    cache.set("key", 1)
    for twin in (copy.copy(cache), copy.deepcopy(cache)):
        with twin:
            assert twin is not cache
            assert twin.get("key") == 1


def test_a_copy_keeps_the_options(make_cache: MakeCache) -> None:
    cache = make_cache(
        serializer="json", compressor="zlib", expire_time="100s", read_cb=read
    )
    with pickle.loads(pickle.dumps(cache)) as twin:
        assert twin.serializer == "json"
        assert twin.compressor == "zlib"
        assert twin.expire_time == cache.expire_time
        assert twin.get("key") == "read 'key'"


def test_a_copy_neither_unlinks_nor_empties(make_cache: MakeCache) -> None:
    cache = make_cache(unlink_on_exit=True, empty_on_exit=True)
    cache.set("key", 1)
    pickle.loads(pickle.dumps(cache)).close()
    assert os.path.exists(cache.share_file)
    assert cache.get("key") == 1


def test_a_copy_of_init_file_empties_nothing(make_cache: MakeCache) -> None:
    cache = make_cache(init_file=True)
    cache.set("key", 1)
    with pickle.loads(pickle.dumps(cache)) as twin:
        assert twin.get("key") == 1


def test_a_copy_creates_no_file(path: str) -> None:
    cache = FastMmap(path, cache_size="512k", unlink_on_exit=True)
    data = pickle.dumps(cache)
    cache.close()
    with pytest.raises(FileNotFoundError):
        pickle.loads(data)
    assert not os.path.exists(path)


def test_a_copy_of_a_private_cache_finds_it() -> None:
    with FastMmap(cache_size="512k") as cache:
        cache.set("key", 1)
        with pickle.loads(pickle.dumps(cache)) as twin:
            assert twin.get("key") == 1


def test_callbacks_that_do_not_pickle_say_so(make_cache: MakeCache) -> None:
    cache = make_cache(read_cb=lambda context, key: None)
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        pickle.dumps(cache)


def test_a_closed_cache_does_not_pickle(cache: FastMmap) -> None:
    cache.close()
    with pytest.raises(ValueError):
        pickle.dumps(cache)
