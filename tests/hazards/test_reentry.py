"""Objects that are changed by the very code that they call."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from header import CLIENTS_SIZE
from support import OPERATIONS, MakeCache, run_scenario

from fastmmap import ClosedError, Error, FastMmap, _core


def configure(cache: FastMmap, **given: Any) -> None:
    """Say again how an open cache is used."""
    functions = [given.pop(name, None) for name in ("dumps", "loads")]
    functions += [given.pop(name, None) for name in ("compress", "decompress")]
    defaults: dict[str, Any] = {
        "compress_min_size": 0,
        "expire_ms": -1,
        "tombstone_ms": -1,
        "lock_timeout_ms": 50,
        "enable_stats": False,
        **dict.fromkeys(("context", "read_cb", "write_cb", "delete_cb")),
        "cache_not_found": False,
        "write_back": False,
        "allow_recursive": False,
        "near": 0,
        "share": False,
    }
    cache._configure(*functions, **{**defaults, **given})


class Replaced:
    """A callable that takes itself, and what it goes with, away from a cache."""

    def __init__(self, cache: list[FastMmap], result: object) -> None:
        self.cache = cache
        self.result = result
        self.filler = bytes(1000)

    def __call__(self, *arguments: object) -> object:
        configure(self.cache[0])
        gc.collect()
        # Where this object was is something else now, if nobody kept it.
        junk = [bytearray(64) for _ in range(1000)]
        assert len(junk) + len(self.filler) == 2000
        assert all(argument is not None for argument in arguments[:1])
        return self.result


def replace_callables(path: str, which: str) -> list[object]:
    own = (bytes, bytes)
    serializer = which in ("dumps", "loads")
    cache = FastMmap(
        path,
        cache_size="64k",
        serializer=own if serializer else "raw",
        compressor=None if serializer else own,
        compress_min_size=0,
        unlink_on_exit=False,
    )
    box = [cache]
    whole: dict[str, Any] = dict(zip(("dumps", "loads"), own, strict=True))
    whole.update(zip(("compress", "decompress"), own, strict=True))
    cache.set("key", b"v" * 100)
    outcomes: list[object] = []
    for _ in range(10):
        context = {"filler": bytes(100)}
        result = {"read_cb": b"read", "compress": b"c"}.get(which, b"v" * 100)
        callables = {**whole, "context": context, which: Replaced(box, result)}
        configure(cache, **callables)
        del context, callables
        for use in (
            lambda: cache.set("key", b"v" * 100),
            lambda: cache.get("key"),
            lambda: cache.get("absent"),
            lambda: cache.remove("absent"),
        ):
            try:
                outcomes.append(type(use()).__name__)
            except Error as error:
                outcomes.append(type(error).__name__)
    return [len(outcomes), cache.check().ok]


@pytest.mark.parametrize(
    "which",
    ["dumps", "loads", "compress", "decompress", "read_cb", "write_cb", "delete_cb"],
)
def test_a_callable_that_is_replaced_while_it_runs(path: str, which: str) -> None:
    assert run_scenario(replace_callables, path, which) == [40, True]


def lose_write_cb(path: str) -> list[object]:
    """A changed value whose reading takes write_cb away is not lost."""
    box: list[FastMmap] = []

    def loads(data: bytes) -> bytes:
        configure(box[0], dumps=bytes, loads=bytes, write_back=True)
        return data

    cache = FastMmap(
        path,
        cache_size="64k",
        serializer=(bytes, loads),
        write_cb=lambda *_: None,
        write_action="write_back",
    )
    box.append(cache)
    cache.set("key", b"value")
    cache.flush()
    entry = cache.get_entry("key")
    return [entry is not None and entry.dirty]


def test_a_changed_value_whose_write_cb_was_taken_away_stays_dirty(path: str) -> None:
    assert run_scenario(lose_write_cb, path) == [True]


def test_a_cache_without_its_functions_raises(path: str) -> None:
    """As `_core.Cache` leaves it, before it is told how it is used."""
    functions = (bytes, bytes)
    with FastMmap(
        path, cache_size="64k", serializer=functions, compressor=functions
    ) as cache:
        cache.set("key", b"v" * 1000)
        bare = _core.Cache.__new__(_core.Cache)
        _core.Cache.__init__(bare, path)
        uses: list[Callable[[], object]] = [
            lambda: bare.get("key"),
            lambda: bare.set("key", b"v" * 1000),
            lambda: bare.set("key", "text"),
        ]
        for use in uses:
            with pytest.raises(Error):
                use()
        bare.close()


# ------------------------------------------------------ objects made by halves


def test_an_open_cache_is_not_opened_again(cache: FastMmap, path: str) -> None:
    cache.set("key", 1)
    for again in (
        lambda: FastMmap.__init__(cache, path),
        lambda: FastMmap.__init__(cache, path + ".other", cache_size="64k"),
        lambda: _core.Cache.__init__(cache, path),
        lambda: _core.Keyspace.__init__(cache, cache, "name"),
    ):
        with pytest.raises(TypeError):
            again()
    assert cache.get("key") == 1
    assert cache.share_file == path


def test_a_closed_cache_can_be_opened_again(cache: FastMmap, path: str) -> None:
    cache.close()
    FastMmap.__init__(cache, path, cache_size="64k", init_file=True)
    assert cache.set("key", 1)


def test_threads_that_open_one_object(path: str) -> None:
    for _ in range(20):
        cache = FastMmap.__new__(FastMmap)
        outcomes: list[str] = []

        def attempt(cache: FastMmap = cache, outcomes: list[str] = outcomes) -> None:
            try:
                FastMmap.__init__(cache, path, cache_size="64k")
                outcomes.append("open")
            except TypeError:
                outcomes.append("TypeError")

        threads = [threading.Thread(target=attempt) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert outcomes.count("open") == 1
        assert outcomes.count("TypeError") == 3
        assert cache.set("key", 1)
        cache.close()


def test_a_namespace_of_nothing_or_of_itself_is_refused() -> None:
    bare = _core.Keyspace.__new__(_core.Keyspace)
    other = _core.Keyspace.__new__(_core.Keyspace)
    for parent in (bare, other, FastMmap.__new__(FastMmap)):
        with pytest.raises(ClosedError):
            _core.Keyspace.__init__(bare, parent, "name")
    for use in (list, lambda space: space.get("key"), lambda space: space.clear()):
        with pytest.raises(ClosedError):
            use(bare)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_object_that_was_never_opened_does_nothing(name: str) -> None:
    for kind in (FastMmap, _core.Cache, _core.Keyspace):
        bare: Any = kind.__new__(kind)
        try:
            result = OPERATIONS[name](bare)
        except (AttributeError, TypeError, ValueError):
            continue
        assert result in (None, 0)


def test_namespaces_cannot_be_made_a_ring(cache: FastMmap) -> None:
    inner = cache.namespace("inner")
    cache.close()
    with pytest.raises(TypeError):
        _core.Keyspace.__init__(cache, inner, "outer")


# ------------------------------------------- what is read while it is changed


class Changing(dict[str, Any]):
    """A mapping that others empty while it is read."""

    def items(self) -> Any:
        for key in list(self):
            self.clear()
            gc.collect()
            yield key, bytes(500)


@pytest.mark.parametrize("call", ["set_many", "multi_set"])
def test_pairs_that_change_while_they_are_read(cache: FastMmap, call: str) -> None:
    pairs = Changing({str(number): number for number in range(30)})
    if call == "set_many":
        assert cache.set_many(pairs) == []
        assert len(cache) == 30
    else:
        cache.multi_set("page", pairs)
        assert len(cache.multi_get("page", map(str, range(30)))) > 0


class Pair:
    """A pair that empties, on the way, the lists that it is in."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __iter__(self) -> Iterator[object]:
        for referrer in gc.get_referrers(self):
            if isinstance(referrer, list):
                referrer.clear()
        return iter((self.key, bytes(100)))


def test_a_list_of_pairs_that_is_emptied_while_it_is_read(cache: FastMmap) -> None:
    def pairs() -> Iterator[Pair]:
        for number in range(100):
            yield Pair(str(number))

    assert cache.set_many(pairs()) == []  # type: ignore[arg-type]  # like pairs
    assert len(cache) == 100


class Ending(str):
    """A key that closes the cache when it is compared."""

    cache: FastMmap

    def __hash__(self) -> int:
        return super().__hash__()

    def __eq__(self, other: object) -> bool:
        self.cache.close()
        return super().__eq__(other)


def test_a_key_that_closes_the_cache_while_many_are_read(cache: FastMmap) -> None:
    cache.set_many({"a": 1, "b": 2})
    keys = [Ending("a"), Ending("a"), Ending("b"), "b"]
    for key in keys[:3]:
        key.cache = cache  # type: ignore[attr-defined]  # of those three
    with pytest.raises(ClosedError):
        cache.get_many(keys)


def test_a_value_that_advances_its_own_iterator(make_cache: MakeCache) -> None:
    refused: list[str] = []
    iterators: list[Any] = []

    def loads(data: bytes) -> bytes:
        try:
            next(iterators[0])
        except ValueError as error:
            refused.append(str(error))
        return data

    cache = make_cache(serializer=(bytes, loads))
    cache.set_many({str(number): bytes(100) for number in range(50)})
    iterators.append(iter(cache.items()))
    assert len(list(iterators[0])) == 50
    assert len(refused) == 50


def test_a_lifetime_that_replaces_the_file(path: str) -> None:
    from datetime import timedelta

    class Replacing(timedelta):
        def __truediv__(self, other: Any) -> Any:
            size = "64k" if os.path.getsize(path) > 2**18 + CLIENTS_SIZE else "1m"
            FastMmap(path, cache_size=size, init_file=True).close()
            return super().__truediv__(other)

    with FastMmap(path, cache_size="1m") as cache:
        for number in range(20):
            assert cache.set(str(number), bytes(100), Replacing(seconds=100))
            assert cache.get_and_set(str(number), lambda *_: 1).stored
