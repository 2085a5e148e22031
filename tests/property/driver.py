"""What drives a cache and its model side by side, without any rules."""

from __future__ import annotations

import logging
import math
import os
import tempfile
import time
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine
from model import Model, Raised, Spec
from strategies import TICK, Lifetime, Setup, Store, values_of

from fastmmap import FastMmap, LockError
from fastmmap.testing import time_travel

ABSENT = "absent"
_EXPECTED = (
    KeyError,
    ValueError,
    TypeError,
    OverflowError,
    LockError,
    ZeroDivisionError,
)
_LOGGER = logging.getLogger("fastmmap")


def outcome(call: Callable[[], Any]) -> Any:
    """Return what a call returns, or how it raised."""
    try:
        return call()
    except _EXPECTED as error:
        return Raised(type(error))


class Driver(RuleBasedStateMachine):
    """A cache, its model, and a clock."""

    setup_of: Setup
    model: Model
    cache: FastMmap

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR"))
        self.path = os.path.join(self.folder.name, "cache.fmm")
        self.store = Store()
        self.start = float(int(time.time()))
        self.reads = self.hits = 0
        self.values: Any = None

    def start_with(self, setup: Setup) -> None:
        """Make the cache, and the model that it is compared with."""
        self.setup_of = setup
        self.model = setup.model(self.start)
        self.values = values_of(setup.serializer)
        self.cache = FastMmap(self.path, **setup.options(self.store))

    def teardown(self) -> None:
        if hasattr(self, "cache"):
            stats = self.cache.stats()
            self.cache.close()
            assert self.model.lost <= stats.evictions
        self.folder.cleanup()

    # ---------------------------------------------------------------- tools

    def moment(self, expire_on: Any) -> Any:
        """Return the model's idea of a moment: the calls before took no time."""
        if expire_on is None:
            return None
        half = TICK / 2
        return self.start + half * math.floor((expire_on - self.start + 5) / half)

    def travel(self) -> Any:
        """Move the clock to the model's time, and as much as really passed."""
        return time_travel(self.model.now - self.start)

    def run(self, call: Callable[[], Any], flushed: Any = ()) -> tuple[Any, list]:
        """Make a call; return how it went and the callbacks left to explain.

        `flushed` are the keys that it may write back, None for all.
        """
        self.store.calls.clear()
        self.store.answers.clear()
        _LOGGER.disabled = True
        with self.travel():
            result = outcome(call)
        _LOGGER.disabled = False
        calls = [
            (*call[:3], self.moment(call[3])) if call[0] == "write" else call
            for call in self.store.calls
        ]
        return result, self.model.absorb(
            calls, lambda key: flushed is None or key in flushed
        )

    def one(
        self, key: Any, spec: Spec, call: Callable[[], Any], flush: bool = False
    ) -> Any:
        """Make a call on one key that must do what the model says."""
        result, calls = self.run(call, [key] if flush else ())
        self.model.settle(key, spec, result, calls)
        return result

    def exists(self, key: Any) -> bool:
        found = self.one(key, self.model.exists_step, lambda: self.cache.exists(key))
        assert isinstance(found, bool)
        return found

    def count(self, results: list[Any]) -> None:
        """Note reads whose results are these."""
        self.reads += len(results)
        self.hits += sum(result is not ABSENT for result in results)

    def value(self, data: st.DataObject) -> Any:
        return data.draw(self.values, label="value")

    def how(self, lifetime: Lifetime, **more: Any) -> Any:
        return lifetime.how(self.model, self.start, **more)
