"""`RLock`: a lock that its holder may take again."""

import os
import threading
import weakref
from collections.abc import Callable

from fastmmap import _core
from fastmmap.keyspace import Keyspace
from fastmmap.sync.exclusive import Exclusive

#: What this process holds, by cache object and name: it holds on to the cache, whose
#: id is used as long as that.
_shared: "weakref.WeakValueDictionary[tuple[int, str], _core.Holdings]" = (
    weakref.WeakValueDictionary()
)
_guard = threading.RLock()  #: of `_shared`; a signal handler may make one, too


def _renew_guard() -> None:
    """Let no child wait for a thread that it has not got."""
    global _guard
    _guard = threading.RLock()


os.register_at_fork(after_in_child=_renew_guard)


def _share(
    cache: Keyspace, key: str, make: Callable[[], _core.Holdings]
) -> _core.Holdings:
    """Return what all objects of one key and cache object share."""
    with _guard:
        place = (id(cache), key)
        found = _shared.get(place)
        return _shared.setdefault(place, make()) if found is None else found


class RLock(Exclusive):
    """A lock by name that the thread or task which has it may take again.

    It is like `threading.RLock` for all processes that have the cache open. Only
    the thread, or the task of asyncio or trio, that has it may release it, and has to
    as often as it took it. Objects of one name and one cache object nest into each
    other; the first of them that was taken says how long it may last. A `Lock` of the
    same name is the same lock, and does not nest.

    Args:
        cache, name, lease_time, timeout: As of `Lock`.

    Raises:
        TypeError, ValueError: An argument is out of its range.
    """

    _kind = 1

    def _make_holdings(self) -> _core.Holdings:
        return _share(self._cache, self._keys[0], super()._make_holdings)
