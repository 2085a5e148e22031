"""What is left for the end: emptying, unlinking, a word about the unclosed.

Caches that have such work close themselves when they are collected; this
module closes those that are still there at exit. Forked children have copies
of them, whose `close()` knows that the work is not theirs.
"""

import atexit
import os
import warnings
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastmmap.cache import FastMmap

_caches: "weakref.WeakSet[FastMmap]" = weakref.WeakSet()
_finalizer_pid = 0
#: multiprocessing runs finalizers of priority 0 and above before it waits for
#: non-daemon children, and in any order below: late enough for user code.
_PRIORITY = -1


def _close_all() -> None:
    for cache in list(_caches):
        cache.close()


def _close_all_of_child() -> None:
    """Close all, where atexit functions are not run.

    Elsewhere this is called too, but out of turn: before the atexit functions
    of users that were registered before the first cache was opened.
    """
    from multiprocessing.process import parent_process

    if parent_process() is not None:
        _close_all()


def register(cache: "FastMmap") -> None:
    """Close `cache` when this process ends, unless it is gone by then."""
    global _finalizer_pid
    _caches.add(cache)
    if _finalizer_pid == os.getpid():
        return
    # A multiprocessing child runs no atexit functions, only finalizers, and
    # forgets those of its parent; any other process runs its atexit functions.
    from multiprocessing.util import Finalize

    _finalizer_pid = os.getpid()
    Finalize(None, _close_all_of_child, exitpriority=_PRIORITY)


def warn_unclosed(cache: "FastMmap", opener: int) -> None:
    """Warn that a cache goes unclosed, in the process that opened it."""
    if opener == os.getpid():
        # Level 3 is where the last reference went: past __del__ and this.
        warnings.warn(
            f"unclosed cache {cache!r}", ResourceWarning, stacklevel=3, source=cache
        )


atexit.register(_close_all)
