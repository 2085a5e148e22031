"""Objects of one file, used in turn, are one cache; so are forked children."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from driver import outcome
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule
from machine import CacheMachine
from model import PLAINLY
from strategies import Setup, keys, setups

from fastmmap import FastMmap

pytestmark = pytest.mark.long


def in_a_child(call: Callable[[], Any]) -> Any:
    """Return what comes of a call in a forked child: see `outcome`."""
    reader, writer = os.pipe()
    if not (child := os.fork()):
        try:
            os.write(writer, pickle.dumps(outcome(call)))
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as answer:
        said = answer.read()
    os.waitpid(child, 0)
    return pickle.loads(said)


class ObjectsMachine(CacheMachine):
    """The same calls, each through one object or the other."""

    objects: list[FastMmap]

    @initialize(setup=setups)
    def open(self, setup: Setup) -> None:
        self.start_with(setup)
        self.objects = [self.cache, self.another()]

    def another(self, **more: Any) -> FastMmap:
        return FastMmap(self.path, **{**self.setup_of.options(self.store), **more})

    def teardown(self) -> None:
        for cache in getattr(self, "objects", []):
            if cache is not self.cache:
                cache.close()
        super().teardown()

    def put(self, cache: FastMmap) -> None:
        """Let an object take the place of the one in use."""
        place = self.objects.index(self.cache)
        self.objects[place] = self.cache = cache

    @rule(place=st.integers(0, 1))
    def use(self, place: int) -> None:
        self.cache = self.objects[place]

    @rule(verify=st.booleans())
    def reopen(self, verify: bool) -> None:
        self.cache.close()
        self.put(self.another(test_file=verify))

    @rule()
    def go_on_with_a_copy(self) -> None:
        before, place = self.cache, self.objects.index(self.cache)
        super().go_on_with_a_copy()
        assert before.closed
        self.objects[place] = self.cache

    @rule(rarely=st.integers(0, 3))
    def start_anew(self, rarely: int) -> None:
        """init_file: the other object sees the emptied cache, too."""
        if rarely:
            return
        self.cache.close()
        self.put(self.another(init_file=True))
        self.model.records.clear()
        self.model.doubts.clear()
        self.model.lost = 0

    @rule(key=keys, rarely=st.integers(0, 3))
    def count_in_a_child(self, key: Any, rarely: int) -> None:
        """A child counts up through the object that it inherited."""
        if rarely or self.model.writes:  # what the store hears is the child's
            return

        self.one(
            key,
            lambda old: self.model.incr_step(key, old, 1, 0, PLAINLY),
            lambda: in_a_child(lambda: self.cache.incr(key)),
        )


TestObjects = ObjectsMachine.TestCase
