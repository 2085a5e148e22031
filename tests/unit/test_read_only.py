"""A cache opened with read_only=True: read, and never written."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import MakeCache, Scenario, run_scenario, say

from fastmmap import FastMmap, FormatError, Store
from fastmmap.sync import Lock
from fastmmap.testing import time_travel

LARGE = b"x" * 100_000  # more than an entry holds: a value in parts


@pytest.fixture
def writer(make_cache: MakeCache) -> FastMmap:
    cache = make_cache(page_size="32k", num_pages=32)
    cache.update({"key": ["value"], b"bytes": 1, "large": LARGE, "number": 5})
    cache.set("tagged", 1, tags=["tag"])
    cache.set("short", 1, expire_time=5)
    cache.namespace("space")["key"] = "inner"
    return cache


@pytest.fixture
def reader(writer: FastMmap, path: str) -> Iterator[FastMmap]:
    with FastMmap(path, read_only=True) as cache:
        yield cache


def test_values_are_read_as_they_change(writer: FastMmap, reader: FastMmap) -> None:
    assert reader["key"] == ["value"]
    writer["key"] = "new"
    writer["other"] = LARGE
    assert reader.get("key") == "new"
    assert reader["other"] == LARGE
    del writer["key"]
    assert reader.get("key") is None and "key" not in reader
    with time_travel(6):
        assert reader.get("short") is None
    writer.invalidate_tag("tag")
    assert "tagged" not in reader


def test_everything_that_reads_works(writer: FastMmap, reader: FastMmap) -> None:
    assert len(reader) == len(writer) == 6
    assert dict(reader) == dict(writer)
    assert reader.get_many(["key", "none"]) == {"key": ["value"]}
    assert reader.get_keys(1) == writer.get_keys(1)
    assert reader.get_entry("large").size == writer.get_entry("large").size
    assert reader.exists("key") and reader.ttl("short") > 0
    assert list(reader.iter_prefix("lar")) == ["large"]
    assert reader.get_or_set("number", lambda: 6) == 5
    space = reader.namespace("space")
    assert space["key"] == "inner" and dict(space) == {"key": "inner"}
    assert reader.namespace("unknown").get("key") is None
    assert reader.stats().entries == 7
    assert [client.pid for client in reader.clients()] == [os.getpid()]
    assert reader.get_statistics() == (0, 0)
    assert not Lock(reader, "name").locked()


def changed(_: Any, value: Any, entry: Any) -> Store:
    return Store("changed")


@pytest.mark.parametrize(
    "write",
    [
        lambda cache: cache.set("key", 1),
        lambda cache: cache.set("new", LARGE),
        lambda cache: cache.set("key", 1, tags=["tag"]),
        lambda cache: cache.add("new", 1),
        lambda cache: cache.replace("key", 1),
        lambda cache: cache.__setitem__("key", 1),
        lambda cache: cache.__delitem__("key"),
        lambda cache: cache.update(key=1),
        lambda cache: cache.setdefault("new", 1),
        lambda cache: cache.pop("key"),
        lambda cache: cache.popitem(),
        lambda cache: cache.set_many({"key": LARGE, "other": 1}),
        lambda cache: cache.delete_many(["key"]),
        lambda cache: cache.delete_prefix("key"),
        lambda cache: cache.remove("key"),
        lambda cache: cache.remove("large"),
        lambda cache: cache.remove("key", modseq=5),
        lambda cache: cache.get_and_remove("key"),
        lambda cache: cache.get_and_set("key", changed),
        lambda cache: cache.lock("key").__enter__(),
        lambda cache: cache.incr("number"),
        lambda cache: cache.decr("number"),
        lambda cache: cache.touch("key", 5),
        lambda cache: cache.get("key", touch=5),
        lambda cache: cache.persist("short"),
        lambda cache: cache.expire("key"),
        lambda cache: cache.get_or_set("new", lambda: 1),
        lambda cache: cache.memoize(name="f")(lambda: 1)(),
        lambda cache: cache.clear(),
        lambda cache: cache.purge(),
        lambda cache: cache.empty(),
        lambda cache: cache.flush(),
        lambda cache: cache.multi_set("key", {"a": 1}),
        lambda cache: cache.invalidate_tag("tag"),
        lambda cache: cache.namespace("space").set("key", 1),
        lambda cache: cache.namespace("space").clear(),
        lambda cache: cache.get_statistics(clear=True),
        lambda cache: cache.check(),
        lambda cache: Lock(cache, "name").acquire(),
    ],
)
def test_every_write_is_refused(
    reader: FastMmap, path: str, write: Callable[[FastMmap], object]
) -> None:
    before = Path(path).read_bytes()
    with pytest.raises(io.UnsupportedOperation, match="read_only=True") as caught:
        write(reader)
    assert path in str(caught.value)
    assert Path(path).read_bytes() == before


def test_reading_leaves_no_trace(writer: FastMmap, path: str) -> None:
    def digest() -> str:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()

    before = digest()
    with time_travel(60), FastMmap(path, read_only=True, enable_stats=True) as cache:
        for _ in range(10):
            assert cache["key"] == ["value"] and cache.get("none") is None
            assert len(list(cache.items())) == 5
        pickle.loads(pickle.dumps(cache)).get("key")
        assert digest() == before
    assert digest() == before


@pytest.mark.usefixtures("without_rights")
def test_a_file_that_may_only_be_read_can_be_opened(shared_path: str) -> None:
    with FastMmap(shared_path, cache_size="512k") as cache:
        cache["key"] = ["value"]
    os.chmod(shared_path, 0o400)
    found = run_scenario(read_without_rights, shared_path)
    assert found == ["PermissionError", ["value"]]


def read_without_rights(path: str) -> list[object]:
    if os.geteuid() == 0:  # root may write everything
        os.chown(path, 65534, 65534)
        os.setgid(65534)
        os.setuid(65534)
    try:
        FastMmap(path)
    except OSError as error:
        return [type(error).__name__, FastMmap(path, read_only=True)["key"]]
    return ["opened"]


def read_in_child(path: str) -> list[object]:
    cache = FastMmap(path, read_only=True)
    assert cache["key"] == ["value"]
    child = os.fork()
    if child == 0:
        os._exit(0 if cache["key"] == ["value"] and len(cache) == 6 else 1)
    return [os.waitpid(child, 0)[1], cache["key"]]


def test_a_forked_child_reads_on(writer: FastMmap, path: str) -> None:
    assert run_scenario(read_in_child, path) == [0, ["value"]]


def test_a_file_that_was_replaced_is_followed(
    writer: FastMmap, reader: FastMmap, make_cache: MakeCache
) -> None:
    fresh = make_cache(init_file=True)
    assert reader.get("key") is None
    fresh["key"] = "fresh"
    assert reader["key"] == "fresh"


def test_a_mark_of_a_replaced_file_is_no_endless_loop(
    writer: FastMmap, path: str, make_cache: MakeCache
) -> None:
    os.link(path, f"{path}.old")
    make_cache(init_file=True)
    os.rename(f"{path}.old", path)
    with pytest.raises(OSError, match="without read_only=True"):
        FastMmap(path, read_only=True)


def test_there_has_to_be_a_file(path: str) -> None:
    with pytest.raises(FileNotFoundError):
        FastMmap(path, read_only=True)
    with pytest.raises(ValueError, match="share_file"):
        FastMmap(read_only=True)
    Path(path).touch()
    with pytest.raises(FormatError):
        FastMmap(path, read_only=True)
    assert os.path.getsize(path) == 0


@pytest.mark.parametrize(
    "option",
    [
        *({"init_file": True}, {"test_file": True}, {"unlink_on_exit": True}),
        *({"empty_on_exit": True}, {"read_cb": print}, {"write_cb": print}),
    ],
)
def test_options_that_change_the_file_disagree(
    writer: FastMmap, path: str, option: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=f"read_only=True and {next(iter(option))}"):
        FastMmap(path, read_only=True, **option)


def write_on(path: str) -> None:
    """Store values of many sizes until told to end."""
    cache = FastMmap(path)
    say("ready")
    number = 0
    while os.path.exists(path):
        number += 1
        size = number * 37 % 3000
        cache.set(f"key {number % 200}", bytes([number % 251]) * size)


def is_sound(value: bytes) -> bool:
    return len(set(value)) <= 1


def test_nothing_torn_is_read_beside_a_writer(make_cache: MakeCache, path: str) -> None:
    make_cache(page_size="16k", num_pages=4)
    with Scenario(write_on, path) as scenario:
        assert scenario.hear() == "ready"
        until = time.monotonic() + 1
        with FastMmap(path, read_only=True) as reader:
            while time.monotonic() < until:
                assert all(map(is_sound, reader.values()))
                assert is_sound(reader.get("key 7", b""))
        os.unlink(path)
