"""Caches that break a promise now and then, to show that the storm notices."""

from __future__ import annotations

import random
import time
from typing import Any

from fastmmap import FastMmap
from fastmmap.types import GetAndSetResult

HEADS = 4096 + 72  # in the control block of page 0, see docs/format.rst


def seldom(times: int = 1000) -> bool:
    """Return true once in as many calls."""
    return random.randrange(times) == 0


class Drop(FastMmap):
    """Says that it stored, and did not."""

    def set(self, key: Any, value: Any, *arguments: Any, **options: Any) -> bool:
        return seldom() or super().set(key, value, *arguments, **options)


class Lose(FastMmap):
    """Stores, and forgets."""

    def set(self, key: Any, value: Any, *arguments: Any, **options: Any) -> bool:
        stored = super().set(key, value, *arguments, **options)
        if seldom():
            self.remove(key)
        return stored


class Tear(FastMmap):
    """Stores values of which one byte is another."""

    def set(self, key: Any, value: Any, *arguments: Any, **options: Any) -> bool:
        if seldom():
            value = value[:-1] + b"!"
        return super().set(key, value, *arguments, **options)


class Stale(FastMmap):
    """Keeps what it once read, and gives it again."""

    def get(self, key: Any, default: Any = None) -> Any:
        if not hasattr(self, "_kept"):
            self._kept: dict[Any, Any] = {}
        value = super().get(key, default)
        if value is None or not seldom(10):
            return value
        return self._kept.setdefault(key, value)


class Hold(FastMmap):
    """Keeps a page for longer than the patience of others."""

    def get(self, key: Any, default: Any = None) -> Any:
        if seldom(100):
            with self.lock(key):
                time.sleep(3)
        return super().get(key, default)


class Empty(FastMmap):
    """Spoils the heads of the first page, as a broken lock-taker might."""

    def set(self, key: Any, value: Any, *arguments: Any, **options: Any) -> bool:
        if seldom(200):
            with open(self.share_file, "r+b") as file:
                file.seek(HEADS)
                file.write(bytes(range(16)))
        return super().set(key, value, *arguments, **options)


class Twice(FastMmap):
    """Counts one thing twice."""

    def incr(self, key: Any, delta: int = 1, **options: Any) -> int:
        return super().incr(key, 2 if seldom() else delta, **options)


class Race(FastMmap):
    """Reads and writes under two locks instead of one."""

    def get_and_set(self, key: Any, func: Any) -> GetAndSetResult:
        if not seldom(20):
            return super().get_and_set(key, func)
        value = self.get(key)
        time.sleep(0.001)
        return GetAndSetResult(None, self.set(key, func(key, value, None)))


class Late(FastMmap):
    """Stores what it computed without asking whether that is still right."""

    def get_or_set(
        self, key: Any, default: Any, *arguments: Any, **options: Any
    ) -> Any:
        if key not in self and seldom(10):
            value = default()
            time.sleep(0.001)
            self.set(key, value)
        return super().get_or_set(key, default, *arguments, **options)


class Deaf(FastMmap):
    """Does not hear of each invalidation."""

    def invalidate_tag(self, tag: Any) -> bool:
        return False if seldom(50) else super().invalidate_tag(tag)


class Silent(FastMmap):
    """Does not call `write_cb` each time."""

    def __init__(self, **options: Any) -> None:
        write_cb = options["write_cb"]
        options["write_cb"] = lambda *arguments: seldom(50) or write_cb(*arguments)
        super().__init__(**options)


SABOTAGES: dict[str, Any] = {
    kind.__name__.lower(): kind
    for kind in (
        Drop,
        Lose,
        Tear,
        Stale,
        Hold,
        Empty,
        Twice,
        Race,
        Late,
        Deaf,
        Silent,
    )
}
