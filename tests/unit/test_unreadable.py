"""Values that cannot be read any more: a class that has moved, damaged bytes."""

from __future__ import annotations

import asyncio
import logging
import pickle
import signal
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from support import BackingStore, MakeCache

from fastmmap import FastMmap, unreadable


class Broken:
    """Pickles well, and cannot be unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return fail, ()


def fail() -> object:
    return unpickle()


def unpickle() -> object:
    """Do what a test wants done in the place of unpickling."""
    raise NotImplementedError


@pytest.fixture(autouse=True)
def usual_error(monkeypatch: pytest.MonkeyPatch) -> None:
    raises(monkeypatch, AttributeError("the class has moved"))


def raises(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let unpickling end with that."""

    def raise_it() -> object:
        raise error

    monkeypatch.setitem(globals(), "unpickle", raise_it)


@pytest.fixture(params=["small", "large", "in parts"])
def broken(cache: FastMmap, request: pytest.FixtureRequest) -> FastMmap:
    """Return a cache whose key "moved" cannot be read, beside one that can."""
    size = {"small": 1, "large": 5_000, "in parts": 90_000}[request.param]
    assert cache.set("moved", [Broken(), b"x" * size])
    cache.set("fine", [1])
    return cache


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "fastmmap"]


@pytest.mark.quick
@pytest.mark.parametrize(
    "read", [lambda cache: cache.get("moved"), lambda cache: cache["moved"]]
)
def test_reading_one_raises_and_names_the_key(
    broken: FastMmap, read: Callable[[FastMmap], object]
) -> None:
    with pytest.raises(AttributeError, match="has moved") as caught:
        read(broken)
    assert "'moved'" in "".join(getattr(caught.value, "__notes__", ["'moved'"]))
    assert "moved" in broken and len(broken) == 2


BULK: dict[str, Callable[[FastMmap], object]] = {
    "get_many": lambda cache: cache.get_many(["moved", "fine"]),
    "items": lambda cache: dict(cache.items()),
    "values": lambda cache: dict(zip(["fine"], cache.values(), strict=True)),
    "get_keys(2)": lambda cache: {e["key"]: e["value"] for e in cache.get_keys(2)},
    "dict": lambda cache: {"fine": dict(cache.items())["fine"]},
}


@pytest.mark.parametrize("name", BULK)
def test_reading_many_leaves_it_out_and_logs_it_once(
    broken: FastMmap, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    for _ in range(3):
        assert BULK[name](broken) == {"fine": [1]}
    assert "moved" in broken
    (line,) = lines(caplog)
    assert "'moved'" in line and broken.share_file in line and "left out" in line


def test_no_value_is_equal_to_it(broken: FastMmap) -> None:
    assert ("moved", 1) not in broken.items()
    assert ("fine", [1]) in broken.items()


def test_multi_get_leaves_it_out(
    cache: FastMmap, caplog: pytest.LogCaptureFixture
) -> None:
    cache.multi_set("page", {"moved": Broken(), "fine": 1})
    assert cache.multi_get("page", ["moved", "fine"]) == {"fine": 1}
    assert "left out" in lines(caplog)[0]


COMPUTE: dict[str, Callable[[FastMmap, Callable[[], Any]], Any]] = {
    "get_or_set": lambda cache, make: cache.get_or_set("moved", make),
    "memoize": lambda cache, make: cache.memoize("1h", key=lambda: "moved")(make)(),
    "memoize early": lambda cache, make: cache.memoize(
        "1h", key=lambda: "moved", early=1.0
    )(make)(),
    "memoize stale": lambda cache, make: cache.memoize(
        "1h", key=lambda: "moved", stale="1h"
    )(make)(),
}


@pytest.mark.quick
@pytest.mark.parametrize("name", COMPUTE)
def test_what_can_compute_computes_and_stores_the_new_value(
    broken: FastMmap, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    calls: list[int] = []

    def make() -> list[str]:
        calls.append(1)
        return ["new"]

    for _ in range(3):
        assert COMPUTE[name](broken, make) == ["new"]
    assert len(calls) == 1
    assert "new" in repr(broken["moved"])
    (line,) = lines(caplog)
    assert "'moved'" in line and "computed again" in line


def test_an_async_computation_does_too(broken: FastMmap) -> None:
    async def make() -> int:
        return 2

    @broken.memoize("1h", key=lambda: "moved")
    async def memoized() -> int:
        return 3

    assert asyncio.run(broken.get_or_set("moved", make)) == 2
    broken.set("moved", Broken())
    assert asyncio.run(memoized()) == 3
    assert broken["moved"] == 3


def test_setdefault_replaces_it(broken: FastMmap) -> None:
    assert broken.setdefault("moved", 5) == 5
    assert broken["moved"] == 5


def test_computing_calls_read_cb_and_never_delete_cb(make_cache: MakeCache) -> None:
    store = BackingStore({"moved": "from the store"})
    cache = make_cache(**store.options())
    cache.set("moved", Broken())
    store["moved"] = "from the store"
    store.calls.clear()
    assert cache.get_or_set("moved", lambda: "computed") == "from the store"
    assert store.calls == [("read", "moved")]


def test_in_a_namespace_it_is_the_same(cache: FastMmap) -> None:
    inner = cache.namespace("n")
    cache.set("moved", "another")
    inner.set("moved", Broken())
    assert inner.get_or_set("moved", lambda: 1) == 1
    inner.set("moved", Broken())
    assert inner.pop("moved", 2) == 2
    assert cache["moved"] == "another"


def test_a_newer_value_is_not_dropped(cache: FastMmap) -> None:
    """Another stores a value while the old one is found unreadable."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            cache.set("moved", "newer")

    cache.set("moved", Broken())
    handler = Handler()
    logging.getLogger("fastmmap").addHandler(handler)
    try:
        assert cache.get_or_set("moved", lambda: "computed") == "newer"
    finally:
        logging.getLogger("fastmmap").removeHandler(handler)
    assert cache["moved"] == "newer"


def test_a_value_yet_to_be_written_back_is_not_dropped(make_cache: MakeCache) -> None:
    cache = make_cache(write_action="write_back", write_cb=lambda *_: None)
    cache.set("moved", Broken())
    with pytest.raises(AttributeError, match="has moved"):
        cache.get_or_set("moved", lambda: 1)
    assert "moved" in cache
    cache.remove("moved")


# ------------------------------------------------------------------- removing


def test_pop_with_a_default_removes_it(
    broken: FastMmap, caplog: pytest.LogCaptureFixture
) -> None:
    assert broken.pop("moved", "default") == "default"
    assert "moved" not in broken
    assert "removed" in lines(caplog)[0]


def test_pop_without_a_default_removes_it_and_raises(broken: FastMmap) -> None:
    with pytest.raises(AttributeError, match="has moved"):
        broken.pop("moved")
    assert "moved" not in broken


def test_get_and_remove_removes_it(broken: FastMmap) -> None:
    assert broken.get_and_remove("moved", 7) == (7, True)
    assert "moved" not in broken


def test_popitem_removes_it_and_takes_another(broken: FastMmap) -> None:
    assert broken.popitem() == ("fine", [1])
    with pytest.raises(KeyError):
        broken.popitem()
    assert len(broken) == 0


def test_remove_and_delete_remove_it(cache: FastMmap) -> None:
    cache.update(a=Broken(), b=Broken(), c=Broken())
    assert cache.remove("a") and cache.delete_many(["b"]) == 1
    del cache["c"]
    assert len(cache) == 0


def test_delete_cb_hears_of_one_that_was_popped(make_cache: MakeCache) -> None:
    store = BackingStore()
    cache = make_cache(**store.options())
    cache.set("moved", Broken())
    store.calls.clear()
    assert cache.pop("moved", None) is None
    assert store.calls == [("delete", "moved")]


def test_a_block_of_lock_may_replace_it(broken: FastMmap) -> None:
    with broken.lock("moved") as item:
        with pytest.raises(AttributeError):
            _ = item.value
        item.value = "new"
    assert broken["moved"] == "new"


def test_get_and_set_raises_and_changes_nothing(broken: FastMmap) -> None:
    with pytest.raises(AttributeError):
        broken.get_and_set("moved", lambda *_: 1)
    assert "moved" in broken


# ---------------------------------------------------- what says nothing of it


class Stray(Exception):
    """What a soft time limit raises."""


@pytest.fixture
def interrupted(cache: FastMmap, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let a signal raise `Stray` while a value is unpickled."""

    def limit(signum: int, frame: object) -> None:
        raise Stray("time is over")

    def loads() -> str:
        signal.raise_signal(signal.SIGUSR1)
        return "value"

    before = signal.signal(signal.SIGUSR1, limit)
    monkeypatch.setitem(globals(), "unpickle", loads)
    cache.set("key", Broken())
    yield cache
    signal.signal(signal.SIGUSR1, before)


ANY_USE: dict[str, Callable[[FastMmap], object]] = {
    "get": lambda cache: cache.get("key"),
    "get_many": lambda cache: cache.get_many(["key"]),
    "values": lambda cache: list(cache.values()),
    "get_or_set": lambda cache: cache.get_or_set("key", 1),
    "memoize": lambda cache: cache.memoize("1h", key=lambda: "key")(lambda: 1)(),
    "setdefault": lambda cache: cache.setdefault("key", 1),
    "pop": lambda cache: cache.pop("key", None),
    "get_and_remove": lambda cache: cache.get_and_remove("key"),
}


@pytest.mark.parametrize("name", ANY_USE)
def test_the_exception_of_a_signal_passes_and_the_value_stays(
    interrupted: FastMmap, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    with pytest.raises(Stray):
        ANY_USE[name](interrupted)
    signal.signal(signal.SIGUSR1, lambda *_: None)
    assert interrupted.get("key") == "value"
    assert lines(caplog) == []


@pytest.mark.parametrize(
    "error",
    [KeyboardInterrupt(), SystemExit(), MemoryError(), OSError(24, "EMFILE")],
    ids=repr,
)
@pytest.mark.parametrize("name", ANY_USE)
def test_an_error_of_the_moment_passes_and_the_value_stays(
    cache: FastMmap,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    error: BaseException,
) -> None:
    cache.set("key", Broken())
    raises(monkeypatch, error)
    with pytest.raises(type(error)):
        ANY_USE[name](cache)
    assert "key" in cache


# -------------------------------------------------------- other kinds of value


def test_a_pickle_cut_short_is_unreadable(cache: FastMmap) -> None:
    whole = pickle.dumps({"a": [1] * 100})
    pairs = FastMmap(cache_size="64k", serializer=(lambda v: v, pickle.loads))
    with pairs:
        pairs.set("key", whole[:-20])
        assert pairs.get_many(["key"]) == {}
        assert pairs.get_or_set("key", whole) == whole
        assert pairs["key"] == {"a": [1] * 100}


def test_what_a_decompressor_refuses_is_unreadable() -> None:
    def decompress(data: bytes) -> bytes:
        raise zlib.error("incorrect data check")

    pair = (lambda data: b"z" + data[:10], decompress)
    with FastMmap(cache_size="64k", compressor=pair, compress_min_size=0) as cache:
        cache.set("key", b"x" * 1000)
        assert cache.get_many(["key"]) == {}
        assert cache.pop("key", 1) == 1


def test_json_of_another_make_is_unreadable() -> None:
    def loads(text: str) -> object:
        raise ValueError("Expecting value: line 1 column 1 (char 0)")

    with FastMmap(cache_size="64k", serializer=(lambda v: b"{", loads)) as cache:
        cache.set("key", [1])
        assert cache.get_or_set("key", 5) == 5


def test_no_flood_of_lines_is_logged(
    cache: FastMmap, caplog: pytest.LogCaptureFixture
) -> None:
    cache.update({f"key {n}": Broken() for n in range(500)})
    for _ in range(2):
        assert cache.get_many(f"key {n}" for n in range(500)) == {}
    assert 1 < len(lines(caplog)) <= 10
    assert lines(caplog)[-1].endswith("more such values are not logged")


def test_errors_that_all_differ_are_no_flood_either(
    cache: FastMmap,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache.set("key", Broken())
    for n in range(300):
        raises(monkeypatch, ValueError(f"at {n}"))
        assert cache.get_many(["key"]) == {}
    assert len(lines(caplog)) == 100


@pytest.mark.parametrize(
    "error, of_value",
    [
        (AttributeError(), True),
        (ModuleNotFoundError("gone"), True),
        (pickle.UnpicklingError(), True),
        (EOFError(), True),
        (OSError("Invalid data stream"), True),  # bz2's
        (RecursionError(), False),
        (TimeoutError(), False),
        (asyncio.CancelledError(), False),
    ],
    ids=repr,
)
def test_which_errors_are_of_the_value(error: BaseException, of_value: bool) -> None:
    assert unreadable.is_of_value(error) == of_value
