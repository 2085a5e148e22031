"""What `Lock` and `RLock` have in common: one has it at a time."""

from typing import Optional, Union

from fastmmap.keyspace import Keyspace
from fastmmap.sync.leased import Holder, Leased
from fastmmap.sync.naming import key_of, names_of
from fastmmap.types import Lifetime


class Exclusive(Leased):
    """Something that one caller has at a time, by name; arguments as in `Lock`."""

    def __init__(
        self,
        cache: Keyspace,
        name: str,
        *,
        lease_time: Lifetime = "never",
        timeout: Union[int, float, None] = None,
    ) -> None:
        keys = [key_of("lock", name, *names_of(cache))]
        super().__init__(cache, name, keys, lease_time, timeout)

    def holder(self) -> Optional[Holder]:
        """Return who has the lock.

        Returns:
            A `Holder`, or ``None`` when it is free.
        """
        return next(iter(self._holders()), None)

    def locked(self) -> bool:
        """Return whether anybody has the lock, the caller too."""
        return bool(self._holders())

    def __repr__(self) -> str:
        """Return its state, its name, and which process has it."""
        holders = self._describe_holders()
        state = "closed" if holders is None else "locked" if holders else "unlocked"
        by = f" by process {holders[0].pid}" if holders else ""
        kind = type(self).__name__
        return (
            f"<{state} fastmmap.sync.{kind} object {self.name!r}{by} at {id(self):#x}>"
        )
