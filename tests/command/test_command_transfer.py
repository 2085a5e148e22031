"""fastmmap export and import."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy
import pytest
from commands import Run
from support import MakeCache

from fastmmap import FastMmap

VALUES: dict[Any, Any] = {
    "text": "ü\n",
    b"\xff": b"\x00\xff",
    "int": 2**70,
    "float": 1.5,
    "none": None,
    "true": True,
    "surrogate": "\udc80",
}
PICKLED = {"dict": {"a": (1, 2)}, "set": {1, 2}}


@pytest.fixture
def other(tmp_path: Path, make_cache: MakeCache) -> FastMmap:
    """Return an empty cache to import into."""
    return make_cache(share_file=str(tmp_path / "other.fmm"), cache_size="512k")


@pytest.mark.quick
def test_what_was_exported_comes_back_as_it_was(
    cache: FastMmap, other: FastMmap, path: str, run: Run
) -> None:
    cache.update(VALUES | PICKLED)
    done = run("export", path, "--pickle")
    run("import", other.share_file, "-", "--pickle", given=done.stdout)
    assert dict(other) == VALUES | PICKLED
    assert {key: type(value) for key, value in other.items()} == {
        key: type(value) for key, value in (VALUES | PICKLED).items()
    }


def test_pickles_are_left_out_unasked_and_counted(
    cache: FastMmap, other: FastMmap, path: str, run: Run
) -> None:
    cache.update(VALUES | PICKLED)
    done = run("export", path, status=1)
    assert b"not_plain 2" in done.stderr
    run("import", other.share_file, "-", given=done.stdout)
    assert dict(other) == VALUES


def test_pickles_are_not_stored_unasked(
    cache: FastMmap, other: FastMmap, path: str, run: Run
) -> None:
    cache.update(VALUES | PICKLED)
    done = run("export", path, "--pickle")
    told = run("import", other.share_file, "-", "--json", given=done.stdout, status=1)
    assert json.loads(told.stdout) == {"imported": len(VALUES), "not_plain": 2}
    assert dict(other) == VALUES


def test_arrays_are_exported_with_their_buffers(
    run: Run, make_cache: MakeCache, tmp_path: Path
) -> None:
    array = numpy.arange(10_000)
    cache = make_cache(cache_size="4m")
    cache["key"] = {"array": array}
    other = make_cache(share_file=str(tmp_path / "other"), cache_size="4m")
    done = run("export", cache.share_file, "--pickle")
    run("import", other.share_file, "-", "--pickle", given=done.stdout)
    found = other["key"]["array"]
    assert numpy.array_equal(found, array) and found.flags.writeable


def test_an_export_is_a_line_of_json_for_each_entry(
    cache: FastMmap, path: str, run: Run
) -> None:
    cache.set("key", "value", expire_time=100)
    head, entry = map(json.loads, run("export", path).stdout.splitlines())
    assert head["format"] == 1 and head["serializer"] == "pickle"
    assert entry.pop("expire_on") == pytest.approx(time.time() + 100, abs=20)
    assert entry == {"key": "key", "value": "value", "encoding": "json"}


def test_lifetimes_and_namespaces_come_over(
    cache: FastMmap, other: FastMmap, path: str, run: Run
) -> None:
    space = cache.namespace("outer").namespace("inner")
    space.set("short", 1, expire_time=1000)
    space.set("long", 1)
    inner = ["--namespace", "outer", "--namespace", "inner"]
    run("import", other.share_file, "-", given=run("export", path, *inner).stdout)
    there = other.namespace("outer").namespace("inner")
    for key in ("short", "long"):
        before, after = space.get_entry(key), there.get_entry(key)
        assert before is not None and after is not None
        assert after.expire_on == before.expire_on


def test_what_has_expired_since_is_not_imported(
    cache: FastMmap, other: FastMmap, path: str, run: Run
) -> None:
    cache.set("key", 1, expire_time=1000)
    head, line = run("export", path).stdout.splitlines()
    old = json.dumps({**json.loads(line), "expire_on": time.time() - 1}).encode()
    given = b"\n".join([head, old])
    done = run("import", other.share_file, "-", "--json", given=given)
    assert json.loads(done.stdout) == {"expired": 1}
    assert dict(other) == {}


def test_an_import_keeps_what_is_there_unless_told(
    cache: FastMmap, other: FastMmap, path: str, run: Run
) -> None:
    cache.update({"a": 1, "b": 1})
    other["a"] = 2
    exported = run("export", path).stdout
    run("import", other.share_file, "-", given=exported)
    assert dict(other) == {"a": 2, "b": 1}
    run("import", other.share_file, "-", "--overwrite", given=exported)
    assert dict(other) == {"a": 1, "b": 1}


def test_an_import_can_be_repeated(
    cache: FastMmap, other: FastMmap, path: str, tmp_path: Path, run: Run
) -> None:
    cache.update({f"key {number}": number for number in range(100)})
    exported = run("export", path).stdout.splitlines(keepends=True)
    run("import", other.share_file, "-", given=b"".join(exported[:40]))
    (tmp_path / "whole").write_bytes(b"".join(exported))
    done = run("import", other.share_file, str(tmp_path / "whole"), "--json")
    assert json.loads(done.stdout) == {"kept_or_refused": 39, "imported": 61}
    assert dict(other) == dict(cache)


@pytest.mark.parametrize("serializer", ["json", "msgpack", "raw"])
def test_values_of_other_serializers_come_back(
    tmp_path: Path, make_cache: MakeCache, run: Run, serializer: str
) -> None:
    paths = [str(tmp_path / name) for name in ("one", "two")]
    one, two = (
        make_cache(share_file=path, cache_size="512k", serializer=serializer)
        for path in paths
    )
    value = b"\xff" if serializer == "raw" else {"a": [1, "text"]}
    one["key"] = value
    exported = run("export", paths[0], "--pickle").stdout
    run("import", paths[1], "-", "--pickle", given=exported)
    assert two["key"] == value


def test_values_of_another_serializer_are_left_out(
    tmp_path: Path, cache: FastMmap, make_cache: MakeCache, path: str, run: Run
) -> None:
    cache["key"] = {1, 2}
    target = make_cache(
        share_file=str(tmp_path / "json"), cache_size="512k", serializer="json"
    )
    done = run(
        "import",
        target.share_file,
        "-",
        "--json",
        "--pickle",
        given=run("export", path, "--pickle").stdout,
        status=1,
    )
    assert json.loads(done.stdout) == {"other_serializer": 1}


@pytest.mark.parametrize(
    "line",
    [
        b"text",
        b"[]",
        b"{}",
        b'{"key": 1, "encoding": "json", "value": 1}',
        b'{"key": {"base64": "?"}, "encoding": "json", "value": 1}',
        b'{"key": "k", "encoding": "base64", "value": "?"}',
        b'{"key": "k", "encoding": 7, "value": "?"}',
        b'{"key": "k", "encoding": "json", "value": 1, "expire_on": "x"}',
        b'{"key": "k", "encoding": "pickle", "value": 7}',
    ],
)
def test_what_is_no_export_is_refused_with_its_line(
    cache: FastMmap, path: str, run: Run, line: bytes
) -> None:
    head = b'{"format": 1}\n'
    assert b"line 1 " in run("import", path, "-", given=line, status=2).stderr
    assert b"line 2 " in run("import", path, "-", given=head + line, status=2).stderr
    assert dict(cache) == {}


def test_tags_that_get_lost_are_counted(cache: FastMmap, path: str, run: Run) -> None:
    cache.set("key", 1, tags=["tag"])
    assert b"tags_lost 1" in run("export", path).stderr
