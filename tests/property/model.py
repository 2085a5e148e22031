"""What a cache does, said once more, as plainly as can be.

Each method that ends in `_step` says what one call on one key returns, which
callbacks it makes and what it leaves, given the record that the key has. Time
is counted by the model; nothing is ever reclaimed behind its back. The one
thing that it cannot know is which clean entries a full cache has evicted:
`settle()` lets those be missing, and no others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Optional

VALUE, TOMBSTONE, MISSING = "value", "tombstone", "remembered as missing"
INT_MIN, INT_MAX = -(2**63), 2**63 - 1


@dataclass(frozen=True)
class Record:
    """What is stored under one key. `expire_on` None is never."""

    value: Any = None
    expire_on: Optional[float] = None
    modseq: Optional[int] = None
    dirty: bool = False
    kind: str = VALUE


class Raised(NamedTuple):
    """The outcome of a call that raised."""

    error: type[BaseException]


class Step(NamedTuple):
    """What a call returns, what it leaves, and which callbacks it makes."""

    result: Any
    record: Optional[Record]
    calls: tuple[tuple[object, ...], ...] = ()


class How(NamedTuple):
    """How to store. `expire_on` None is the default of the call."""

    mode: str = "set"
    expire_on: Optional[float] = None
    expire_given: bool = False
    modseq: Optional[int] = None


PLAINLY = How()
Old = Optional[Record]
Spec = Callable[[Old], Step]


def same(a: object, b: object) -> bool:
    """Tell whether two values are of the same type and say the same."""
    return type(a) is type(b) and repr(a) == repr(b)


@dataclass
class Model:
    """A cache whose records are in a dict.

    Keys of `records` are those of the cache; keys of multi_set() are pairs.
    """

    now: float
    lifetime: Optional[float] = None  #: seconds; None is never
    tombstone_lifetime: Optional[float] = None
    reads_back: bool = False  #: read_cb and delete_cb are there
    writes: bool = False  #: write_cb is there
    write_back: bool = False
    cache_not_found: bool = False
    may_evict: bool = False  #: the file is too small for all that is stored
    fits: Callable[[Any], bool] = lambda value: True
    takes: Callable[[Any], bool] = lambda value: True  #: the serializer does
    broken: bool = False  #: write_cb fails
    records: dict[Any, Record] = field(default_factory=dict)
    #: What else a record may be: a read tells no evicted tombstone from one.
    doubts: dict[Any, Record] = field(default_factory=dict)
    lost: int = 0
    in_store: set[Any] = field(default_factory=set)  #: names that write_cb took
    was_in_store: frozenset[Any] = frozenset()  #: before the call of now

    # ------------------------------------------------------------- records

    def live(self, old: Old) -> Old:
        """Return a record that has not expired, whatever its kind."""
        expired = old and old.expire_on is not None and old.expire_on <= self.now
        return None if expired else old

    def visible(self, old: Old) -> Old:
        """Return a value that a user can see."""
        old = self.live(old)
        return old if old and old.kind == VALUE else None

    def forget_missing(self, old: Old) -> Old:
        """Drop a mark that says that there is no value."""
        return None if self.is_mark(old) else old

    def is_mark(self, old: Old) -> bool:
        """Tell whether a record says that there is no value."""
        return bool(old and old.kind == MISSING and self.live(old))

    def shown(self) -> dict[Any, Record]:
        """Return all that iteration shows."""
        return {k: r for k, r in self.records.items() if self.visible(r)}

    def default_expiry(self) -> Optional[float]:
        return None if self.lifetime is None else self.now + self.lifetime

    # ------------------------------------------------------------- reading

    def exists_step(self, old: Old) -> Step:
        return Step(self.visible(old) is not None, old)

    def peek_step(self, old: Old, default: Any = None) -> Step:
        """Read without read_cb."""
        found = self.visible(old)
        return Step(found.value if found else default, old)

    def get_step(self, key: Any, old: Old, answer: Any, default: Any = None) -> Step:
        """Read; `answer` is what read_cb gives when it is asked."""
        if self.visible(old):
            return self.peek_step(old)
        known_missing = self.live(old) and self.live(old).kind == MISSING
        if not self.reads_back or known_missing:
            return Step(default, old)
        calls = (("read", key),)
        result = default if answer is None else answer
        if old and old.dirty:  # expired, and write_cb just failed for it
            return Step(result, old, calls)
        if not self.takes(answer):
            return Step(Raised(TypeError), old, calls)
        return Step(result, self.remember(old, answer), calls)

    def remember(self, old: Old, answer: Any) -> Old:
        """Return the record after read_cb has answered."""
        if answer is None and not self.cache_not_found:
            return old
        if self.is_refused(old, None) or not self.fits(answer):
            return old
        kind = MISSING if answer is None else VALUE
        return Record(answer, self.default_expiry(), kind=kind)

    # ------------------------------------------------------------- storing

    def is_refused(self, old: Old, modseq: Optional[int]) -> bool:
        """Tell whether what is there is newer. No modseq beats values only."""
        old = self.live(old)
        if old is None:
            return False
        if modseq is None:
            return old.kind == TOMBSTONE
        return old.modseq is not None and old.modseq > modseq

    def told(self, key: Any, value: Any, expire_on: Any, stored: bool) -> tuple:
        """Return the call of write_cb that a store makes at once."""
        if not self.writes or (stored and self.write_back):
            return ()
        return (("write", key, value, expire_on),)

    def store_step(self, key: Any, old: Old, value: Any, how: How) -> Step:
        """set, add, replace."""
        if how.mode != "set":
            old = self.forget_missing(old)
        expire_on = how.expire_on if how.expire_given else self.default_expiry()
        present = self.visible(old) is not None
        unwanted = {"set": False, "add": present, "replace": not present}
        if self.is_refused(old, how.modseq) or unwanted[how.mode]:
            return Step(False, old)
        if not self.fits(value):
            return self.unfit_step(key, old, value, expire_on)
        calls = self.told(key, value, expire_on, stored=True)
        new = Record(value, expire_on, how.modseq, dirty=self.write_back)
        return Step(True, new, calls)

    def unfit_step(self, key: Any, old: Old, value: Any, expire_on: Any) -> Step:
        """Tell write_cb of what finds no room: what is there is older then."""
        older = old and old.dirty and self.write_back
        if older and self.broken:  # write_cb just failed for it
            return Step(False, old)
        before = self.told(key, old.value, old.expire_on, stored=False) if older else ()
        calls = before + self.told(key, value, expire_on, stored=False)
        return Step(False, None if calls and not self.broken else old, calls)

    def assign_step(self, key: Any, old: Old, value: Any) -> Step:
        """cache[key] = value."""
        step = self.store_step(key, old, value, PLAINLY)
        return step._replace(result=None if step.result else Raised(ValueError))

    def change_step(self, key: Any, old: Old, value: Any, how: How) -> Step:
        """get_and_set, and a lock() block: the expiry is kept if none is given."""
        found = self.visible(old)
        if found and not how.expire_given:
            how = how._replace(expire_on=found.expire_on, expire_given=True)
        return self.store_step(key, old, value, how)

    def setdefault_step(self, key: Any, old: Old, answer: Any, value: Any) -> Step:
        absent = object()
        read = self.get_step(key, old, answer, absent)
        if read.result is not absent:
            return read
        step = self.store_step(key, read.record, value, How("add"))
        result = value if step.result else Raised(ValueError)
        return Step(result, step.record, read.calls + step.calls)

    def get_or_set_step(
        self, key: Any, old: Old, answer: Any, value: Any, how: Optional[How]
    ) -> Step:
        """Read, or compute and store; without `how` the key is removed meanwhile."""
        absent = object()
        read = self.get_step(key, old, answer, absent)
        if read.result is not absent:
            return read
        record = self.forget_missing(read.record)
        if how is None:
            return Step(value, None, read.calls + self.deleted(key, None))
        if self.is_refused(record, None):
            return Step(value, record, read.calls)
        step = self.store_step(key, record, value, how)
        return Step(value, step.record, read.calls + step.calls)

    def incr_step(self, key: Any, old: Old, delta: int, initial: int, how: How) -> Step:
        old = self.forget_missing(old)
        found = self.visible(old)
        if found and type(found.value) is not int:
            return Step(Raised(TypeError), old)
        total = (found.value if found else initial) + delta
        before = found.value if found else 0
        if not all(INT_MIN <= n <= INT_MAX for n in (total, before)):
            return Step(Raised(OverflowError), old)
        step = self.change_step(key, old, total, how if not found else PLAINLY)
        if not step.result:  # nothing is added, and the store hears of nothing
            return Step(Raised(ValueError), old)
        return step._replace(result=total)

    def touch_step(self, old: Old, how: How) -> Step:
        old = self.forget_missing(old)
        if not self.visible(old):
            return Step(False, old)
        expire_on = how.expire_on if how.expire_given else self.default_expiry()
        return Step(True, replace(old, expire_on=expire_on))

    # ------------------------------------------------------------ removing

    def deleted(self, key: Any, old: Old) -> tuple:
        """Return the call of delete_cb that a removal makes."""
        told = self.reads_back and (not (old and old.dirty) or self.knows(key))
        return (("delete", key),) if told else ()

    def knows(self, key: Any) -> bool:
        """Tell whether the store has a version of a key."""
        return key in self.was_in_store

    def remove_step(self, key: Any, old: Old, modseq: Optional[int], how: How) -> Step:
        old = self.forget_missing(old)
        found = self.visible(old)
        calls = self.deleted(key, old)
        if modseq is None:
            return Step(found is not None, None, calls)
        if found and found.modseq is not None and found.modseq >= modseq:
            return Step(True, old)  # a newer one: nothing is removed
        known = self.live(old) and self.live(old).modseq
        lifetime = self.tombstone_lifetime or self.lifetime
        expire_on = None if lifetime is None else self.now + lifetime
        grave = Record(
            expire_on=how.expire_on if how.expire_given else expire_on,
            modseq=max(modseq, known or 0),
            kind=TOMBSTONE,
        )
        return Step(found is not None, grave, calls)

    def del_step(self, key: Any, old: Old) -> Step:
        """del cache[key]."""
        step = self.remove_step(key, old, None, PLAINLY)
        return step._replace(result=None if step.result else Raised(KeyError))

    def take_step(self, key: Any, old: Old, absent: Any) -> Step:
        """pop and get_and_remove: a tombstone is not there to be taken."""
        found = self.visible(old)
        if found is None:
            gone = old and self.live(old) and old.kind == MISSING
            return Step(absent, None if gone else old)
        return Step(found.value, None, self.deleted(key, old))

    def expire_step(self, old: Old) -> Step:
        """Return what expire() does once write_cb has had its chance."""
        old = self.forget_missing(old)
        if old and old.dirty:  # write_cb failed
            return Step(False, old)
        return Step(self.visible(old) is not None, None)

    def drop(self, only_expired: bool, keep_dirty: bool) -> int:
        """Drop records; return how many of them may have been no tombstones."""

        def stays(record: Record) -> bool:
            live = only_expired and self.live(record) is not None
            return live or (keep_dirty and record.dirty)

        count = 0
        for key, record in list(self.records.items()):
            doubt = self.doubts.pop(key, None)
            gone = [r for r in (record, doubt) if r is not None and not stays(r)]
            count += any(r.kind != TOMBSTONE for r in gone)
            left = [r for r in (record, doubt) if r is not None and stays(r)]
            self.keep(key, left[0] if left else None)
            if len(left) == 2:
                self.doubts[key] = left[1]
        return count

    # ------------------------------------------------- what really happened

    def named(self, key: Any) -> list[Any]:
        """Return the keys of records that callbacks know as `key`."""
        return [
            k for k in self.records if same(k[1] if isinstance(k, tuple) else k, key)
        ]

    def absorb(self, calls: list, flushed: Callable[[Any], bool]) -> list:
        """Note what was written back; return the other calls.

        Only what is dirty is written back, with the value that it has, and,
        where nothing is evicted, only when the call says so (`flushed`). What
        is written because a newer value finds no room is left to `unfit_step`.
        """
        self.note_store(calls)
        unfit = [call[1] for call in calls if self.is_unfit(call)]
        return [
            call
            for call in calls
            if (call[1] in unfit and not self.broken)
            or not self.note_written(call, lambda key: flushed(key) or self.broken)
        ]

    def is_unfit(self, call: tuple) -> bool:
        """Tell whether it is the call of write_cb for what finds no room."""
        return call[0] == "write" and not self.fits(call[2])

    def note_store(self, calls: list) -> None:
        """Note of which keys the store has a version."""
        self.was_in_store = frozenset(self.in_store)
        for call in calls:
            if call[0] == "delete":
                self.in_store.discard(call[1])
            elif call[0] == "write" and not self.broken:
                self.in_store.add(call[1])

    def note_written(self, call: tuple, flushed: Callable[[Any], bool]) -> bool:
        if not self.write_back or call[0] != "write":
            return False
        _, name, value, expire_on = call
        # Of two with the same name and value the one that the call is about.
        for key in sorted(self.named(name), key=lambda key: not flushed(key)):
            record = self.records[key]
            if record.dirty and same(
                (record.value, record.expire_on), (value, expire_on)
            ):
                assert self.may_evict or flushed(key), f"{call} came out of nothing"
                self.records[key] = replace(record, dirty=self.broken)
                return True
        return False

    def settle(self, key: Any, spec: Spec, result: Any, calls: list) -> None:
        """Take over what a call did; fail if it may not be so."""
        old = self.records.get(key)
        wanted = [
            (guess, self.with_room(fits, spec, guess))
            for guess in self.guesses(key, old)
            for fits in self.rooms()
        ]
        possible = [
            (guess, step.record)
            for guess, step in wanted
            if same(step.result, result) and self.agree(guess, step, calls)
        ]
        assert possible, (
            f"key {key!r}: {result!r} with calls {calls}; wanted one of {wanted}"
        )
        guess, record = possible[0]
        self.lost += guess is None and self.live(old) is not None
        self.keep(key, record)
        for _, other in possible[1:]:
            if other is not None and not same(other, record):
                self.doubts[key] = other

    def agree(self, old: Old, step: Step, calls: list) -> bool:
        """Tell whether a step may have made these calls.

        Where values have left a page, delete_cb may be told of a dirty one
        that the store never had.
        """
        if old and old.dirty and calls[-1:] and calls[-1][0] == "delete":
            return self.reads_back and same(list(self.undeleted(step)), calls[:-1])
        return same(list(step.calls), calls)

    def undeleted(self, step: Step) -> tuple:
        return tuple(call for call in step.calls if call[0] != "delete")

    def guesses(self, key: Any, old: Old) -> list[Old]:
        """Return what the record may be by now: a clean one may be evicted."""
        evictable = old is not None and self.may_evict and not old.dirty
        doubt = [self.doubts[key]] if key in self.doubts else []
        return [old, *doubt, *([None] if evictable else [])]

    def rooms(self) -> list[bool]:
        """Return whether there is room: not where dirty values cannot leave."""
        return [True, False] if self.may_evict and self.broken else [True]

    def with_room(self, room: bool, spec: Spec, old: Old) -> Step:
        fits = self.fits
        self.fits = fits if room else lambda value: False
        try:
            return spec(old)
        finally:
            self.fits = fits

    def keep(self, key: Any, record: Old) -> None:
        self.doubts.pop(key, None)
        if record is None:
            self.records.pop(key, None)
        else:
            self.records[key] = record

    def settle_scan(self, seen: list[tuple]) -> None:
        """Take over what a scan showed: (key, ...) tuples, in any order."""
        shown = self.shown()
        left = list(seen)
        for key, record in shown.items():
            name = key[1] if isinstance(key, tuple) else key
            fact = (name, record.value, record.expire_on, record.modseq, record.dirty)
            place = next((i for i, f in enumerate(left) if same(f, fact)), None)
            if place is not None:
                del left[place]
                continue
            assert self.may_evict and not record.dirty, f"{fact} is not shown"
            self.lost += 1
            del self.records[key]
        assert not left, f"{left} should not be there; known {shown}"
