"""`Semaphore`: a number of holders at a time, in all processes."""

from typing import Union

from fastmmap import _core
from fastmmap.keyspace import Keyspace
from fastmmap.sync.leased import Holder, Leased
from fastmmap.sync.naming import key_of, names_of
from fastmmap.types import Lifetime


class Semaphore(Leased):
    """A number of permits, shared by all processes, by name.

    It is like `threading.BoundedSemaphore` for all processes that have the cache open.
    Each permit is a separate lease, which ends with the process that holds it. So
    nobody can release more than was acquired.

    A waiter looks at every permit, again and again: some dozens
    are fine, thousands are not.

    Args:
        cache: The cache that all processes sharing the semaphore have open.
        name: Its name; any text.
        value: The number of permits, the same in every process.
        lease_time, timeout: As in `Lock`.

    Raises:
        TypeError, ValueError: An argument is out of its range.
    """

    _kind = _core.KIND_SEMAPHORE

    def __init__(
        self,
        cache: Keyspace,
        name: str,
        value: int = 1,
        *,
        lease_time: Lifetime = "never",
        timeout: Union[int, float, None] = None,
    ) -> None:
        if value < 1:
            raise ValueError(f"value is {value!r}: expected at least one permit")
        names = names_of(cache)
        keys = [key_of("semaphore", name, n, *names) for n in range(value)]
        super().__init__(cache, name, keys, lease_time, timeout)

    release = Leased._release_some

    def holders(self) -> list[Holder]:
        """Return the holders of the permits, a `Holder` each."""
        return self._holders()

    def free(self) -> int:
        """Return how many permits are free."""
        return len(self._keys) - len(self._holders())

    def locked(self) -> bool:
        """Return whether none is free."""
        return self.free() == 0

    def __repr__(self) -> str:
        """Return its name, and how many permits are free of how many."""
        holders, value = self._describe_holders(), len(self._keys)
        free = "closed" if holders is None else f"{value - len(holders)}/{value}"
        return (
            f"<fastmmap.sync.Semaphore object {self.name!r} at {id(self):#x}: "
            f"value={free}>"
        )
