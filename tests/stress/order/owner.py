"""One thread of a worker: the only one that changes its keys."""

from __future__ import annotations

import random
import time
from typing import Any

from board import ACKNOWLEDGED, PENDING, Board, is_present, state_of, version_of

from fastmmap import FastMmap, LockTimeout

SMALL, LARGE, UNFIT = 200, 9_000, 40_000


def size_of_value() -> int:
    """Return a size: of one piece mostly, in parts, or beyond the cache."""
    pick = random.random()
    most = SMALL if pick < 0.93 else LARGE if pick < 0.98 else UNFIT
    return random.randrange(most // 4, most)


class Owner:
    """What changes some keys, and checks what it reads of them."""

    def __init__(
        self, cache: FastMmap, board: Board, keys: range, others: range
    ) -> None:
        """Own those keys; their owners before may have been killed."""
        self.cache, self.board = cache, board
        self.keys, self.others = keys, others
        self.known: set[int] = set()  #: keys whose state is certain
        self.operations = 0

    # -------------------------------------------------------------- changes

    def _begin(self, key: int, present: bool) -> int:
        before = max(self.board.get(key, ACKNOWLEDGED), self.board.get(key, PENDING))
        state = state_of(version_of(before) + 1, present)
        self.board.put(key, PENDING, state)
        return state

    def _acknowledge(self, key: int, state: int) -> None:
        self.board.put(key, ACKNOWLEDGED, state)
        self.known.add(key)

    def _change(self, key: int) -> None:
        """Give the key a new version, in one of the ways that there are."""
        state = self._begin(key, True)
        value = (version_of(state), b"x" * size_of_value())
        name, pick = str(key), random.random()
        if pick < 0.7:
            self.cache.set(name, value)
        elif pick < 0.85:
            self.cache.get_and_set(name, lambda *known: value)
        else:
            try:
                with self.cache.lock(name) as item:
                    item.value = value
            except ValueError:
                pass  # it did not fit, and went to the store
        self._acknowledge(key, state)

    def _remove(self, key: int) -> None:
        state = self._begin(key, False)
        name, pick = str(key), random.random()
        if pick < 0.6:
            self.cache.remove(name)
        elif pick < 0.8 and key in self.known:
            # It removes what is in the cache, and says whether anything was.
            if not self.cache.get_and_remove(name).removed:
                state = self.board.get(key, ACKNOWLEDGED)
                self.board.put(key, PENDING, state)
                return
        else:
            with self.cache.lock(name) as item:
                item.remove()
        self._acknowledge(key, state)

    # --------------------------------------------------------------- checks

    def _check(self, key: int) -> None:
        """Read the newest state, wherever it is."""
        wanted = self.board.get(key, ACKNOWLEDGED)
        found: Any = self.cache.get(str(key))
        if is_present(wanted):
            good = found is not None and found[0] == version_of(wanted)
        else:
            good = found is None
        if key in self.known and not good:
            what = version_of(wanted) if is_present(wanted) else "nothing"
            self.board.accuse(
                f"key {key}: {what} was acknowledged, {found and found[0]} is read"
            )

    # --------------------------------------------------------------- others

    def _disturb(self) -> None:
        """Do something to everybody's keys."""
        other = str(random.choice(self.others))
        pick = random.random()
        if pick < 0.1:
            self.cache.flush()
        elif pick < 0.12:
            self.cache.empty()
        elif pick < 0.5:
            self.cache.expire(other)
        else:
            self.cache.get(other)

    def step(self) -> None:
        """Do one thing."""
        key = random.choice(self.keys)
        pick = random.random()
        try:
            if pick < 0.45:
                self._change(key)
            elif pick < 0.6:
                self._remove(key)
            elif pick < 0.9:
                self._check(key)
            else:
                self._disturb()
        except LockTimeout:
            self.known.discard(key)  # either state, until the next change
        self.operations += 1

    def run(self, until: float) -> None:
        """Go on until that moment."""
        while time.monotonic() < until:
            self.step()
