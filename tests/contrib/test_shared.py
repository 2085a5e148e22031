"""The cache that all backend objects of a process share."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import time
from pathlib import Path
from typing import Any

import pytest
from header import make_of_version
from support import run_scenario

from fastmmap import FastMmap, FormatError
from fastmmap.contrib import shared
from fastmmap.contrib.shared import (
    Opening,
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


def test_a_file_of_another_size_is_replaced(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    FastMmap(path, cache_size="512k").close()
    assert shared_cache(path, cache_size="1m").cache_size == 1 << 20
    assert "replaced by an empty file" in caplog.text


def test_a_file_of_another_size_that_is_in_use_is_followed(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    shared_cache(path, cache_size="512k")
    assert shared_cache(path, cache_size="1m").cache_size == 512 << 10
    assert "others have it open" in caplog.text


def test_who_wants_an_error_for_another_size_gets_it(path: str) -> None:
    FastMmap(path, cache_size="512k").close()
    with pytest.raises(FormatError, match="cache_size"):
        shared_cache(path, cache_size="1m", on_mismatch="error")


@pytest.mark.parametrize("ignore", [True, False])
def test_beside_a_newer_version_all_is_missing_and_that_is_said_once(
    path: str,
    ignore: bool,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_of_version(path, 99)
    opening = Opening(path, ignore_exceptions=ignore, cache_size="512k")
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    for _ in range(200):
        assert opening.open().set("key", 1)
        assert opening.open().get("key") is None
        now[0] += 1
    (record,) = caplog.records
    assert "the format version is 99" in record.getMessage()
    os.unlink(path)
    assert opening.open().set("key", 1)
    assert opening.open().get("key") == 1


def test_a_shared_cache_beside_a_newer_version_can_do_what_servers_do(
    path: str,
) -> None:
    make_of_version(path, 99)
    cache = shared_cache(path)
    assert cache.set("key", 1)
    clear_prefix(cache, "k")
    clear_prefix(cache, "")
    cache.flush()
    cache.close()
    assert os.path.getsize(path) == 8192


def logged_into_a_cache(path: str) -> list[Any]:
    """Replace a file of an older format, where the log is kept in that cache."""
    make_of_version(path, 5)

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            shared_cache(path, cache_size="512k").set("log", record.getMessage())

    logging.getLogger("fastmmap").addHandler(Keeping())
    return [shared_cache(path, cache_size="512k").get("log")]


def test_a_handler_that_logs_into_the_cache_which_is_opened_does_not_wait(
    path: str,
) -> None:
    (kept,) = run_scenario(logged_into_a_cache, path)
    assert "format" in kept


def test_another_error_of_a_file_is_told_beside_a_newer_version(
    path: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_of_version(path, 99)
    opening = Opening(path, ignore_exceptions=True)
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    opening.open()
    Path(path).write_bytes(b"no cache")
    now[0] += 2
    opening.open()
    assert len(caplog.records) == 2


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


def test_an_opening_makes_nothing_until_it_is_used(path: str) -> None:
    opening = Opening(path, cache_size="512k")
    assert not os.path.exists(path)
    assert opening.open() is shared_cache(path, cache_size="512k")


def private_cache_of_children() -> bool:
    """Make a private cache, fork before it is used, and look from the parent."""
    opening = Opening(cache_size="512k")
    child = os.fork()
    if child == 0:
        opening.open().set("key", "from the child")
        os._exit(0)
    os.waitpid(child, 0)
    return bool(opening.open().get("key") == "from the child")


def test_a_private_cache_is_made_at_once_for_the_children() -> None:
    assert run_scenario(private_cache_of_children)


@pytest.mark.parametrize(
    ("option", "error"),
    [
        ({"cache_siez": "1m"}, TypeError),
        ({"cache_size": "many"}, ValueError),
        ({"cache_size": 1}, ValueError),
        ({"page_size": "1k"}, ValueError),
        ({"start_slots": 1_000_000}, ValueError),
        ({"read_only": True, "init_file": True}, ValueError),
        ({"serializer": "pickle", "permissions": 0o666}, ValueError),
        ({"serializer": "pickle", "allow_shared": True}, ValueError),
        ({"serializer": "yaml"}, ValueError),
        ({"compressor": "rar"}, ValueError),
    ],
)
@pytest.mark.parametrize("ignore", [True, False])
def test_a_wrong_option_is_no_matter_of_the_first_use(
    path: str, option: dict[str, Any], error: type[Exception], ignore: bool
) -> None:
    with pytest.raises(error, match=f"siez|{list(option)[-1]}"):
        Opening(path, ignore_exceptions=ignore, **option)
    with pytest.raises(error, match=f"siez|{list(option)[-1]}"):
        FastMmap(path, **option)
    assert not os.path.exists(path)


def broken_file(path: str) -> Opening:
    """Return the opening of a file that is no cache."""
    Path(path).write_bytes(b"no cache")
    return Opening(path, ignore_exceptions=True)


def test_a_file_that_cannot_be_opened_is_told_of_once_a_minute(
    path: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening = broken_file(path)
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    for _ in range(59):
        assert opening.open().get("key") is None
        now[0] += 1
    assert len(caplog.records) == 1
    assert path in caplog.text and "cannot be opened" in caplog.text
    now[0] += 2
    assert opening.open().get("key") is None
    assert len(caplog.records) == 2


def test_a_file_that_can_be_opened_again_is_used_a_second_later(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening = broken_file(path)
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    assert opening.open().set("key", 1)
    os.unlink(path)
    assert not opening.open().exists("key") and not os.path.exists(path)
    now[0] += 1
    assert opening.open().set("key", 2)
    assert opening.open() is shared_cache(path)
    assert shared_cache(path)["key"] == 2


def test_who_does_not_ignore_it_gets_the_error_all_the_same(path: str) -> None:
    assert broken_file(path).open().get("key") is None
    with pytest.raises(FormatError):
        Opening(path).open()


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


def of_django(path: str) -> Any:
    from fastmmap.contrib.django import FastMmapCache

    return FastMmapCache(path, {"OPTIONS": {"copy": False}})


def of_cachelib(path: str) -> Any:
    from fastmmap.contrib.cachelib import FastMmapCache

    return FastMmapCache(path, copy=False)


def of_aiocache(path: str) -> Any:
    from fastmmap.contrib.aiocache import FastMmapCache

    return FastMmapCache(path, copy=False)


def result(answer: Any) -> Any:
    return asyncio.run(answer) if inspect.isawaitable(answer) else answer


@pytest.mark.parametrize("make", [of_django, of_cachelib, of_aiocache])
def test_callers_who_change_nothing_get_the_same_object(path: str, make: Any) -> None:
    cache = make(path)
    result(cache.set("key", ["a"]))
    first, *_, one, other = [result(cache.get("key")) for _ in range(8)]
    assert one is other and one == ["a"]
    result(cache.set("key", ["b"]))
    assert result(cache.get("key")) == ["b"] and first == ["a"]
