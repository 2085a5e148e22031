"""The machine that makes any call on a cache, and asks the model."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

from driver import ABSENT, Driver, outcome
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule
from model import PLAINLY, Raised, Step, same
from strategies import (
    FILLING,
    PAGE_KEYS,
    TICK,
    Lifetime,
    Setup,
    keys,
    lifetimes,
    modseqs,
    only_times,
    setups,
    some_keys,
)

from fastmmap import KEEP, CheckReport, Entry, FastMmap, LockError
from fastmmap import Store as Answer


def apart(key: Any) -> Any:
    """Return a key for multi_set() that the user's store tells from plain ones."""
    return key + (" of a page" if isinstance(key, str) else b" of a page")


class CacheMachine(Driver):
    """Every call on one object, against the model."""

    @initialize(setup=setups)
    def open(self, setup: Setup) -> None:
        self.start_with(setup)

    # ----------------------------------------------------------------- time

    @rule(ticks=st.integers(1, 4))
    def wait(self, ticks: int) -> None:
        self.model.now += ticks * TICK

    # -------------------------------------------------------------- reading

    def answer(self, key: Any) -> Any:
        """Return what read_cb gave in the last call."""
        return self.store.answers.get(key)

    def read(self, key: Any, call: Callable[[], Any], default: Any) -> None:
        def spec(old: Any) -> Step:
            step = self.model.get_step(key, old, self.answer(key), default)
            if isinstance(default, Raised) and same(step.result, default):
                return step._replace(result=default)
            return step

        self.one(key, spec, call, flush=True)

    @rule(key=keys)
    def get(self, key: Any) -> None:
        self.read(key, lambda: self.cache.get(key), None)

    @rule(key=keys)
    def get_or_default(self, key: Any) -> None:
        self.read(key, lambda: self.cache.get(key, ABSENT), ABSENT)

    @rule(key=keys)
    def get_item(self, key: Any) -> None:
        self.read(key, lambda: self.cache[key], Raised(KeyError))

    @rule(key=keys)
    def contains(self, key: Any) -> None:
        self.one(key, self.model.exists_step, lambda: key in self.cache)

    @rule(key=keys)
    def look_up_exists(self, key: Any) -> None:
        self.exists(key)

    @rule(key=keys)
    def ttl(self, key: Any) -> None:
        def seconds_left() -> bool:
            try:
                self.cache.ttl(key)
            except KeyError:
                return False
            return True

        self.one(key, self.model.exists_step, seconds_left)

    @rule(key=keys)
    def get_entry(self, key: Any) -> None:
        def spec(old: Any) -> Step:
            found = self.model.visible(old)
            return Step(
                found and (found.value, found.expire_on, found.modseq, found.dirty), old
            )

        def call() -> Any:
            entry = self.cache.get_entry(key)
            if entry is None:
                return None
            assert isinstance(entry, Entry) and entry.size > 0
            now = self.model.now
            assert entry.stored_on < now + TICK and entry.last_access < now + TICK
            return entry.value, self.moment(entry.expire_on), entry.modseq, entry.dirty

        self.one(key, spec, call)

    @rule(wanted=some_keys)
    def get_many(self, wanted: list[Any]) -> None:
        result, calls = self.run(lambda: self.cache.get_many(wanted))
        assert not calls and set(result) <= set(wanted)
        for key in wanted:
            found = result.get(key, ABSENT)
            self.model.settle(
                key, lambda old: self.model.peek_step(old, ABSENT), found, []
            )

    @rule()
    def scan(self) -> None:
        seen, calls = self.run(lambda: self.cache.get_keys(2))
        facts = [
            (
                item["key"],
                item["value"],
                self.moment(item["expire_on"]),
                item["modseq"],
                bool(item["flags"] & 1),
            )
            for item in seen
        ]
        assert not calls
        self.model.settle_scan(facts)

    @rule()
    def scans_agree(self) -> None:
        cache = self.cache
        with self.travel():
            items = list(cache.items())
            names = [repr(key) for key, _ in items]
            assert [repr(value) for _, value in items] == list(
                map(repr, cache.values())
            )
            for again in (cache, cache.keys()):
                assert list(map(repr, again)) == names
            assert len(cache) == len(names)
            known = {**self.model.records, **self.model.doubts}
            assert all(key in known for key, _ in items)
            assert all(item in cache.items() for item in items if item[1] == item[1])
            listed = [repr(key) for key in cache.get_keys()]
            for mode in (1, 2):
                assert [repr(item["key"]) for item in cache.get_keys(mode)] == listed
            assert set(names) <= set(listed)

    # -------------------------------------------------------------- storing

    @rule(
        key=keys,
        data=st.data(),
        lifetime=lifetimes,
        modseq=modseqs,
        mode=st.sampled_from(["set", "set", "add", "replace"]),
    )
    def store_one(
        self, key: Any, data: Any, lifetime: Lifetime, modseq: Any, mode: str
    ) -> None:
        value = self.value(data)
        how = self.how(lifetime, mode=mode, modseq=modseq)
        more = lifetime.given(self.start)
        if modseq is not None:
            more = {**more, "modseq": modseq}
        self.one(
            key,
            lambda old: self.model.store_step(key, old, value, how),
            lambda: getattr(self.cache, mode)(key, value, **more),
        )

    @rule(key=keys, data=st.data(), update=st.booleans())
    def set_item(self, key: Any, data: Any, update: bool) -> None:
        value = self.value(data)

        def assign() -> None:
            self.cache[key] = value

        self.one(
            key,
            lambda old: self.model.assign_step(key, old, value),
            (lambda: self.cache.update({key: value})) if update else assign,
        )

    @rule(key=keys, data=st.data())
    def set_default(self, key: Any, data: Any) -> None:
        value = self.value(data)
        self.one(
            key,
            lambda old: self.model.setdefault_step(key, old, self.answer(key), value),
            lambda: self.cache.setdefault(key, value),
            flush=True,
        )

    # What a store that is down cannot take may leave no room for a lease.
    @precondition(lambda self: not self.model.broken)
    @rule(key=keys, data=st.data(), lifetime=only_times)
    def get_or_set(self, key: Any, data: Any, lifetime: Lifetime) -> None:
        value, how = self.value(data), self.how(lifetime)
        self.one(
            key,
            lambda old: self.model.get_or_set_step(
                key, old, self.answer(key), value, how
            ),
            lambda: self.cache.get_or_set(key, lambda: value, **lifetime.arguments),
            flush=True,
        )

    @precondition(lambda self: not self.model.broken)
    @rule(key=keys, data=st.data())
    def remove_while_it_is_computed(self, key: Any, data: Any) -> None:
        value = self.value(data)

        def compute() -> Any:
            self.cache.remove(key)
            return value

        self.one(
            key,
            lambda old: self.model.get_or_set_step(
                key, old, self.answer(key), value, None
            ),
            lambda: self.cache.get_or_set(key, compute),
            flush=True,
        )

    def together(self, wanted: list[Any]) -> list[Any]:
        """Return as many keys as can be stored in one call and told apart."""
        return wanted[:1] if self.model.may_evict else wanted

    @rule(wanted=some_keys, data=st.data(), lifetime=lifetimes)
    def set_many(self, wanted: list[Any], data: Any, lifetime: Lifetime) -> None:
        mapping = {key: self.value(data) for key in self.together(wanted)}
        refused, calls = self.run(
            lambda: self.cache.set_many(mapping, **lifetime.given(self.start))
        )
        for key, value in mapping.items():
            self.model.settle(
                key,
                lambda old, k=key, v=value: self.model.store_step(
                    k, old, v, self.how(lifetime)
                ),
                not any(same(key, other) for other in refused),
                [call for call in calls if same(call[1], key)],
            )

    @rule(first=st.integers(0, 50), count=st.integers(1, 10), size=st.integers(0, 700))
    def fill(self, first: int, count: int, size: int) -> None:
        for key in FILLING[first : first + count]:
            value = key.ljust(size)
            self.one(
                key,
                lambda old, k=key, v=value: self.model.store_step(k, old, v, PLAINLY),
                lambda k=key, v=value: self.cache.set(k, v),
            )

    # ---------------------------------------------------- keys of one page

    @rule(page=st.sampled_from(PAGE_KEYS), wanted=some_keys, data=st.data())
    def multi_set(self, page: Any, wanted: list[Any], data: Any) -> None:
        mapping = {apart(key): self.value(data) for key in self.together(wanted)}
        result, calls = self.run(lambda: self.cache.multi_set(page, mapping))
        fits = [self.model.fits(value) for value in mapping.values()]
        for fit, (key, value) in zip(fits, mapping.items(), strict=True):
            self.model.settle(
                (page, key),
                lambda old, k=key, v=value: self.model.store_step(k, old, v, PLAINLY),
                fit if len(fits) > 1 else result,
                [call for call in calls if same(call[1], key)],
            )
        assert result is all(fits) or len(fits) == 1

    @rule(page=st.sampled_from(PAGE_KEYS), wanted=some_keys)
    def multi_get(self, page: Any, wanted: list[Any]) -> None:
        wanted = [apart(key) for key in wanted]
        result, calls = self.run(lambda: self.cache.multi_get(page, wanted))
        assert not calls
        for key in wanted:
            self.model.settle(
                (page, key),
                lambda old: self.model.peek_step(old, ABSENT),
                result.get(key, ABSENT),
                [],
            )

    # ------------------------------------------------------ changing at once

    @rule(
        key=keys,
        delta=st.integers(-3, 3) | st.sampled_from([2**63 - 1, -(2**63)]),
        initial=st.integers(-3, 3) | st.sampled_from([2**63 - 1, -(2**63)]),
        lifetime=only_times,
        down=st.booleans(),
    )
    def incr(
        self, key: Any, delta: int, initial: int, lifetime: Lifetime, down: bool
    ) -> None:
        how = self.how(lifetime)
        step = -delta if down else delta
        name = "decr" if down else "incr"

        def spec(old: Any) -> Step:
            if step == 2**63:
                return Step(Raised(OverflowError), old)
            return self.model.incr_step(key, old, step, initial, how)

        self.one(
            key,
            spec,
            lambda: getattr(self.cache, name)(
                key, delta, initial=initial, **lifetime.arguments
            ),
        )

    @rule(key=keys, lifetime=lifetimes)
    def touch(self, key: Any, lifetime: Lifetime) -> None:
        how = self.how(lifetime)
        self.one(
            key,
            lambda old: self.model.touch_step(old, how),
            lambda: self.cache.touch(key, **lifetime.given(self.start)),
        )

    @rule(key=keys, data=st.data(), lifetime=lifetimes, modseq=modseqs)
    def get_and_set(self, key: Any, data: Any, lifetime: Lifetime, modseq: Any) -> None:
        value = self.value(data)
        plain = not lifetime.given(self.start) and modseq is None
        answer = (
            value
            if plain
            else Answer(value, **lifetime.given(self.start), modseq=modseq)
        )
        how = self.how(lifetime, modseq=modseq)

        def spec(old: Any) -> Step:
            step = self.model.change_step(key, old, value, how)
            return step._replace(result=(self.seen(old), value, step.result))

        self.one(key, spec, lambda: self.call_get_and_set(key, answer))

    def seen(self, old: Any) -> Any:
        """Return what user code sees of a record that is held."""
        found = self.model.visible(old)
        if found is None:
            return None
        return found.value, found.expire_on, found.modseq, found.dirty

    def call_get_and_set(self, key: Any, answer: Any) -> Any:
        seen = []

        def func(name: Any, value: Any, entry: Any) -> Any:
            assert same(name, key)
            assert same(value, entry and entry.value)
            seen.append(
                entry
                and (
                    entry.value,
                    self.moment(entry.expire_on),
                    entry.modseq,
                    entry.dirty,
                )
            )
            if isinstance(answer, Exception):
                raise answer
            return answer

        result = outcome(lambda: self.cache.get_and_set(key, func))
        if isinstance(result, Raised):
            return seen[0], result
        return seen[0], result.value, result.stored

    @rule(key=keys)
    def get_and_keep(self, key: Any) -> None:
        def spec(old: Any) -> Step:
            seen = self.seen(old)
            return Step((seen, seen and seen[0], False), old)

        self.one(key, spec, lambda: self.call_get_and_set(key, KEEP))

    @rule(key=keys)
    def get_and_raise(self, key: Any) -> None:
        self.one(
            key,
            lambda old: Step((self.seen(old), Raised(ZeroDivisionError)), old),
            lambda: self.call_get_and_set(key, ZeroDivisionError()),
        )

    @rule(
        key=keys,
        data=st.data(),
        lifetime=lifetimes,
        modseq=modseqs,
        way=st.sampled_from(["assign", "set", "set and raise"]),
    )
    def lock_and_store(
        self, key: Any, data: Any, lifetime: Lifetime, modseq: Any, way: str
    ) -> None:
        value = self.value(data)
        how = PLAINLY if way == "assign" else self.how(lifetime, modseq=modseq)
        more = {**lifetime.given(self.start), "modseq": modseq}

        def change(item: Any) -> None:
            if way == "assign":
                item.value = value
                assert item.exists and item.value is value
            else:
                item.set(value, **more)
            if way == "set and raise":
                raise ZeroDivisionError

        def spec(old: Any) -> Step:
            if way == "set and raise":
                return Step((self.seen(old), Raised(ZeroDivisionError)), old)
            step = self.model.change_step(key, old, value, how)
            result = None if step.result else Raised(ValueError)
            return step._replace(result=(self.seen(old), result))

        self.one(key, spec, lambda: self.call_lock(key, change))

    @rule(key=keys, touched=st.booleans())
    def lock_and_look(self, key: Any, touched: bool) -> None:
        self.one(
            key,
            lambda old: Step((self.seen(old), None), old),
            lambda: self.call_lock(key, lambda item: None),
        )

    @rule(key=keys)
    def lock_and_remove(self, key: Any) -> None:
        def spec(old: Any) -> Step:
            step = self.model.remove_step(key, old, None, PLAINLY)
            return step._replace(result=(self.seen(old), None))

        self.one(key, spec, lambda: self.call_lock(key, lambda item: item.remove()))

    def call_lock(self, key: Any, change: Callable[[Any], None]) -> Any:
        seen = []

        def block() -> None:
            with self.cache.lock(key) as item:
                seen.append(None)
                if item.exists:
                    facts = item.value, self.moment(item.expire_on), item.modseq
                    seen[0] = facts
                else:
                    assert item.value is item.expire_on is item.modseq is None
                assert isinstance(outcome(lambda: self.cache.get(key)), Raised)
                change(item)

        dirty = self.is_dirty(key)
        result = outcome(block)
        return seen[0] and (*seen[0], dirty), result

    def is_dirty(self, key: Any) -> bool:
        entry = self.cache.get_entry(key)
        return entry is not None and entry.dirty

    # ------------------------------------------------------------- removing

    @rule(key=keys, modseq=modseqs, lifetime=lifetimes)
    def remove(self, key: Any, modseq: Any, lifetime: Lifetime) -> None:
        how = self.how(lifetime)
        more = {**lifetime.given(self.start), "modseq": modseq}
        self.one(
            key,
            lambda old: self.model.remove_step(key, old, modseq, how),
            lambda: self.cache.remove(key, **more),
        )

    @rule(key=keys)
    def del_item(self, key: Any) -> None:
        self.one(
            key,
            lambda old: self.model.del_step(key, old),
            lambda: self.cache.__delitem__(key),
        )

    @rule(key=keys)
    def pop(self, key: Any) -> None:
        self.one(
            key,
            lambda old: self.model.take_step(key, old, Raised(KeyError)),
            lambda: self.cache.pop(key),
        )

    @rule(key=keys)
    def pop_or_default(self, key: Any) -> None:
        self.one(
            key,
            lambda old: self.model.take_step(key, old, ABSENT),
            lambda: self.cache.pop(key, ABSENT),
        )

    @rule(key=keys)
    def get_and_remove(self, key: Any) -> None:
        def spec(old: Any) -> Step:
            step = self.model.take_step(key, old, ABSENT)
            removed = self.model.visible(old) is not None
            return step._replace(result=(step.result, removed))

        self.one(key, spec, lambda: tuple(self.cache.get_and_remove(key, ABSENT)))

    @rule()
    def pop_item(self) -> None:
        result, calls = self.run(lambda: self.cache.popitem())
        if isinstance(result, Raised):
            plain = [k for k in self.model.shown() if not isinstance(k, tuple)]
            assert not plain or self.model.may_evict
            assert not calls
            return
        key, value = result
        self.model.settle(
            key, lambda old: self.model.take_step(key, old, ABSENT), value, calls
        )

    @rule(wanted=some_keys)
    def delete_many(self, wanted: list[Any]) -> None:
        present = [self.exists(key) for key in wanted]
        count, calls = self.run(lambda: self.cache.delete_many(wanted))
        assert count == sum(present)
        for key, found in zip(wanted, present, strict=True):
            self.model.settle(
                key,
                lambda old, k=key: self.model.remove_step(k, old, None, PLAINLY),
                found,
                [call for call in calls if same(call[1], key)],
            )

    @rule(key=keys)
    def expire(self, key: Any) -> None:
        self.one(
            key, self.model.expire_step, lambda: self.cache.expire(key), flush=True
        )

    # ---------------------------------------------------------- everything

    @rule(rarely=st.integers(0, 3), call=st.sampled_from(["clear", "purge", "empty"]))
    def drop(self, rarely: int, call: str) -> None:
        if rarely and call == "clear":
            return
        expired = call == "purge"
        count, calls = self.run(getattr(self.cache, call), None)
        wanted = self.model.drop(expired, keep_dirty=call == "empty")
        assert not calls
        if call != "clear":
            assert count == wanted or (self.model.may_evict and count < wanted)

    @rule()
    def empty_expired(self) -> None:
        count, calls = self.run(lambda: self.cache.empty(only_expired=True), None)
        wanted = self.model.drop(only_expired=True, keep_dirty=True)
        assert not calls
        assert count == wanted or (self.model.may_evict and count < wanted)

    @rule(broken=st.booleans())
    def break_store(self, broken: bool) -> None:
        self.store.broken = self.model.broken = broken

    @precondition(lambda self: self.model.reads_back)
    @rule(key=keys, other=keys)
    def read_inside_read(self, key: Any, other: Any) -> None:
        """A read_cb that uses the cache may, or is told at once that it may not."""
        seen: list[Any] = []
        self.store.inside = lambda: seen.append(self.cache.exists(other))

        def spec(old: Any) -> Step:
            step = self.model.get_step(key, old, self.answer(key))
            if step.calls and not self.setup_of.allow_recursive:
                return Step(Raised(LockError), old, step.calls)
            return step

        self.one(key, spec, lambda: self.cache.get(key), flush=True)
        self.store.inside = None
        if seen:
            found = self.model.visible(self.model.records.get(other))
            known = found is not None
            assert seen == [known] or self.model.may_evict or same(key, other)

    # ---------------------------------------------------- opening, closing

    @rule(verify=st.booleans())
    def reopen(self, verify: bool) -> None:
        self.cache.close()
        self.cache = FastMmap(
            self.path, test_file=verify, **self.setup_of.options(self.store)
        )
        assert self.cache.stats().pages_repaired == 0

    @rule()
    def go_on_with_a_copy(self) -> None:
        copy = pickle.loads(pickle.dumps(self.cache))
        self.cache.close()
        self.cache = copy

    @rule()
    def statistics(self) -> None:
        before = self.cache.get_statistics(clear=True)
        assert before[0] >= before[1] >= 0
        assert self.cache.get_statistics() == (0, 0)
        earlier = self.cache.stats()
        found = self.one("a", self.model.exists_step, lambda: self.cache.exists("a"))
        with self.travel():
            assert len(self.cache.get_many(["a"])) == found
        assert self.cache.get_statistics() in [(2, 2 * found), (2, 2)]
        stats = self.cache.stats()
        counted = (stats.reads - earlier.reads, stats.hits - earlier.hits)
        assert counted == self.cache.get_statistics()
        assert stats.misses == stats.reads - stats.hits

    @invariant()
    def is_sound(self) -> None:
        if hasattr(self, "cache"):
            report = self.cache.check()
            assert isinstance(report, CheckReport) and report.ok, report
            shown = len(self.model.records)
            assert report.entries <= shown or self.model.may_evict
