"""Which function has which name: two of one name would share their results.

The function's code tells names apart. If it changes, as when a module is loaded again
or a notebook cell runs once more, the function replaces the old one. Two functions of
one piece of code are two.
"""

import functools
import inspect
import sys
import weakref
from collections.abc import Iterator
from types import BuiltinMethodType, CodeType, FrameType, MethodType, ModuleType
from typing import Any, Final, NamedTuple, Optional

from fastmmap.names import is_of_session, name_of

_WAYS_OUT: Final = "give name=, or key="


class _Definition(NamedTuple):
    """What has a name."""

    code: object  #: what it does
    scopes: "weakref.WeakSet[CodeType]"  #: the code around it, while that is there
    in_session: bool  #: where any code may be replaced


#: By the place of the results and the name.
_taken: dict[tuple[str, ...], _Definition] = {}


# ---------------------------------------------------------------------- its own


def _is_of_object(function: Any) -> bool:
    """Tell whether it has hidden arguments, which no call shows."""
    if isinstance(function, BuiltinMethodType):
        return not isinstance(function.__self__, (ModuleType, type(None)))
    return isinstance(function, (MethodType, functools.partial))


def _variables_around(function: Any) -> list[str]:
    """Return the variables of the functions around it that it uses."""
    code = getattr(function, "__code__", None)
    if "<locals>" not in function.__qualname__ or not isinstance(code, CodeType):
        return []
    return [name for name in code.co_freevars if name != function.__name__]


def _reason_against(function: Any) -> Optional[str]:
    """Return why others may have its name, or ``None``."""
    if getattr(function, "__qualname__", "<lambda>").endswith("<lambda>"):
        return "has no name"
    if _is_of_object(function):
        return "belongs to an object that its name does not show"
    inner = inspect.unwrap(function)
    variables = _variables_around(inner)
    if variables:
        uses = ", ".join(map(repr, variables))
        return f"uses {uses} of the enclosing function, which its name does not show"
    if is_of_session(inner):
        return "is from a notebook or prompt, where other functions may have its name"
    return None


def own_name(function: Any) -> str:
    """Return the name of a function that no other has. Raises TypeError."""
    reason = _reason_against(function)
    if reason is not None:
        raise TypeError(
            f"{function!r} {reason}: keys begin with a name, so {_WAYS_OUT}"
        )
    return name_of(function)


def group_name(function: Any) -> str:
    """Return a name that others may have, too."""
    named = hasattr(function, "__qualname__") and function.__module__ is not None
    return name_of(function if named else type(function))


# ------------------------------------------------------------------ in this process


def _contains(outer: CodeType, inner: object) -> bool:
    return any(
        one is inner or (isinstance(one, CodeType) and _contains(one, inner))
        for one in outer.co_consts
    )


def _running() -> Iterator[CodeType]:
    frame: Optional[FrameType] = sys._getframe(1)
    while frame is not None:
        yield frame.f_code
        frame = frame.f_back


def _defined(function: Any) -> _Definition:
    inner = inspect.unwrap(function)
    code = getattr(inner, "__code__", inner)
    scopes = weakref.WeakSet(one for one in _running() if _contains(one, code))
    return _Definition(code, scopes, is_of_session(inner))


def _replaces(new: _Definition, old: _Definition) -> bool:
    """Tell whether that is the old function, changed since."""
    if new.in_session:
        return not new.scopes & old.scopes
    files = [getattr(one.code, "co_filename", None) for one in (new, old)]
    return bool(new.scopes) and not new.scopes & old.scopes and files[0] == files[1]


def claim(place: tuple[str, ...], name: str, function: Any) -> None:
    """Take a name for a function.

    Raises TypeError when another function of this process has it.
    """
    taken = (*place, name)
    new = _defined(function)
    old = _taken.setdefault(taken, new)
    if old.code == new.code:
        return
    if not _replaces(new, old):
        raise TypeError(
            f"{function!r} has the name {name!r}, like another function of this "
            f"process, and would share its results: {_WAYS_OUT}"
        )
    _taken[taken] = new
