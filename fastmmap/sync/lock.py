"""`Lock`: one at a time, of all processes."""

from typing import Optional, Union

from fastmmap.keyspace import Keyspace
from fastmmap.sync.leased import Holder, Leased
from fastmmap.sync.naming import key_of
from fastmmap.types import Lifetime


class Lock(Leased):
    """A lock that one process, thread or task has at a time, by its name.

    It is like `threading.Lock` for all processes that have the cache open: not
    reentrant, and any thread of the holder's process may release it, through the
    same object. When the process that has it dies, it is free at once. So it is
    when the object that has it is forgotten.

    Args:
        cache: The cache that all who share the lock have open.
        name: What the lock is called; any text.
        lease_time: How long one may have it, in any spelling of a lifetime; then
            it is free for others, though its holder lives. "never" is a day, the
            longest there is; see `extend`.
        timeout: Seconds that `acquire`, ``with`` and ``async with`` wait; ``None``
            for as long as it takes.

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
        super().__init__(cache, name, [key_of("lock", name)], lease_time, timeout)

    def holder(self) -> Optional[Holder]:
        """Return who has the lock.

        Returns:
            A `Holder`, or ``None`` when it is free.
        """
        return next(iter(self._holders()), None)

    def locked(self) -> bool:
        """Return whether anybody has the lock."""
        return bool(self._holders())

    def __repr__(self) -> str:
        """Return its state, its name, and which process has it."""
        holders = self._describe_holders()
        state = "closed" if holders is None else "locked" if holders else "unlocked"
        by = f" by process {holders[0].pid}" if holders else ""
        return (
            f"<{state} fastmmap.sync.Lock object {self._name!r}{by} at {id(self):#x}>"
        )
