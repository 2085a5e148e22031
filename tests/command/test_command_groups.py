"""fastmmap namespaces, tags: what the file knows by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from commands import Run

from fastmmap import FastMmap, Namespace


def told(run: Run, *words: str) -> list[dict[str, Any]]:
    """Return what a command says in JSON."""
    groups: list[dict[str, Any]] = json.loads(run(*words, "--json").stdout)
    return groups


def counted(run: Run, *words: str) -> list[tuple[object, int]]:
    """Return path and entries of what a command lists."""
    groups = told(run, *words)
    return [(group["namespace"], group["entries"]) for group in groups]


def tags(run: Run, *words: str) -> list[tuple[object, object, int]]:
    """Return namespace, tag and entries of what is listed."""
    groups = told(run, "tags", *words)
    return [(group["namespace"], group["tag"], group["entries"]) for group in groups]


def test_namespaces_are_found_without_their_names(
    cache: FastMmap, path: str, run: Run
) -> None:
    cache["plain"] = 1
    outer = cache.namespace("outer")
    outer["key"] = 1
    outer.namespace("inner").set_many({"one": 1, "two": 2})
    cache.namespace("looked at").get("key")
    assert counted(run, "namespaces", path) == [
        ([], 1),
        (["outer"], 1),
        (["outer", "inner"], 2),
        (None, 0),
    ]
    inside = counted(run, "namespaces", path, "--namespace", "outer")
    assert inside == [([], 1), (["outer", "inner"], 2), (None, 1)]


def test_a_namespace_inside_an_empty_one_is_found(
    cache: FastMmap, path: str, run: Run
) -> None:
    cache.namespace("outer").namespace("inner")["key"] = 1
    assert (["outer", "inner"], 1) in counted(run, "namespaces", path)


@pytest.mark.parametrize(
    "store",
    [
        lambda space: space.add("key", 1),
        lambda space: space.incr("key"),
        lambda space: space.setdefault("key", 1),
        lambda space: space.get_or_set("key", lambda: 1),
        lambda space: space.get_and_set("key", lambda key, value, entry: 1),
    ],
)
def test_whatever_stores_notes_the_name(
    cache: FastMmap, path: str, run: Run, store: Callable[[Namespace], object]
) -> None:
    store(cache.namespace("n"))
    assert (["n"], 1) in counted(run, "namespaces", path)


def test_a_name_leaves_the_list_with_the_last_value(
    cache: FastMmap, path: str, run: Run
) -> None:
    space = cache.namespace("n")
    space["key"] = 1
    space.set("tagged", 1, tags=["tag"])
    del space["key"]
    assert tags(run, path) == [(["n"], "tag", 1)]
    space.clear()
    assert counted(run, "namespaces", path) == [([], 0), (None, 1)]
    assert tags(run, path) == []
    cache.clear()
    space["key"] = 1
    assert (["n"], 1) in counted(run, "namespaces", path)


def test_tags_are_listed_with_their_namespaces(
    cache: FastMmap, path: str, run: Run
) -> None:
    cache.set("one", 1, tags=["red", b"raw"])
    cache.set("two", 2, tags=["red"])
    cache.namespace("n").set("one", 1, tags=["red"])
    cache.set("three", 3, tags=["ended"])
    cache.invalidate_tag("ended")
    assert tags(run, path) == [
        ([], "b'raw'", 1),
        ([], "red", 2),
        (["n"], "red", 1),
    ]
    assert tags(run, path, "--namespace", "n") == [(["n"], "red", 1)]
    cache.set("three", 3, tags=["ended"])
    assert ([], "ended", 1) in tags(run, path)


def test_tags_without_names_are_counted(cache: FastMmap, path: str, run: Run) -> None:
    cache.set("key", 1, tags=["x" * 501])
    assert b"1 tags whose names" in run("tags", path).stdout
