"""The cache that all backend objects of a process share."""

from __future__ import annotations

import logging
import os

import pytest
from support import run_scenario

from fastmmap import FastMmap, FormatError
from fastmmap.contrib import shared
from fastmmap.contrib.shared import (
    add,
    clear_prefix,
    shared_cache,
    store,
    store_many,
)

TOO_LARGE = b"x" * 500_000


def test_the_same_options_give_the_same_object(path: str) -> None:
    first = shared_cache(path, cache_size="512k")
    assert shared_cache(path, cache_size="512k") is first


def test_other_options_give_another_object_of_the_same_file(path: str) -> None:
    first = shared_cache(path, cache_size="512k")
    second = shared_cache(path, enable_stats=True)
    assert second is not first
    first.set("key", 1)
    assert second.get("key") == 1


def test_options_that_disagree_with_the_file_are_an_error(path: str) -> None:
    shared_cache(path, cache_size="512k")
    with pytest.raises(FormatError, match="cache_size"):
        shared_cache(path, cache_size="1m")


def test_an_object_that_somebody_closed_is_opened_again(path: str) -> None:
    shared_cache(path, cache_size="512k").close()
    assert shared_cache(path, cache_size="512k").set("key", 1)


def file_after_exit(path: str) -> None:
    shared_cache(path, cache_size="512k").set("key", "kept")


def test_a_file_given_by_name_is_left_for_the_next_process(path: str) -> None:
    run_scenario(file_after_exit, path)
    with FastMmap(path, unlink_on_exit=True) as cache:
        assert cache.get("key") == "kept"


def private_files() -> tuple[bool, str]:
    path = shared_cache(cache_size="512k").share_file
    return shared_cache(cache_size="512k").share_file == path, path


def test_a_private_file_is_one_per_process_and_goes_with_it() -> None:
    same, path = run_scenario(private_files)
    assert same
    assert not os.path.exists(path)


def forked_while_locked(path: str) -> int:
    with shared._lock:
        child = os.fork()
        if child == 0:
            shared_cache(path, cache_size="512k").set("key", "from the child")
            os._exit(0)
        _, status = os.waitpid(child, 0)
    return status


def test_a_child_forked_while_another_thread_opens_does_not_wait(path: str) -> None:
    assert run_scenario(forked_while_locked, path) == 0


def test_a_value_that_does_not_fit_leaves_no_older_one(
    cache: FastMmap, caplog: pytest.LogCaptureFixture
) -> None:
    cache.set("key", "old")
    with caplog.at_level(logging.WARNING, "fastmmap"):
        assert not store(cache, "key", TOO_LARGE)
    assert "key" not in cache
    assert "'key' is too large for" in caplog.text


def test_of_several_values_those_that_fit_are_stored(
    cache: FastMmap, caplog: pytest.LogCaptureFixture
) -> None:
    cache.set("large", "old")
    with caplog.at_level(logging.WARNING, "fastmmap"):
        assert store_many(cache, {"small": 1, "large": TOO_LARGE}) == ["large"]
    assert dict(cache) == {"small": 1}
    assert "'large' is too large" in caplog.text


def test_adding_what_does_not_fit_is_logged(
    cache: FastMmap, caplog: pytest.LogCaptureFixture
) -> None:
    assert not add(cache, "key", TOO_LARGE)
    assert "'key' is too large" in caplog.text


def test_adding_what_is_there_is_not_logged(
    cache: FastMmap, caplog: pytest.LogCaptureFixture
) -> None:
    assert add(cache, "key", 1)
    assert not add(cache, "key", TOO_LARGE)
    assert cache["key"] == 1
    assert caplog.text == ""


def test_a_prefix_is_cleared_and_nothing_else(cache: FastMmap) -> None:
    cache.update({"a:1": 1, "a:2": 2, "b:1": 3, b"a:1": 4})
    clear_prefix(cache, "a:")
    assert dict(cache) == {"b:1": 3, b"a:1": 4}


def test_an_empty_prefix_is_everything(cache: FastMmap) -> None:
    cache.update({"a": 1, b"b": 2})
    clear_prefix(cache, "")
    assert len(cache) == 0
