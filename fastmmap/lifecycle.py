"""Work at the end: emptying, unlinking, a warning about unclosed caches.

Caches that have such work close themselves when they are collected; this
module closes those that are still there at exit. Forked children have copies
of them, whose `close()` knows which work is not theirs.
"""

import atexit
import os
import sys
import threading
import warnings
import weakref
from typing import TYPE_CHECKING, Optional

from fastmmap import callbacks

if TYPE_CHECKING:
    from fastmmap.cache import FastMmap

#: The caches to close, and the processes that registered them.
_caches: "weakref.WeakKeyDictionary[FastMmap, int]" = weakref.WeakKeyDictionary()
_finalizer_pid = 0
_atexit_runs = False
#: The last of all finalizers of multiprocessing: those of its queues, which wait
#: for the threads that pickle what was put, come at -5.
_PRIORITY = -sys.maxsize


def _close(cache: "FastMmap") -> None:
    """Close one; its failure is logged, and keeps no other from being closed."""
    try:
        cache.close()
    except Exception as error:
        callbacks.log_unclosable(cache.share_file, error)


def _close_all() -> None:
    for cache in list(_caches):
        _close(cache)


class _Last:
    """Closes all caches when the last of all atexit functions has run.

    The interpreter calls them in the reverse order of their registration, and so
    ours before those that were registered before this module was imported. It
    drops what it holds of them only when all have run: this is an argument of
    ours, and nothing else refers to it.
    """

    def __del__(self) -> None:
        """Close, unless atexit was cleared and not run, as in some daemons."""
        if _atexit_runs:
            _close_all()


def _note_exit(last: _Last) -> None:
    global _atexit_runs
    _atexit_runs = True


def _close_all_of_child() -> None:
    """Close all, where atexit functions are not run.

    Elsewhere this is called too, but out of turn: before the atexit functions
    of users. The child ends only after its threads, except daemons:
    the caches are theirs till then.
    """
    from multiprocessing.process import parent_process

    if parent_process() is None:
        return
    if not _awaited_threads():
        _close_own()
        return
    try:
        _Closer(target=_close_after_others, name="fastmmap-close").start()
    except RuntimeError:  # no room for one more
        _close_own()


def _other_threads() -> list[threading.Thread]:
    spared = threading.main_thread(), threading.current_thread()
    return [thread for thread in threading.enumerate() if thread not in spared]


def _awaited_threads() -> list[threading.Thread]:
    """Return those that the end of the process waits for."""
    return [thread for thread in _other_threads() if not thread.daemon]


class _Closer(threading.Thread):
    """A thread that the end of the process waits for, and no other thread.

    One that joins all others would wait for this one, and this one for it. So it
    is not among those that ``threading.enumerate()`` lists, except for a moment.
    """

    def run(self) -> None:
        """Run unlisted."""
        number = threading.get_ident()
        listed = threading._active  # type: ignore[attr-defined]  # not in the stubs
        listed.pop(number, None)
        try:
            super().run()
        finally:
            listed[number] = self  # its end removes it

    def join(self, timeout: Optional[float] = None) -> None:
        """Return at once: whoever saw it in that moment must not wait for it."""


def _close_after_others() -> None:
    """Close all, in a thread that the end of the process waits for, too."""
    while others := _awaited_threads():
        others[0].join()
    _close_own()


def _close_own() -> None:
    """Close what this process made.

    What it inherited stays open while other threads may use it: the next process
    that makes a private cache removes the file.
    """
    alone = not _other_threads()
    for cache, pid in list(_caches.items()):
        if alone or pid == os.getpid():
            _close(cache)


def _register_finalizer(_: object) -> None:
    """Let multiprocessing close the caches of this process, if it is its child.

    Such a child runs no atexit functions, only finalizers, and forgets those that
    it had before it began; any other process runs its atexit functions.
    """
    from multiprocessing.util import Finalize

    global _finalizer_pid
    _finalizer_pid = os.getpid()
    Finalize(None, _close_all_of_child, exitpriority=_PRIORITY)


def register(cache: "FastMmap") -> None:
    """Close `cache` when this process ends, unless it is gone by then."""
    from multiprocessing.util import register_after_fork

    if _finalizer_pid == 0:
        register_after_fork(_caches, _register_finalizer)
    _caches[cache] = os.getpid()
    if _finalizer_pid != os.getpid():
        _register_finalizer(_caches)


def warn_unclosed(cache: "FastMmap", opener: int) -> None:
    """Warn that a cache goes unclosed, in the process that opened it."""
    if opener == os.getpid():
        # Level 3 is where the last reference went: past __del__ and this.
        warnings.warn(
            f"unclosed cache {cache!r}", ResourceWarning, stacklevel=3, source=cache
        )


atexit.register(_note_exit, _Last())
