"""The dogpile.cache backend: what its suites, in tests/outside, do not ask."""

from __future__ import annotations

import logging
import os
import pickle
import threading
import time
import warnings
from typing import Any

import pytest
from broken import Broken
from dogpile.cache import make_region
from dogpile.cache.api import NO_VALUE
from support import Scenario, heard, run_scenario, say

from fastmmap.contrib.dogpile import FastMmapBackend
from fastmmap.testing import time_travel


def region(path: str, **arguments: Any) -> Any:
    """Return a region on a small cache."""
    known = {"share_file": path, "cache_size": "1m", **arguments}
    return make_region().configure("fastmmap", expiration_time=60, arguments=known)


def test_the_name_is_registered(path: str) -> None:
    assert isinstance(region(path).backend, FastMmapBackend)


def test_regions_share_one_open_file(path: str) -> None:
    assert region(path).backend._cache is region(path).backend._cache


def test_the_file_holds_the_bytes_of_the_region(path: str) -> None:
    found = region(path)
    found.set("key", "value")
    cache = found.backend._cache
    assert cache.serializer == "raw"
    assert b"value" in cache.get("key")


def test_a_value_that_has_expired_for_the_region_is_kept(path: str) -> None:
    found = region(path)
    found.set("key", 1)
    with time_travel(10**6):
        assert found.get("key", ignore_expiration=True) == 1


def test_expire_time_drops_a_value_for_good(path: str) -> None:
    found = region(path, expire_time="1h")
    found.set("key", 1)
    found.set_multi({"other": 2})
    with time_travel(3601):
        assert found.get("key", ignore_expiration=True) is NO_VALUE
        assert found.get("other", ignore_expiration=True) is NO_VALUE


def test_what_is_no_option_is_warned_about(path: str) -> None:
    with pytest.warns(UserWarning, match="not options of FastMmap: cache_siez"):
        region(path, cache_siez="1m")


def test_arguments_from_a_configuration_file_are_taken(path: str) -> None:
    settings = {
        "cache.backend": "fastmmap",
        "cache.arguments.share_file": path,
        "cache.arguments.cache_size": "1m",
        "cache.arguments.page_size": "65536",
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = make_region().configure_from_config(settings, "cache.")
    assert found.backend._cache.page_size == 65536


def test_a_value_that_does_not_fit_is_logged_and_its_key_is_free(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    found = region(path)
    found.set("key", "old")
    with caplog.at_level(logging.WARNING, "fastmmap"):
        found.set("key", b"x" * 500_000)
        found.set_multi({"small": 1, "large": b"x" * 500_000})
    assert found.get_multi(["key", "small", "large"]) == [NO_VALUE, 1, NO_VALUE]
    assert caplog.text.count("is too large") == 2


def create(path: str, name: str) -> tuple[str, int]:
    calls = []

    def creator() -> str:
        calls.append(1)
        say("creating")
        heard()
        return name

    say("asking")
    return region(path).get_or_create("key", creator), len(calls)


def test_one_process_creates_and_the_others_wait_for_it(path: str) -> None:
    with Scenario(create, path, "one") as one:
        assert [one.hear(), one.hear()] == ["asking", "creating"]
        with Scenario(create, path, "two") as two:
            assert two.hear() == "asking"
            time.sleep(0.3)
            one.tell("go on")
            assert one.result() == ("one", 1)
            assert two.result() == ("one", 0)


def test_another_process_takes_over_when_the_creator_dies(path: str) -> None:
    with Scenario(create, path, "one") as one:
        assert [one.hear(), one.hear()] == ["asking", "creating"]
        with Scenario(create, path, "two") as two:
            assert two.hear() == "asking"
            one.kill()
            assert two.hear() == "creating"
            two.tell("go on")
            assert two.result() == ("two", 1)


def hold_mutex(path: str, key: str) -> None:
    mutex = region(path).backend.get_mutex(key)
    mutex.acquire()
    say("held")
    heard()


def test_a_mutex_is_of_one_key_and_of_all_processes(path: str) -> None:
    backend = region(path).backend
    mutex, other = backend.get_mutex("key"), backend.get_mutex("other")
    with Scenario(hold_mutex, path, "key") as holder:
        assert holder.hear() == "held"
        assert mutex.locked() and not other.locked()
        assert mutex.acquire(wait=False) is False
        assert other.acquire(wait=False) is True
        holder.kill()
        assert mutex.acquire() is True  # and other is held
    thread = threading.Thread(target=mutex.release)
    thread.start()
    thread.join(30)
    assert not mutex.locked() and other.locked()
    with pytest.raises(RuntimeError, match="not held"):
        mutex.release()


def test_a_mutex_is_no_value_and_stays_while_others_are_evicted(path: str) -> None:
    found = region(path, cache_size="512k")
    mutex = found.backend.get_mutex("key")
    mutex.acquire()
    assert found.get("key") is NO_VALUE and len(found.backend._cache) == 0
    for number in range(3000):
        found.set(str(number), "x" * 1000)
    assert found.backend._cache.stats().evictions > 1000
    assert mutex.locked()
    mutex.release()


def test_a_file_that_is_emptied_meanwhile_costs_no_error(path: str) -> None:
    found = region(path)

    def creator() -> str:
        found.backend._cache.clear()
        return "value"

    assert found.get_or_create("key", creator) == "value"


def create_without_the_file(path: str) -> Any:
    found = region(path)
    found.set("other", 1)
    os.unlink(path)
    return found.get_or_create("key", lambda: "value")


def test_a_removed_file_costs_the_exclusion_and_no_more(path: str) -> None:
    assert run_scenario(create_without_the_file, path) == "value"


def test_a_region_that_is_not_used_creates_nothing(path: str) -> None:
    region(path)
    assert not os.path.exists(path)


def test_ignoring_exceptions_a_region_goes_on_without_a_cache(path: str) -> None:
    os.mkdir(path)
    found = region(path, ignore_exceptions=True)
    found.set("key", 1)
    found.set_multi({"key": 1})
    assert found.get("key") is NO_VALUE
    assert found.get_multi(["key"]) == [NO_VALUE]
    assert found.get_or_create("key", lambda: "made") == "made"
    assert found.get_or_create_multi(["a", "b"], lambda *keys: list(keys)) == ["a", "b"]
    found.delete("key")
    found.delete_multi(["key"])
    os.rmdir(path)
    with pytest.raises(OSError, match="directory"):
        region(os.path.join(path, "missing")).get("key")


def test_a_value_that_the_file_cannot_decode_is_created_anew(path: str) -> None:
    found = region(path, serializer="pickle")
    found.backend._cache.set("key", Broken())
    assert found.get_or_create("key", lambda: "new") == "new"
    assert found.get("key") == "new"


def test_a_hit_makes_no_lock(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = region(path)
    assert found.get_or_create("key", lambda: 1) == 1
    monkeypatch.setattr("fastmmap.contrib.dogpile.Lock", None)
    assert found.get_or_create("key", lambda: 2) == 1
    with pytest.raises(TypeError):
        found.get_or_create("other", lambda: 2)


def test_a_mutex_may_be_released_by_another_thread(path: str) -> None:
    mutex = region(path).backend.get_mutex("key")
    assert mutex.acquire()
    thread = threading.Thread(target=mutex.release)
    thread.start()
    thread.join()
    assert mutex.acquire(False)
    mutex.release()


def test_a_value_that_cannot_be_read_is_made_again(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    found = region(path)
    found.set_multi({"key": Broken(), "other": 1})
    assert found.get_multi(["key", "other"]) == [NO_VALUE, 1]
    assert found.get_or_create("key", lambda: 2) == found.get("key") == 2
    assert [record.message for record in caplog.records if "moved" in record.message]


def test_an_error_of_the_moment_passes_and_the_value_stays(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(_: bytes) -> object:
        raise MemoryError

    found = region(path)
    found.set("key", 1)
    with monkeypatch.context() as patch:
        patch.setattr(pickle, "loads", no_memory)
        with pytest.raises(MemoryError):
            found.get_or_create("key", lambda: 2)
    assert found.get("key") == 1
