"""A value that pickles well and cannot be unpickled: its class has moved."""

from __future__ import annotations

from typing import Any


class Broken:
    def __reduce__(self) -> tuple[Any, ...]:
        return fail, ()


def fail() -> None:
    raise AttributeError("the class has moved")
