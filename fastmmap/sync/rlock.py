"""`RLock`: a lock that its holder may take again."""

import os
import threading
import weakref
from typing import Any, Optional, Union

from fastmmap.errors import LockError
from fastmmap.keyspace import Keyspace
from fastmmap.sync.acquirable import Acquirable, caller
from fastmmap.sync.leased import Holder
from fastmmap.sync.lock import Lock
from fastmmap.types import Lifetime


class _Nesting:
    """The locks of one name that each thread or task of this process has."""

    def __init__(self, cache: Keyspace) -> None:
        self.cache = cache  # it lives as long as its id is used
        #: As often as it was taken: the one that was taken first, which is held.
        self.taken: dict[tuple[int, object], list[Lock]] = {}


_nestings: "weakref.WeakValueDictionary[tuple[int, str], _Nesting]" = (
    weakref.WeakValueDictionary()
)
_guard = threading.Lock()  #: of `_nestings`


def _renew_guard() -> None:
    """Let no child wait for a thread that it has not got."""
    global _guard
    _guard = threading.Lock()


os.register_at_fork(after_in_child=_renew_guard)


def _me() -> tuple[int, object]:
    """Return who is running; a forked child is somebody else."""
    return os.getpid(), caller()


def _nesting_of(cache: Keyspace, name: str) -> _Nesting:
    """Return what all objects of one name and cache object share."""
    with _guard:
        place = (id(cache), name)
        found = _nestings.get(place)
        if found is None:
            found = _nestings[place] = _Nesting(cache)
        return found


class RLock(Acquirable):
    """A lock by name that the thread or task which has it may take again.

    It is like `threading.RLock` for all processes that have the cache open. Only
    the thread, or the asyncio task, that has it may release it, and has to as
    often as it took it. Objects of one name and one cache object nest into each
    other; the first of them that was taken says how long it may last. A `Lock` of the
    same name is the same lock, and does not nest.

    Args:
        cache, name, lease_time, timeout: As of `Lock`.

    Raises:
        TypeError, ValueError: An argument is out of its range.
    """

    def __init__(
        self,
        cache: Keyspace,
        name: str,
        *,
        lease_time: Lifetime = "never",
        timeout: Union[int, float, None] = None,
    ) -> None:
        super().__init__(timeout)
        self._lock = Lock(cache, name, lease_time=lease_time, timeout=timeout)
        self._nesting = _nesting_of(cache, name)

    @property
    def name(self) -> str:
        """The name that it was made with."""
        return self._lock.name

    def _attempt(self) -> bool:
        me = _me()
        taken = self._nesting.taken.get(me)
        if taken:
            taken.append(taken[0])
        elif self._lock.acquire(blocking=False):
            self._nesting.taken[me] = [self._lock]
        else:
            return False
        return True

    def _taken(self) -> list[Lock]:
        """Return what the caller has."""
        taken = self._nesting.taken.get(_me())
        if not taken:
            raise LockError(f"{self!r} is not held by this thread or task")
        return taken

    def release(self) -> None:
        """Give it back once; it is free after as many times as it was taken.

        Raises:
            LockError: This thread or task does not have it.
            LockLost: It had it, and it ended before; see `Lock.release`.
        """
        taken = self._taken()
        lock = taken.pop()
        if not taken:
            del self._nesting.taken[_me()]
            lock.release()

    def extend(self, lease_time: Lifetime = None) -> None:
        """Let the time that one may have it begin anew; see `Lock.extend`."""
        self._taken()[0].extend(lease_time)

    def holder(self) -> Optional[Holder]:
        """Return who has it; see `Lock.holder`."""
        return self._lock.holder()

    def locked(self) -> bool:
        """Return whether anybody has it, the caller too."""
        return self._lock.locked()

    def __repr__(self) -> str:
        """Return its state, its name, and which process has it."""
        lock = repr(self._lock).replace("sync.Lock", "sync.RLock", 1)
        return lock.rpartition(" at ")[0] + f" at {id(self):#x}>"

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what this process holds: a copy holds nothing."""
        return {"_timeout": self._timeout, "_lock": self._lock}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Share what this process holds."""
        self.__dict__.update(state)
        self._nesting = _nesting_of(self._lock._cache, self._lock.name)
