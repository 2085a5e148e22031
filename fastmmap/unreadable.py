"""Values that cannot be read any more, say because their class has moved.

A deploy may leave thousands of them behind. What can do without them does, and
logs some: the first keys of each kind of error.
"""

import logging
import signal
from collections import Counter
from types import CodeType
from typing import Any, Optional

from fastmmap.types import Key

_logger = logging.getLogger("fastmmap")

#: Keys that are logged of one file with one error, and of one file at all.
_ALIKE_MAX = 10
_LINES_MAX = 100

#: What was logged in this process: keys, and how often what was wrong.
_told: dict[str, tuple[set[tuple[str, Key]], "Counter[str]"]] = {}


def _code_of(handler: Any) -> Optional[CodeType]:
    """Return the code of a signal handler, where it is one of Python."""
    handler = getattr(handler, "func", handler)  # of a partial
    if not hasattr(handler, "__code__"):
        handler = handler.__call__
    code = getattr(handler, "__code__", None)
    return code if isinstance(code, CodeType) else None


def is_of_signal(error: BaseException) -> bool:
    """Tell whether it came out of a signal handler."""
    handlers = map(signal.getsignal, signal.valid_signals())
    codes = {_code_of(handler) for handler in handlers if callable(handler)}
    step = error.__traceback__
    while step is not None:
        if step.tb_frame.f_code in codes:
            return True
        step = step.tb_next
    return False


def is_of_value(error: BaseException) -> bool:
    """Tell whether an exception says that a value cannot be read.

    Serializers raise whatever they like, so any `Exception` does, except those that
    come from the situation, not the value: a lack of memory, stack or time, an error
    of the operating system, and exceptions of signal handlers.
    """
    if not isinstance(error, Exception):
        return False
    if isinstance(error, (MemoryError, RecursionError, TimeoutError)):
        return False
    if isinstance(error, OSError) and error.errno is not None:
        return False
    return not is_of_signal(error)


def tell(outcome: str, key: Key, path: str, error: BaseException) -> bool:
    """Log that a value cannot be read, unless that was done; see `is_of_value`."""
    if not is_of_value(error):
        return False
    kind = f"{type(error).__name__}: {error}"
    keys, alike = _told.setdefault(path, (set(), Counter()))
    if (kind, key) in keys or alike[kind] >= _ALIKE_MAX or len(keys) >= _LINES_MAX:
        return True
    keys.add((kind, key))
    alike[kind] += 1
    last = alike[kind] == _ALIKE_MAX or len(keys) == _LINES_MAX
    _logger.warning(
        "the value of key %r of %s cannot be read, and is %s: %s%s",
        key,
        path,
        outcome,
        kind,
        "; more such values are not logged" if last else "",
        exc_info=error,
    )
    return True
