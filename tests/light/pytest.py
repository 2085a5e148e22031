"""What scenarios see of pytest: marks that mark nothing, and no more.

A scenario starts from its test module, which imports pytest; that takes longer
than most scenarios. `support` puts this folder first on their path. What stands
in front of functions is answered here; the first other name, say `raises`,
brings the real pytest.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any


class _Mark:
    """`mark`, and each of its marks, with arguments or without."""

    def __getattr__(self, _: str) -> _Mark:
        return self

    def __call__(self, *arguments: Any, **_: Any) -> Any:
        return arguments[0] if _decorates(arguments) else _same


def _decorates(arguments: tuple[Any, ...]) -> bool:
    return len(arguments) == 1 and callable(arguments[0])


def _same(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


mark = fixture = param = _Mark()


def __getattr__(name: str) -> Any:
    if name.startswith("__"):  # the import system asks for its own names
        raise AttributeError(name)
    if sys.modules[__name__].__file__ == __file__:
        sys.path.remove(os.path.dirname(__file__))
        del sys.modules[__name__]
    return getattr(importlib.import_module(__name__), name)
