"""`RLock`: a lock that its holder may take again."""

from fastmmap import _core
from fastmmap.sync.exclusive import Exclusive


class RLock(Exclusive):
    """A lock by name that its holder, a thread or task, may acquire again.

    It is like `threading.RLock` for all processes that have the cache open. Only the
    thread, or the task of asyncio or trio, that holds it may release it, and must do so
    as often as it acquired it. Objects of one name and one cache object nest; the first
    one acquired sets the lease time. A `Lock` of the same name is the same lock, and
    does not nest.

    Args:
        cache, name, lease_time, timeout: As in `Lock`.

    Raises:
        TypeError, ValueError: An argument is out of its range.
    """

    _kind = _core.KIND_RLOCK

    def _make_holdings(self) -> _core.Holdings:
        return _core.share(self._cache, self._keys, self._kind)
