"""Computations that wait for each other: found, and ended by an error in one.

While code that computes a key waits for another key, it says so in the cache: its
lease waits for that lease. Who waits so follows the chains from lease to lease; a
chain that leads back is a circle, in which nobody would ever go on. It may go through
any number of threads, tasks and processes, and of files: it is said in those of both
leases, and looked up in all in which this process waits.

What is said lasts a second and is renewed, so that those who were killed say nothing
for long. A circle counts when all of it was renewed since it was first seen. The
member with the largest token gets the error; the others go on.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final, Optional
from weakref import WeakValueDictionary

from fastmmap import _core
from fastmmap.errors import Error, LockError, PageBusy

#: Seconds of waiting before anything is said, and between two looks after that.
_PATIENCE: Final = 0.05
_INTERVAL: Final = 0.1
#: How long it is said, ms.
_LASTS_MS: Final = 1000
#: The most leases that are looked at.
_MOST: Final = 200
#: One computation may wait in several tasks or threads: so many are told apart.
_PLACES: Final = 16
#: After so many free places no more are looked at.
_FREE: Final = 4
_MASK: Final = 2**64 - 1

#: Tokens of a circle, each with the moment until which it is said to wait.
_Circle = dict[int, int]

#: By its path, each file in which somebody of this process waited.
_files: WeakValueDictionary[str, _core.Keyspace] = WeakValueDictionary()
#: Who of this process says something of a token, by that and the place.
_sayers: dict[tuple[int, int], "Watch"] = {}
os.register_at_fork(after_in_child=_sayers.clear)


def _place_for(token: int, watch: "Watch") -> int:
    """Return a place of that lease for one who waits, of its own if one is free."""
    for place in range(_PLACES - 1):
        if _sayers.setdefault((token, place), watch) is watch:
            return place
    return _PLACES - 1


def _name_of(token: int, place: int) -> int:
    """Return the number under which it is said; tokens are random, and far apart."""
    return token + place & _MASK


def _look_at(name: int) -> Optional[tuple[int, int]]:
    """Return what is said under a number, in whichever of the files it is."""
    for cache in list(_files.values()):
        with suppress(Error, PageBusy):  # closed, or a page that is busy
            said = _core.attempt(0, cache._wait_look, name)
            if said is not None:
                return said
    return None


def _look_for(token: int) -> Iterator[tuple[int, int]]:
    """Yield what a lease waits for. Where places are free, few are taken behind."""
    free = 0
    for place in range(_PLACES):
        said = _look_at(_name_of(token, place))
        free = 0 if said is not None else free + 1
        if said is not None:
            yield said
        if free == _FREE:
            return


class Watch:
    """What one caller says while it waits, and whether it waits in a circle.

    Args:
        wanted: The lease that it waits for.
        held: Returns those that its code computes, now.
    """

    def __init__(
        self, wanted: _core.Lease, held: Callable[[], Sequence[_core.Lease]]
    ) -> None:
        self._wanted = wanted
        self._find_held = held
        self._held: dict[int, _core.Lease] = {}
        self._said: dict[int, _core.Lease] = {}
        self._places: dict[int, int] = {}
        self._due = _PATIENCE
        self._seen: _Circle = {}

    def __enter__(self) -> "Watch":
        """Say nothing yet."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Say it no longer."""
        for token, place in self._places.items():
            if _sayers.get((token, place)) is self:
                del _sayers[token, place]
            for cache in self._caches(token):
                with suppress(Error, PageBusy):  # it is over in a second anyway
                    _core.attempt(1, cache._wait_end, _name_of(token, place))

    def _caches(self, token: int) -> tuple[_core.Keyspace, _core.Keyspace]:
        """Return where it is said of that lease that it waits."""
        return self._said[token].cache, self._wanted.cache

    def look(self, other: int, seconds: float) -> None:
        """Look around after so many seconds of waiting for a lease.

        Raises LockError when this caller is the one to leave a circle.
        """
        self._due -= seconds
        if self._due > 0:
            return
        self._due = _INTERVAL
        self._held = {one.token: one for one in self._find_held() if one.token}
        if not self._held:
            return
        circle: _Circle = {}
        with suppress(Error, PageBusy):  # next time
            self._say(other)
            circle = self._find(other)
        if circle.keys() != self._seen.keys():
            self._seen = circle
        elif self._is_to_leave(circle):
            self._refuse(circle)

    def _say(self, other: int) -> None:
        self._said.update(self._held)
        for token in self._held:
            if token not in self._places:
                self._places[token] = _place_for(token, self)
            name = _name_of(token, self._places[token])
            for cache in self._caches(token):
                _files[cache.share_file] = cache
                _core.attempt(1, cache._wait_publish, name, other, _LASTS_MS)

    def _find(self, other: int) -> _Circle:
        """Follow the chains; return the circle if one leads back to this caller."""
        chains: list[_Circle] = [{}]
        tokens, known = [other], {other}
        while tokens and len(known) < _MOST:
            token, chain = tokens.pop(), chains.pop()
            for following, until in _look_for(token):
                longer = {**chain, token: until}
                if following in self._held:
                    return {**longer, following: 0}
                if following not in known:
                    known.add(following)
                    tokens.append(following)
                    chains.append(longer)
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
            f"code that waits, directly or indirectly, for key {held.key!r}, which "
            "this code computes: a deadlock"
        )
