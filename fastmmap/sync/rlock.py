"""`RLock`: a lock that its holder may take again."""

from fastmmap import _core
from fastmmap.sync.exclusive import Exclusive


class RLock(Exclusive):
    """A lock by name that the thread or task which has it may take again.

    It is like `threading.RLock` for all processes that have the cache open. Only
    the thread, or the task of asyncio or trio, that has it may release it, and has to
    as often as it took it. Objects of one name and one cache object nest into each
    other; the first of them that was taken says how long it may last. A `Lock` of the
    same name is the same lock, and does not nest.

    Args:
        cache, name, lease_time, timeout: As in `Lock`.

    Raises:
        TypeError, ValueError: An argument is out of its range.
    """

    _kind = _core.KIND_RLOCK

    def _make_holdings(self) -> _core.Holdings:
        return _core.share(self._cache, self._keys, self._kind)
