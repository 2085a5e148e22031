"""Computations that wait for each other: found, and ended by an error in one.

While code that computes a key waits for another key, it says so in the cache: its
lease waits for that lease. Who waits so follows the chain from lease to lease; a
chain that leads back is a circle, in which nobody would ever go on. It may go through
any number of threads, tasks and processes.

What is said lasts a second and is renewed, so that those who were killed say nothing
for long. A circle counts when all of it was renewed since it was first seen. The
member with the largest token gets the error; the others go on.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Optional

from fastmmap import _core
from fastmmap.errors import Error, LockError

#: Seconds of waiting before anything is said, and between two looks after that.
_PATIENCE: Final = 0.05
_INTERVAL: Final = 0.1
#: How long it is said, ms.
_LASTS_MS: Final = 1000
#: The longest chain that is followed.
_LONGEST: Final = 1000

#: Tokens of a circle, each with the moment until which it is said to wait.
_Circle = dict[int, int]


class Watch:
    """What one caller says while it waits, and whether it waits in a circle.

    Args:
        wanted: The lease that it waits for.
        held: Those that it has.
    """

    def __init__(self, wanted: _core.Lease, held: Sequence[_core.Lease]) -> None:
        self._wanted = wanted
        self._held = {lease.token: lease for lease in held if lease.token}
        self._due = _PATIENCE
        self._seen: _Circle = {}
        self._said = False

    def __enter__(self) -> "Watch":
        """Say nothing yet."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Say it no longer."""
        if self._said:
            for token, lease in self._held.items():
                with suppress(Error):  # it is over in a second anyway
                    lease.cache._wait_end(token)

    def look(self, other: int, seconds: float) -> None:
        """Look around after so many seconds of waiting for a lease.

        Raises LockError when this caller is the one to leave a circle.
        """
        self._due -= seconds
        if self._due > 0 or not self._held:
            return
        self._due = _INTERVAL
        circle: _Circle = {}
        with suppress(Error):  # a page that is busy: next time
            self._say(other)
            circle = self._find(other)
        if circle.keys() != self._seen.keys():
            self._seen = circle
        elif self._is_to_leave(circle):
            self._refuse(circle)

    def _say(self, other: int) -> None:
        self._said = True
        for token, lease in self._held.items():
            lease.cache._wait_publish(token, other, _LASTS_MS)

    def _look_for(self, token: int) -> Optional[tuple[int, int]]:
        """Return what is said of a lease, in whichever of the files it is."""
        leases = (self._wanted, *self._held.values())
        caches = {lease.cache.share_file: lease.cache for lease in leases}
        found = (cache._wait_look(token) for cache in caches.values())
        return next((said for said in found if said is not None), None)

    def _find(self, other: int) -> _Circle:
        """Follow the chain; return the circle if it leads back to this caller."""
        circle: _Circle = {}
        while other not in circle and len(circle) < _LONGEST:
            said = self._look_for(other)
            if said is None:
                return {}
            following, circle[other] = said
            if following in self._held:
                return {**circle, following: 0}
            other = following
        return {}

    def _is_to_leave(self, circle: _Circle) -> bool:
        """Tell whether all others go on waiting, and the error is this caller's."""
        seen = self._seen
        renewed = (circle[one] > seen[one] for one in circle if one not in self._held)
        return bool(circle) and max(circle) in self._held and all(renewed)

    def _refuse(self, circle: _Circle) -> None:
        held = self._held[max(circle)]
        raise LockError(
            f"{self._wanted.cache.share_file}: key {self._wanted.key!r} is computed by "
            f"code that waits, itself or by way of others, for key {held.key!r}, which "
            "this code computes: nobody would ever go on"
        )
