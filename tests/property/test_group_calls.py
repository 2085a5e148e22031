"""Namespaces and tags, against dicts that are emptied by hand."""

from __future__ import annotations

import os
import pickle
import tempfile
from dataclasses import dataclass
from typing import Any, Optional, Union

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fastmmap import FastMmap, Namespace

pytestmark = pytest.mark.long

Space = Union[FastMmap, Namespace]
Path = tuple[str, ...]

#: The cache itself, and namespaces in it and in one another.
PATHS: list[Path] = [(), ("a",), ("b",), ("a", "b"), ("a", "b", "a")]
KEYS = ["", "a", b"a", "key"]
TAGS = ["a", b"a", "b", ""]

paths = st.sampled_from(PATHS)
keys = st.sampled_from(KEYS)
tags = st.sampled_from(TAGS)
some_tags = st.lists(tags, max_size=3)
values = st.integers(-5, 5)


@dataclass
class Record:
    value: int
    tags: list[Any]


class GroupsMachine(RuleBasedStateMachine):
    """Calls in any of the namespaces, in a file with room for everything."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR"))
        path = os.path.join(self.folder.name, "cache.fmm")
        self.caches = [
            FastMmap(path, page_size="64k", num_pages=3),
            FastMmap(path, unlink_on_exit=False),
        ]
        self.model: dict[Path, dict[Any, Record]] = {path: {} for path in PATHS}
        self.turn = 0

    def teardown(self) -> None:
        for cache in self.caches:
            assert cache.check().ok and cache.stats().evictions == 0
            cache.close()
        self.folder.cleanup()

    def space(self, path: Path) -> Any:
        """Return a namespace, by way of one object of the file or the other."""
        self.turn += 1
        space: Any = self.caches[self.turn % 2]
        for name in path:
            space = space.namespace(name)
        copied = path and self.turn % 5 == 0
        return pickle.loads(pickle.dumps(space)) if copied else space

    def value(self, path: Path, key: Any) -> Optional[int]:
        record = self.model[path].get(key)
        return record and record.value

    # ------------------------------------------------------------- storing

    @rule(path=paths, key=keys, value=values, given=some_tags, mode=st.integers(0, 2))
    def store(
        self, path: Path, key: Any, value: int, given: list[Any], mode: int
    ) -> None:
        name = ("set", "add", "replace")[mode]
        there = key in self.model[path]
        wanted = (True, not there, there)[mode]
        assert getattr(self.space(path), name)(key, value, tags=given) is wanted
        if wanted:
            self.model[path][key] = Record(value, given)

    @rule(path=paths, value=values, given=some_tags)
    def set_many(self, path: Path, value: int, given: list[Any]) -> None:
        assert self.space(path).set_many(dict.fromkeys(KEYS, value), tags=given) == []
        self.model[path] = {key: Record(value, given) for key in KEYS}

    @rule(path=paths, key=keys)
    def add(self, path: Path, key: Any) -> None:
        record = self.model[path].setdefault(key, Record(0, []))
        record.value += 1
        assert self.space(path).incr(key) == record.value

    @rule(path=paths, key=keys, value=values, lock=st.booleans())
    def change(self, path: Path, key: Any, value: int, lock: bool) -> None:
        space = self.space(path)
        if lock:
            with space.lock(key) as item:
                assert (item.value if item.exists else None) == self.value(path, key)
                item.value = value
        else:
            old = space.get_and_set(key, lambda key, old, entry: value)
            assert old == (value, True)
        self.model[path].setdefault(key, Record(0, [])).value = value

    @rule(path=paths, key=keys, value=values, given=some_tags)
    def compute(self, path: Path, key: Any, value: int, given: list[Any]) -> None:
        self.compute_beside(path, key, value, given, None)

    @rule(path=paths, key=keys, value=values, given=some_tags, tag=tags)
    def compute_while_it_is_invalidated(
        self, path: Path, key: Any, value: int, given: list[Any], tag: Any
    ) -> None:
        self.compute_beside(path, key, value, given, tag)

    def compute_beside(
        self, path: Path, key: Any, value: int, given: list[Any], tag: Any
    ) -> None:
        there = self.model[path].get(key)

        def func() -> int:
            if tag is not None:
                self.invalidate(path, tag)
            return value

        result = self.space(path).get_or_set(key, func, tags=given)
        assert result == (there.value if there else value)
        if there is None and tag not in given:
            self.model[path][key] = Record(value, given)

    # ------------------------------------------------------------ removing

    @rule(path=paths, key=keys)
    def remove(self, path: Path, key: Any) -> None:
        there = self.model[path].pop(key, None)
        assert self.space(path).remove(key) is (there is not None)

    @rule(path=paths)
    def clear(self, path: Path) -> None:
        self.space(path).clear()
        for other in PATHS:
            if other[: len(path)] == path:
                self.model[other] = {}

    @rule(path=paths, tag=tags)
    def invalidate(self, path: Path, tag: Any) -> None:
        found = self.space(path).invalidate_tag(tag)
        kept = {k: r for k, r in self.model[path].items() if tag not in r.tags}
        assert found or len(kept) == len(self.model[path])
        self.model[path] = kept

    # ------------------------------------------------------------- reading

    @rule(path=paths, key=keys)
    def get(self, path: Path, key: Any) -> None:
        space = self.space(path)
        assert space.get(key) == self.value(path, key)
        assert (key in space) is (key in self.model[path])

    @invariant()
    def each_shows_its_own(self) -> None:
        for path in PATHS:
            wanted = {key: record.value for key, record in self.model[path].items()}
            space = self.space(path)
            assert dict(space.items()) == space.get_many(KEYS) == wanted


TestGroups = GroupsMachine.TestCase
