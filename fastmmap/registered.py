"""Types of arguments that users have taught to `memoize`."""

from collections.abc import Callable
from typing import Any, Optional, TypeVar

_Kind = TypeVar("_Kind")

#: Modules whose types always have a spelling of their own.
_SPELLED = ("builtins", "datetime", "decimal", "uuid")

_functions: dict[type, Callable[[Any], Any]] = {}


def register_argument(kind: type[_Kind], function: Callable[[_Kind], Any]) -> None:
    """Say what stands for arguments of a type in the keys of `memoize`.

    It also applies to subclasses, each of which is a separate argument. Register
    before the first call, in every process that shares the cache.

    Args:
        kind: A class.
        function: Takes such an object, and returns what makes it differ from
            others: a str, a tuple, anything that `memoize` takes as an argument.

    Raises:
        TypeError: ``kind`` is not a class, or ``function`` not a function.
        ValueError: It is a builtin type or one of a few others, whose spelling is
            fixed.
    """
    if not isinstance(kind, type):
        raise TypeError(f"register_argument() takes a class, not {kind!r}")
    if not callable(function):
        raise TypeError(f"register_argument() takes a function, not {function!r}")
    if kind.__module__ in _SPELLED:
        raise ValueError(f"{kind!r} already has a spelling: register a subclass")
    _functions[kind] = function


def function_for(kind: type) -> Optional[Callable[[Any], Any]]:
    """Return the function for a type, or for the nearest of its bases."""
    if not _functions:
        return None
    bases = (_functions[base] for base in kind.__mro__ if base in _functions)
    return next(bases, None)
