"""What `Lock`, `RLock` and `Semaphore` have in common: leases on some keys.

A lease is taken by one step in the cache, and ends with the process that took it.
What this process holds is noted in C, in the same call: see `_core.Holdings`.
"""

from contextlib import suppress
from typing import Any, NamedTuple, Optional, Union

from fastmmap import _core, single_flight, waiting
from fastmmap.errors import Error
from fastmmap.keyspace import Keyspace
from fastmmap.types import Lifetime


class Holder(NamedTuple):
    """The holder of a lock: its process id, since when, and until when at most.

    Both moments are seconds since 1970; ``since`` is a whole second.
    """

    pid: int
    since: float
    until: float


class Leased(_core.Acquirable):
    """Something that can be held once per key.

    ``_kind`` says so to `_core.Holdings`. The keys of a namespace end when that is
    cleared, but held locks must not: the keys are those of the cache, and name the
    namespace.

    Args:
        cache: The cache that all processes sharing it have open, or a namespace of it.
        name: Its name in messages.
        keys: One for each time that it can be held, of the cache.
        lease_time: How long one caller may hold it, at most; "never" is a day.
        timeout: Seconds that `acquire`, ``with`` and ``async with`` wait; ``None``
            for as long as it takes.
    """

    _kind = _core.KIND_LOCK

    def __init__(
        self,
        cache: Keyspace,
        name: str,
        keys: list[str],
        lease_time: Lifetime,
        timeout: Union[int, float, None],
    ) -> None:
        waiting.check_timeout(timeout)
        self._cache, self._keys = cache._root, tuple(keys)
        self._lease_ms = single_flight.lease_ms(lease_time)
        self._begin(name, timeout)

    def _begin(self, name: str, timeout: Union[int, float, None]) -> None:
        """Hold nothing yet."""
        super().__init__(self._make_holdings(), name, self._lease_ms, timeout)

    def _make_holdings(self) -> _core.Holdings:
        return _core.Holdings(self._cache, self._keys, self._kind)

    def extend(self, lease_time: Lifetime = None) -> None:
        """Start its time again, now.

        Args:
            lease_time: How long, instead of the time given to the constructor.

        Raises:
            LockError: It is not held through this object, in this process; an
                `RLock`, by this thread or task.
            LockLost: It ended before, and another has or had it.
        """
        self._extend(None if lease_time is None else single_flight.lease_ms(lease_time))

    def _holders(self) -> list[Holder]:
        found = (self._cache._lease_peek(key) for key in self._keys)
        return [Holder(*lease) for lease in found if lease is not None]

    def _describe_holders(self) -> Optional[list[Holder]]:
        """Return who has it, for a message; ``None`` when the cache cannot tell."""
        with suppress(Error):
            return self._holders()
        return None

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what this process holds: a copy holds nothing."""
        return {**self.__dict__, "name": self.name, "timeout": self._timeout}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin to hold nothing."""
        name, timeout = state.pop("name"), state.pop("timeout")
        self.__dict__.update(state)
        self._begin(name, timeout)
