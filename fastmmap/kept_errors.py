"""Exceptions that are kept in a cache: what a pickle of them leaves out.

Notes and attributes are in the pickle, cause and traceback are not. The cause
goes along as a pair; a traceback cannot.
"""

import pickle
from typing import Any, NamedTuple, Optional

from fastmmap.unreadable import is_of_signal

#: Causes of causes that go along.
_DEPTH_MAX = 16


class Kept(NamedTuple):
    """An exception and its cause, which is another of these."""

    error: BaseException
    cause: Optional["Kept"]
    hides_context: bool

    def restore(self) -> BaseException:
        """Return the exception with its cause."""
        if self.cause is not None:
            self.error.__cause__ = self.cause.restore()
        self.error.__suppress_context__ = self.hides_context
        return self.error


def survives(error: BaseException) -> bool:
    """Tell whether an exception comes out of a pickle as it went in."""
    try:
        return type(pickle.loads(pickle.dumps(error))) is type(error)
    except Exception as failure:
        if is_of_signal(failure):
            raise
        return False


def _keep(error: BaseException, depth: int) -> Kept:
    cause = error.__cause__
    kept = None
    if cause is not None and depth < _DEPTH_MAX and survives(cause):
        kept = _keep(cause, depth + 1)
    return Kept(error, kept, error.__suppress_context__)


def keep(error: BaseException) -> Any:
    """Return what to store of an exception: itself where nothing would be lost."""
    plain = error.__cause__ is None and not error.__suppress_context__
    return error if plain else _keep(error, 0)


def restore(stored: Any) -> BaseException:
    """Return the exception that was stored."""
    error: BaseException = stored.restore() if isinstance(stored, Kept) else stored
    return error
