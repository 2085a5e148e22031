"""fastmmap keys, get, set, delete, touch."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from commands import Run
from support import MakeCache

from fastmmap import FastMmap

Lines = Callable[..., list[str]]

HOSTILE = "\x1b[2J\n\u202e\\"
ESCAPED = r"\x1b[2J\n\u202e\\"


@pytest.mark.quick
def test_keys_prints_one_key_to_a_line(
    cache: FastMmap, path: str, lines: Lines
) -> None:
    for number in range(50):
        cache[f"key {number}"] = number
    assert set(lines("keys", path)) == set(cache)


def test_keys_of_an_empty_cache_are_none(cache: FastMmap, path: str, run: Run) -> None:
    assert run("keys", path, status=1).stdout == b""


def test_keys_are_chosen_by_prefix_and_pattern(
    cache: FastMmap, path: str, lines: Lines
) -> None:
    cache.set_many({"user:1": 1, "user:12": 1, "page:1": 1, b"user:b": 1})  # type: ignore[arg-type]  # keys of both types
    assert set(lines("keys", path, "--prefix", "user:")) == {
        "user:1",
        "user:12",
        "b'user:b'",
    }
    assert set(lines("keys", path, "--match", "*:1")) == {"user:1", "page:1"}
    assert lines("keys", path, "--prefix", "user", "--match", "*2") == ["user:12"]


def test_keys_of_a_namespace_are_those_in_it(
    cache: FastMmap, path: str, lines: Lines
) -> None:
    cache["plain"] = 1
    cache.namespace("outer")["one"] = 1
    cache.namespace("outer").namespace("inner")["two"] = 1
    assert lines("keys", path) == ["plain"]
    assert lines("keys", path, "--namespace", "outer") == ["one"]
    inner = ["--namespace", "outer", "--namespace", "inner"]
    assert lines("keys", path, *inner) == ["two"]


def test_keys_come_in_the_order_that_is_asked_for(
    make_cache: MakeCache, path: str, run: Run
) -> None:
    cache = make_cache()
    for number, key in enumerate("bdac"):
        cache.set(key, b"x" * (100 * number + 1), expire_time=100 - number)

    def order(name: str, *more: str) -> list[str]:
        done = run("keys", path, "--json", "--sort", name, *more)
        return [json.loads(line)["key"] for line in done.stdout.splitlines()]

    assert order("size") == ["c", "a", "d", "b"]
    assert order("expiry") == ["c", "a", "d", "b"]
    assert order("size", "--limit", "2") == ["c", "a"]


def test_values_of_plain_types_are_shown(cache: FastMmap, path: str, run: Run) -> None:
    values = {"i": 5, "s": "text", "f": 1.5, "n": None, "t": True, "b": b"\xff"}
    cache.set_many(values)
    shown = dict(
        line.split("\t")
        for line in run("keys", path, "--values").stdout.decode().splitlines()
    )
    texts = {"i": "5", "s": "text", "f": "1.5", "n": "None", "t": "True"}
    assert shown == {**texts, "b": r"b'\xff'"}


@pytest.mark.quick
def test_hostile_keys_and_values_cannot_reach_the_terminal(
    cache: FastMmap, path: str, run: Run
) -> None:
    cache[HOSTILE] = HOSTILE
    cache[b"\x1b[2J"] = b"\x1b[2J"
    for arguments in (
        ["keys", path],
        ["keys", path, "--long"],
        ["keys", path, "--values"],
        ["keys", path, "--json", "--values"],
        ["info", path],
        ["export", path],
        ["get", path, "--escaped", ESCAPED],
    ):
        done = run(*arguments)
        for bad in (b"\x1b", "\u202e".encode()):
            assert bad not in done.stdout + done.stderr, arguments
    assert ESCAPED.encode() in run("keys", path).stdout.splitlines()


def test_an_escaped_key_is_read_as_it_was_printed(
    cache: FastMmap, path: str, lines: Lines
) -> None:
    keys: list[Any] = [HOSTILE, b"\x00\xff", "plain", "\\n", "ü\n", ""]
    for key in keys:
        cache[key] = "found"
    for shown in lines("keys", path):
        assert lines("get", path, "--escaped", shown) == ["found"]


def test_json_tells_what_is_known_of_a_key(
    cache: FastMmap, path: str, lines: Lines
) -> None:
    cache.set(b"\xff", [1], expire_time=100, tags=["t"])
    (line,) = lines("keys", path, "--json")
    told = json.loads(line)
    assert told["key"] == {"base64": "/w=="}
    assert told["flags"] == ["tagged"]
    assert told["expire_on"] == pytest.approx(time.time() + 100, abs=5)
    entry = cache.get_entry(b"\xff")
    assert entry is not None and told["size"] == entry.size


# ------------------------------------------------------------------------ get


def test_get_prints_a_value(cache: FastMmap, path: str, lines: Lines) -> None:
    cache["key"] = "text"
    assert lines("get", path, "key") == ["text"]
    assert lines("get", path, "other", status=1) == []
    cache.namespace("n")["key"] = 7
    assert lines("get", path, "key", "--namespace", "n") == ["7"]


def test_get_writes_bytes_as_they_are_when_told_so(
    cache: FastMmap, path: str, run: Run
) -> None:
    cache["b"], cache["s"], cache["n"] = b"\x00\x1b\n", "ü\n", 1
    assert run("get", path, "b", "--raw").stdout == b"\x00\x1b\n"
    assert run("get", path, "s", "--raw").stdout == "ü\n".encode()
    run("get", path, "n", "--raw", status=2)


def test_a_value_in_parts_is_read(make_cache: MakeCache, path: str, run: Run) -> None:
    cache = make_cache(cache_size="4m")
    cache["large"] = b"x" * 500_000
    assert run("get", path, "large", "--raw").stdout == b"x" * 500_000
    (line,) = run("keys", path, "--json").stdout.splitlines()
    assert json.loads(line)["flags"] == ["parts"]


@pytest.mark.parametrize("serializer", ["json", "msgpack", "raw"])
def test_values_of_other_serializers_are_shown(
    make_cache: MakeCache, path: str, lines: Lines, serializer: str
) -> None:
    cache = make_cache(serializer=serializer, compressor="lz4", compress_min_size=1)
    value = "text" if serializer == "raw" else {"a": ["text", 1]}
    cache["key"] = value
    shown = lines("get", path, "key", "--pickle")
    assert shown == [str(value)]
    plain = lines("get", path, "key")
    assert plain == (["<msgpack, 10 bytes>"] if serializer == "msgpack" else shown)


# ------------------------------------------------------------------------ set


@pytest.mark.quick
def test_set_stores_text_json_and_bytes(cache: FastMmap, path: str, run: Run) -> None:
    run("set", path, "text", "ü")
    run("set", path, "json", '{"a": [1, null]}', "--json")
    run("set", path, "int", "5", "--json")
    run("set", path, "bytes", "-", "--bytes", given=b"\x00\xff")
    run("set", path, "--namespace", "n", "inside", "-", given=b"given")
    assert dict(cache) == {
        "text": "ü",
        "json": {"a": [1, None]},
        "int": 5,
        "bytes": b"\x00\xff",
    }
    assert cache.namespace("n")["inside"] == "given"


def test_set_takes_a_lifetime_and_tags(cache: FastMmap, path: str, run: Run) -> None:
    run("set", path, "key", "value", "--ttl", "10m", "--tag", "red")
    run("set", path, "other", "value", "--ttl", "90")
    entry, other = cache.get_entry("key"), cache.get_entry("other")
    assert entry is not None and other is not None
    assert entry.expire_on == pytest.approx(time.time() + 600, abs=20)
    assert other.expire_on == pytest.approx(time.time() + 90, abs=20)
    run("invalidate-tag", path, "red")
    assert list(cache) == ["other"]


def test_a_value_that_does_not_fit_is_said_to_be_refused(
    make_cache: MakeCache, path: str, run: Run
) -> None:
    make_cache(cache_size="64k", page_size="4k")
    done = run("set", path, "key", "-", given=b"x" * 1_000_000, status=1)
    assert b"not stored" in done.stderr


def test_a_key_may_begin_with_a_dash(cache: FastMmap, path: str, lines: Lines) -> None:
    lines("set", path, "--", "-k", "-v")
    assert lines("get", path, "--", "-k") == ["-v"]


# --------------------------------------------------------------- delete, touch


def test_delete_removes_keys_and_tells_when_one_was_missing(
    cache: FastMmap, path: str, run: Run
) -> None:
    cache.set_many({"a": 1, "b": 1, "c": 1})
    run("delete", path, "a", "b")
    assert list(cache) == ["c"]
    done = run("delete", path, "a", "c", "--json", status=1)
    assert json.loads(done.stdout) == {"keys": 2, "done": 1}


def test_touch_changes_the_lifetime_alone(cache: FastMmap, path: str, run: Run) -> None:
    cache["key"] = "value"
    run("touch", path, "key", "--ttl", "1h")
    entry = cache.get_entry("key")
    assert entry is not None and entry.value == "value"
    assert entry.expire_on == pytest.approx(time.time() + 3600, abs=20)
    run("touch", path, "none", status=1)
