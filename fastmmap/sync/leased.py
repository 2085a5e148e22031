"""What `Lock` and `Semaphore` have in common: leases on some keys.

A lease is taken by one step in the cache, and ends with the process that took it.
Each object knows the leases that were taken through it, and by which thread or
task: so that one whose lease was lost does not give back that of the next.
"""

import os
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, Optional, Union

from fastmmap import single_flight
from fastmmap.errors import Error, LockError, LockLost
from fastmmap.keyspace import Keyspace
from fastmmap.sync.acquirable import Acquirable, caller
from fastmmap.types import Lifetime


class Hold(NamedTuple):
    """One lease that this object has taken."""

    key: str
    token: int
    process: int
    caller: object


class Holder(NamedTuple):
    """Who has a lock: the id of the process, since when, and until when at most.

    Both moments are seconds since 1970; ``since`` is a whole second.
    """

    pid: int
    since: float
    until: float


class Leased(Acquirable):
    """Something that is to be had as often as it has keys.

    ``_not_held`` is what a release raises of what is not held.

    Args:
        cache: The cache that all who share it have open.
        name: What it is called, in messages.
        keys: One for each time that it is to be had.
        lease_time: How long one may have it, at most; "never" is a day.
        timeout: Seconds to wait, or ``None``.
    """

    _not_held: type[Exception] = LockError

    def __init__(
        self,
        cache: Keyspace,
        name: str,
        keys: list[str],
        lease_time: Lifetime,
        timeout: Union[int, float, None],
    ) -> None:
        super().__init__(timeout)
        self._cache, self._name, self._keys = cache, name, keys
        self._lease_ms = single_flight.lease_ms(lease_time)
        self._holds: list[Hold] = []

    @property
    def name(self) -> str:
        """The name that it was made with."""
        return self._name

    def _attempt(self) -> bool:
        first = random.randrange(len(self._keys))
        for key in self._keys[first:] + self._keys[:first]:
            outcome, token = self._cache._lease_take(key, self._lease_ms)
            if outcome == "taken":
                self._holds.append(Hold(key, token, os.getpid(), caller()))
                return True
            if outcome != "leased":
                self._refuse(key, outcome)
        return False

    def _refuse(self, key: str, outcome: str) -> None:
        """Say why the cache gave no lease."""
        why = "holds a value" if outcome == "exists" else "has no room in its page"
        raise LockError(
            f"{self._cache.share_file}: {self._name!r} is not to be had: key {key!r} "
            f"{why}; give locks a cache file of their own"
        )

    def _held(self) -> list[Hold]:
        """Return what this process has got through this object."""
        process = os.getpid()
        return [hold for hold in self._holds if hold.process == process]

    def _next_hold(self) -> Hold:
        """Return what is released next: the caller's own, if it has one."""
        me, holds = caller(), self._held()
        if not holds:
            raise self._not_held(f"{self!r} is not held through this object")
        return next((hold for hold in holds if hold.caller == me), holds[0])

    def _drop_hold(self) -> Hold:
        """Return what is released next, and no other thread has it any more."""
        while True:
            hold = self._next_hold()
            with suppress(ValueError):  # another thread released it just now
                self._holds.remove(hold)
                return hold

    def _refuse_lost(self) -> None:
        raise LockLost(
            f"{self._cache.share_file}: {self._name!r} was lost before it was "
            "released: its time was over, or the cache was cleared, replaced, or had "
            "a page full of leases; others may have had it meanwhile"
        )

    def release(self) -> None:
        """Give it back; another thread may do that than the one that got it.

        Raises:
            LockError: It is not held through this object, in this process.
            LockLost: It was held, and ended before: it may have been had by
                others meanwhile.
        """
        hold = self._drop_hold()
        if not self._cache._lease_release(hold.key, hold.token):
            self._refuse_lost()

    def extend(self, lease_time: Lifetime = None) -> None:
        """Let the time that one may have it begin anew, now.

        Args:
            lease_time: How long, instead of the time given to the constructor.

        Raises:
            LockError: It is not held through this object, in this process.
            LockLost: It ended before, and another has or had it.
        """
        hold, ms = self._next_hold(), self._lease_ms
        if lease_time is not None:
            ms = single_flight.lease_ms(lease_time)
        if not self._cache._lease_extend(hold.key, hold.token, ms):
            self._refuse_lost()

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
        return {**self.__dict__, "_holds": []}

    def __del__(self, _process: Callable[[], int] = os.getpid) -> None:
        """Give back what is held: nobody else could.

        Also when the interpreter ends and this module is empty already.
        """
        process = _process()
        for hold in getattr(self, "_holds", ()):
            if hold.process == process:
                try:
                    self._cache._lease_release(hold.key, hold.token)
                except Error:  # closed by now: it ends with the process
                    pass
