"""Instances that a memoized method ignores, and a warning where they matter.

With ``ignore=("self",)`` all instances share their results. That is right while they
are alike, as handles of one service are, and wrong for those that hold different data.
"""

import warnings
import weakref
from typing import Any, Optional

from fastmmap import _core
from fastmmap.argument_keys import ArgumentKeys

#: Types of attributes that are compared: those of data, which runs no code.
_PLAIN = (bool, int, float, str, bytes, type(None))
#: Instances that are looked at before they are taken to be alike.
_LOOKS = 100


def _state_of(instance: Any) -> dict[str, Any]:
    """Return its attributes of plain types; none where its end cannot be told."""
    if type(instance).__weakrefoffset__ == 0:
        return {}
    # A copy, made in one step: other threads may set attributes meanwhile.
    attributes = dict(getattr(instance, "__dict__", {}))
    return {name: one for name, one in attributes.items() if type(one) in _PLAIN}


class Watch:
    """Compares the instances of a memoized method, and warns once when they differ."""

    def __init__(self, name: str, memoized: _core.Memoized) -> None:
        self._name, self._memoized = name, memoized
        self._seen: Any = None  #: a weak reference
        self._state: Optional[dict[str, Any]] = None  #: of the first one
        self._left = _LOOKS

    def __call__(self, instance: Any) -> None:
        """Compare an instance with the first one."""
        state = _state_of(instance)
        if state:
            self._seen = weakref.ref(instance, self._look_again)
        if self._state is None:
            self._state = state
            return
        self._left -= 1
        differing = sorted({name for name, _ in state.items() ^ self._state.items()})
        if differing or not self._left:
            self._memoized.watch = None
        if differing:
            self._warn(differing)

    def _look_again(self, gone: Any) -> None:
        """Ask for the next one, which may have the address of the last."""
        if self._memoized.watch is self:
            self._memoized.watch = self

    def _warn(self, differing: list[str]) -> None:
        warnings.warn(
            f"{self._name} ignores 'self', but its instances differ in "
            f"{', '.join(map(repr, differing))}, and get each other's results: make "
            "what counts a part of the key with key=, or an argument",
            RuntimeWarning,
            stacklevel=3,
        )


def watch(memoized: _core.Memoized, key_of: Any) -> None:
    """Watch the instances of a method whose keys ignore them."""
    if isinstance(key_of, ArgumentKeys) and key_of.ignores_self:
        memoized.watch = Watch(key_of.name, memoized)
