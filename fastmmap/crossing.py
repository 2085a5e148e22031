"""Computations that wait for each other: found, and ended by an error in one.

While code that computes a key waits for another key, it says so: its lease waits for
that lease. Such a waiter follows the chains from lease to lease. A chain that leads
back is a cycle, in which nobody would ever continue. The member with the largest token
gets the error, and the others continue. So a chain is followed only as far as tokens
are smaller than the own ones: all members of a cycle together do little more than one.

Of the computations of this process that is known in its memory. For other processes
it is said in the cache, in the files of both leases, and looked up in all files in
which this process waits. If the two files differ, the links behind the one are copied
into the other, so that a cycle may lead through more files than
any of its members has open.

What is said lasts a second and is renewed, so that those who were killed say nothing
for long. A circle counts when all of it was renewed since it was first seen.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final, Optional
from weakref import WeakValueDictionary

from fastmmap import _core
from fastmmap.errors import Error, LockError, PageBusy
from fastmmap.types import Key

#: Seconds of waiting before anything is said, and between two looks after that.
_PATIENCE: Final = 0.05
_INTERVAL: Final = 0.1
#: How long it is said, ms.
_LASTS_MS: Final = 1000
#: The most leases that are looked at, of those with smaller tokens.
_MOST: Final = 4096
#: The most of which is handed on what they wait for.
_HANDED: Final = 32
#: One computation may wait in several tasks or threads: other processes can tell so
#: many apart.
_PLACES: Final = 16
#: After so many free places no more are looked at.
_FREE: Final = 4
_MASK: Final = 2**64 - 1

#: What a lease waits for, and the moment until which that is said, ms since 1970.
_Wait = tuple[int, int]
#: Tokens of a circle, each with that moment.
_Circle = dict[int, int]

#: By its path, each file in which somebody of this process waited.
_files: WeakValueDictionary[str, _core.Keyspace] = WeakValueDictionary()
#: By its token, each computation of this process that waits, or has waited.
_computations: WeakValueDictionary[int, "Computation"] = WeakValueDictionary()
os.register_at_fork(after_in_child=_computations.clear)


class Computation(_core.Lease):
    """A lease whose code may wait for others, in several tasks or threads at a time."""

    def __init__(self, cache: _core.Keyspace, key: Key, ms: int) -> None:
        super().__init__(cache, key, ms)
        #: Who waits, by the place where that is said to other processes.
        self.waits: dict[int, Watch] = {}

    def place_for(self, watch: "Watch") -> int:
        """Return the first free place, which is that caller's from now on."""
        for place in range(_PLACES - 1):
            if self.waits.setdefault(place, watch) is watch:
                return place
        self.waits[id(watch)] = watch
        return id(watch)


def _name_of(token: int, place: int) -> int:
    """Return the number under which it is said; tokens are random, and far apart."""
    return token + min(place, _PLACES - 1) & _MASK


def _publish(cache: _core.Keyspace, name: int, other: int, ms: int) -> None:
    with suppress(Error, PageBusy):  # next time
        _core.attempt(1, cache._wait_publish, name, other, ms)


def _publish_newer(cache: _core.Keyspace, name: int, other: int, until: int) -> None:
    """Say it in another file, too, unless that is as new already."""
    with suppress(Error, PageBusy):
        said = _core.attempt(0, cache._wait_look, name)
        left = until - int(_core.now() * 1000)
        if left > 0 and (said is None or said[1] < until):
            _publish(cache, name, other, left)


def _look_at(name: int) -> Optional[_Wait]:
    """Return what is said under a number, in whichever of the files it is."""
    for cache in list(_files.values()):
        with suppress(Error, PageBusy):  # closed, or a page that is busy
            said = _core.attempt(0, cache._wait_look, name)
            if said is not None:
                return said
    return None


def _look_in_files(token: int) -> Iterator[_Wait]:
    """Yield what a lease waits for. Where places are free, few are taken behind."""
    free = 0
    for place in range(_PLACES):
        said = _look_at(_name_of(token, place))
        free = 0 if said is not None else free + 1
        if said is not None:
            yield said
        if free == _FREE:
            return


def _look_for(token: int) -> Iterator[_Wait]:
    """Yield what a lease waits for: that of this process is known here."""
    here = _computations.get(token)
    if here is None or here.token != token:
        return _look_in_files(token)
    return iter([watch.wait for watch in list(here.waits.values())])


class Watch:
    """What one caller says while it waits, and whether it waits in a circle.

    Args:
        wanted: The lease that it waits for.
        held: Returns those that its code computes, now.
    """

    def __init__(
        self, wanted: _core.Lease, held: Callable[[], Sequence[Computation]]
    ) -> None:
        self._wanted = wanted
        self._find_held = held
        self._held: dict[int, Computation] = {}
        self._said: dict[int, tuple[Computation, int]] = {}
        self._due = 0.0
        self._seen: _Circle = {}
        #: What it waits for, for the others of this process.
        self.wait: _Wait = (0, 0)

    def __enter__(self) -> "Watch":
        """Say nothing yet."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Say it no longer."""
        for token, (lease, place) in self._said.items():
            lease.waits.pop(place, None)
            self._end(lease, _name_of(token, place))

    def _caches(self, lease: Computation) -> list[_core.Keyspace]:
        """Return where it is said of that lease that it waits."""
        caches = (self._wanted.cache, lease.cache)
        return list({cache.share_file: cache for cache in caches}.values())

    def look(self, other: int) -> None:
        """Look around now and then, while it waits for a lease.

        Raises LockError when this caller is the one to leave a circle.
        """
        now = _core.monotonic()
        if now < self._due or not self._due:
            self._due = self._due or now + _PATIENCE
            return
        self._due = now + _INTERVAL
        self._held = {one.token: one for one in self._find_held() if one.token}
        if not self._held:
            return
        self.wait = other, int(_core.now() * 1000) + _LASTS_MS
        self._say(other)
        circle = self._find(other)
        if circle and circle.keys() == self._seen.keys() and self._goes_on(circle):
            self._refuse(circle)
        if circle.keys() != self._seen.keys():
            self._seen = circle

    def _say(self, other: int) -> None:
        """Say it to this process, and to the others."""
        for token, lease in self._held.items():
            name = _name_of(token, self._settle(token, lease))
            caches = self._caches(lease)
            for cache in caches:
                _files[cache.share_file] = cache
                _publish(cache, name, other, _LASTS_MS)
            if len(caches) > 1:
                self._hand_on(other, lease.cache)

    def _settle(self, token: int, lease: Computation) -> int:
        """Return the place where it is said: a lower one, where one became free."""
        place = lease.place_for(self)
        _, before = self._said.setdefault(token, (lease, place))
        self._said[token] = lease, place
        if place != before:
            lease.waits.pop(before, None)
            self._end(lease, _name_of(token, before))
        _computations[token] = lease
        return place

    def _end(self, lease: Computation, name: int) -> None:
        for cache in self._caches(lease):
            with suppress(Error, PageBusy):  # it is over in a second anyway
                _core.attempt(1, cache._wait_end, name)

    def _hand_on(self, other: int, cache: _core.Keyspace) -> None:
        """Say in the file of a computation what those wait for that it waits for."""
        tokens, known = [other], {other}
        for token in tokens:
            for place, (following, until) in enumerate(_look_for(token)):
                _publish_newer(cache, _name_of(token, place), following, until)
                if following not in known and len(known) < _HANDED:
                    known.add(following)
                    tokens.append(following)

    def _find(self, other: int) -> _Circle:
        """Follow the chains; return the circle that this caller is to leave, if any."""
        largest = max(self._held)
        tokens: list[int] = [other]
        before: dict[int, _Wait] = {other: (0, 0)}
        while tokens and len(before) < _MOST:
            token = tokens.pop()
            if token > largest:
                continue  # another's
            for following, until in _look_for(token):
                if following in self._held:
                    circle = self._lead_back(before, token, until)
                    if following > max(circle):
                        return {**circle, following: 0}
                elif following not in before:
                    before[following] = token, until
                    tokens.append(following)
        return {}

    def _lead_back(self, before: dict[int, _Wait], token: int, until: int) -> _Circle:
        """Return the chain that led to a lease which waits for one of this caller's."""
        chain: _Circle = {}
        while token:
            chain[token] = until
            token, until = before[token]
        return chain

    def _goes_on(self, circle: _Circle) -> bool:
        """Tell whether all others have said that they wait since it was first seen."""
        seen = self._seen
        return all(circle[one] > seen[one] for one in circle if one not in self._held)

    def _refuse(self, circle: _Circle) -> None:
        held = self._held[max(circle)]
        raise LockError(
            f"{self._wanted.cache.share_file}: key {self._wanted.key!r} is computed by "
            f"code that waits, directly or indirectly, for key {held.key!r}, which "
            "this code computes: a deadlock"
        )
