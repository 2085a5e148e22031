"""Names of functions and classes that are the same in every process."""

import sys
from os.path import abspath
from types import MethodType
from typing import Any, Optional

_PROGRAMS = ("__main__", "__mp_main__")


class Unstable(Exception):
    """Something in an argument has no spelling; its type is the argument."""


def _file_of_program(thing: Any) -> Optional[str]:
    """Return the file of the program that defines it; notebooks have none."""
    space = getattr(thing, "__globals__", None)
    if space is None:
        space = vars(sys.modules.get(thing.__module__, object))
    path = space.get("__file__")
    return path if isinstance(path, str) else None


def is_of_session(thing: Any) -> bool:
    """Tell whether it was written into a notebook or prompt: others have the name."""
    return thing.__module__ in _PROGRAMS and _file_of_program(thing) is None


def name_of(thing: Any) -> str:
    """Return module and name of a function or a class, the same everywhere.

    A program has other module names when it is run, imported or spawned by
    multiprocessing; there its file stands for the module.
    """
    module = thing.__module__
    if module in _PROGRAMS:
        path = _file_of_program(thing)
        module = abspath(path) if path else "__main__"
    return f"{module}.{thing.__qualname__}"


def _found_by_name(thing: Any) -> Any:
    found: Any = sys.modules.get(thing.__module__)
    for part in thing.__qualname__.split("."):
        found = getattr(found, part, None)
    return found


def name_of_function(thing: Any) -> str:
    """Return the name under which every process finds that function.

    Raises Unstable for one that has no such name: a lambda, one inside another
    function, one of an object.
    """
    bound = isinstance(thing, MethodType) or not getattr(thing, "__module__", None)
    if bound or is_of_session(thing) or _found_by_name(thing) is not thing:
        raise Unstable(type(thing))
    return name_of(thing)
