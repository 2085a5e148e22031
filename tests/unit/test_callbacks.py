"""read_cb, write_cb and delete_cb: who is called, when, with what."""

from __future__ import annotations

import logging
import pickle
import time

import pytest
from support import BackingStore, MakeCache

from fastmmap import FastMmap, LockError, Store
from fastmmap.testing import time_travel


@pytest.fixture
def store() -> BackingStore:
    return BackingStore(stored="in the store")


@pytest.fixture
def tied(make_cache: MakeCache, store: BackingStore) -> FastMmap:
    """Return a cache tied to `store`."""
    return make_cache(**store.options())


@pytest.mark.quick
def test_a_miss_is_read_once_and_then_remembered(
    tied: FastMmap, store: BackingStore
) -> None:
    assert tied.get("stored") == "in the store"
    assert tied.get("stored") == "in the store"
    assert store.calls == [("read", "stored")]


def test_what_read_cb_does_not_find_is_the_default(
    tied: FastMmap, store: BackingStore
) -> None:
    assert tied.get("absent") is None
    assert tied.get("absent", "default") == "default"
    assert store.calls == [("read", "absent")] * 2


def test_read_cb_gets_bytes_keys_as_bytes(tied: FastMmap, store: BackingStore) -> None:
    tied.get(b"absent")
    assert store.calls == [("read", b"absent")]


def test_item_access_reads_too(tied: FastMmap, store: BackingStore) -> None:
    assert tied["stored"] == "in the store"
    with pytest.raises(KeyError):
        tied["absent"]
    assert store.calls == [("read", "stored"), ("read", "absent")]


def test_what_was_read_is_kept_for_the_default_lifetime(
    make_cache: MakeCache, store: BackingStore
) -> None:
    cache = make_cache(expire_time=100, **store.options())
    cache.get("stored")
    with time_travel(110):
        cache.get("stored")
    assert store.calls == [("read", "stored")] * 2


@pytest.mark.parametrize("recursive", [False, True])
def test_what_was_read_may_say_how_long_it_lives(
    make_cache: MakeCache, recursive: bool
) -> None:
    said: dict[str, object] = {
        "short": Store("value", "10s"),
        "until": Store("value", expire_on=time.time() + 10),
        "default": Store("value"),
        "plain": "value",
    }

    def read(context: None, key: str) -> object:
        return said[key]

    cache = make_cache(expire_time=100, read_cb=read, allow_recursive=recursive)
    assert [cache.get(key) for key in said] == ["value"] * 4
    lives = [round(cache.ttl(key) or 0) for key in said]
    assert lives == [10, 10, 100, 100]
    assert cache.get_or_set("short", 1) == "value"


def test_a_store_without_a_lifetime_lives_as_the_function_of_its_value_says(
    make_cache: MakeCache,
) -> None:
    cache = make_cache(
        expire_time=lambda value: value, read_cb=lambda context, key: Store(20)
    )
    assert cache.get("key") == 20
    assert round(cache.ttl("key") or 0) == 20


@pytest.mark.parametrize("recursive", [False, True])
def test_a_function_of_what_was_read_says_how_long_it_lives(
    make_cache: MakeCache, recursive: bool
) -> None:
    said = {"a": 10, "b": 20, "never": 0, "own": Store(1, 30), "absent": None}
    cache = make_cache(
        expire_time=lambda value: value,
        read_cb=lambda context, key: said[key],
        allow_recursive=recursive,
    )
    assert [cache.get(key) for key in said] == [10, 20, 0, 1, None]
    lives = [round(cache.ttl(key) or 0) for key in ("a", "b", "never", "own")]
    assert lives == [10, 20, 0, 30]
    cache.set("set", 10)
    assert cache.ttl("set") is None
    assert cache.expire_time == 0


def test_a_function_may_say_how_long_nothing_is_remembered(
    make_cache: MakeCache, store: BackingStore
) -> None:
    cache = make_cache(
        expire_time=lambda value: 100 if value else 10,
        cache_not_found=True,
        **store.options(),
    )
    assert cache.get("absent", 1) == cache.get("absent", 1) == 1
    with time_travel(11):
        assert cache.get("absent", 1) == 1
    assert store.calls == [("read", "absent")] * 2


def test_an_error_of_the_function_of_lifetimes_reaches_the_caller(
    make_cache: MakeCache, store: BackingStore
) -> None:
    cache = make_cache(expire_time=len, **store.options())
    store["number"] = 1
    with pytest.raises(TypeError, match="len"):
        cache.get("number")
    assert "number" not in cache


def test_a_function_of_lifetimes_needs_a_read_cb(make_cache: MakeCache) -> None:
    with pytest.raises(TypeError, match="read_cb"):
        make_cache(expire_time=len)


def _lifetime(value: object) -> int:
    return 10


def _read(context: None, key: str) -> str:
    return "value"


def test_a_function_of_lifetimes_goes_along_in_a_pickle(make_cache: MakeCache) -> None:
    cache = make_cache(expire_time=_lifetime, read_cb=_read)
    with pickle.loads(pickle.dumps(cache)) as again:
        assert again.get("key") == "value"
    assert round(cache.ttl("key") or 0) == 10


@pytest.mark.parametrize("recursive", [False, True])
def test_what_was_not_found_may_be_remembered_for_less(
    make_cache: MakeCache, recursive: bool
) -> None:
    asked = []

    def read(context: None, key: str) -> object:
        asked.append(key)
        return Store(None, "10s")

    cache = make_cache(read_cb=read, cache_not_found=True, allow_recursive=recursive)
    assert cache.get("key", 1) == cache.get("key", 1) == 1
    assert asked == ["key"]
    with time_travel(11):
        assert cache.get("key", 1) == 1
    assert asked == ["key"] * 2


@pytest.mark.parametrize("recursive", [False, True])
@pytest.mark.parametrize(
    ("said", "error"),
    [
        (Store("value", "soon"), ValueError),
        (Store("value", [1]), TypeError),  # type: ignore[arg-type]
        (Store("value", modseq=1), TypeError),
        (tuple.__new__(Store, ("value",)), TypeError),
    ],
    ids=["lifetime", "type", "modseq", "short"],
)
def test_what_read_cb_says_wrongly_is_an_error(
    make_cache: MakeCache, said: Store, error: type[Exception], recursive: bool
) -> None:
    cache = make_cache(read_cb=lambda context, key: said, allow_recursive=recursive)
    with pytest.raises(error):
        cache.get("key")
    assert "key" not in cache
    cache.set("key", 1)
    assert cache.get("key") == 1


def test_what_was_read_is_not_written(
    make_cache: MakeCache, store: BackingStore
) -> None:
    cache = make_cache(write_action="write_back", **store.options())
    cache.get("stored")
    cache.empty()
    assert store.calls == [("read", "stored")]


def test_a_value_that_read_cb_found_but_does_not_fit_is_returned(
    make_cache: MakeCache,
) -> None:
    cache = make_cache(
        page_size="64k", num_pages=1, read_cb=lambda context, key: b"x" * 65536
    )
    assert cache.get("key") == b"x" * 65536
    assert "key" not in cache


def test_false_values_of_read_cb_are_values(make_cache: MakeCache) -> None:
    calls = []

    def read(context: object, key: object) -> int:
        calls.append(key)
        return 0

    cache = make_cache(read_cb=read)
    assert cache.get("key", "default") == 0
    assert cache.get("key", "default") == 0
    assert calls == ["key"]


@pytest.mark.quick
def test_an_error_of_read_cb_comes_out_and_nothing_is_stored(
    make_cache: MakeCache,
) -> None:
    error = LookupError("no connection")

    def read(context: object, key: object) -> object:
        raise error

    cache = make_cache(page_size="64k", num_pages=1, read_cb=read)
    for _ in range(2):
        with pytest.raises(LookupError) as caught:
            cache.get("key")
        assert caught.value is error
    assert "key" not in cache
    assert cache.set("key", 1)


@pytest.mark.quick
def test_write_through_writes_at_once(tied: FastMmap, store: BackingStore) -> None:
    tied.set("key", [1])
    assert store.calls == [("write", "key", [1], None)]
    assert store["key"] == [1]


def test_write_cb_gets_the_moment_of_expiry(
    tied: FastMmap, store: BackingStore
) -> None:
    tied.set("key", 1, expire_time=100)
    (call,) = store.calls
    assert call[3] == pytest.approx(time.time() + 100, abs=2)


def test_every_way_of_storing_writes_through(
    tied: FastMmap, store: BackingStore
) -> None:
    tied["a"] = 1
    tied.add("b", 2)
    tied.replace("b", 3)
    tied.set_many({"c": 4})
    tied.update(d=5)
    tied.incr("a")
    tied.get_and_set("e", lambda key, value, entry: 6)
    with tied.lock("f") as item:
        item.value = 7
    assert dict(store) == {
        "stored": "in the store",
        "a": 2,
        "b": 3,
        "c": 4,
        "d": 5,
        "e": 6,
        "f": 7,
    }


def test_what_was_not_stored_by_condition_is_not_written(
    tied: FastMmap, store: BackingStore
) -> None:
    tied.set("key", 1, modseq=5)
    store.calls.clear()
    tied.add("key", 2)
    tied.replace("absent", 2)
    tied.set("key", 2, modseq=4)
    assert store.calls == []


@pytest.mark.quick
def test_remove_calls_delete_cb(tied: FastMmap, store: BackingStore) -> None:
    tied.set("key", 1)
    tied.remove("key")
    assert store.calls[-1] == ("delete", "key")
    assert "key" not in store


def test_remove_of_what_is_not_in_the_cache_calls_delete_cb_too(
    tied: FastMmap, store: BackingStore
) -> None:
    assert tied.remove("stored") is False
    assert "stored" not in store


def test_a_changed_value_that_outlives_a_tombstone_is_not_deleted_in_the_store(
    make_cache: MakeCache, store: BackingStore
) -> None:
    cache = make_cache(**store.options(), write_action="write_back")
    cache.set("key", "new", modseq=5)
    assert cache.remove("key", modseq=4) is True
    assert store.calls == []
    assert cache.get_entry("key").dirty


def test_every_way_of_removing_calls_delete_cb(
    tied: FastMmap, store: BackingStore
) -> None:
    tied.update({key: 1 for key in "abcde"})
    store.calls.clear()
    del tied["a"]
    tied.pop("b")
    tied.get_and_remove("c")
    tied.delete_many(["d"])
    with tied.lock("e") as item:
        item.remove()
    assert store.calls == [("delete", key) for key in "abcde"]


def test_clear_purge_and_expire_call_nothing_in_write_through(
    tied: FastMmap, store: BackingStore
) -> None:
    tied.update(a=1, b=2)
    store.calls.clear()
    tied.expire("a")
    tied.purge()
    tied.clear()
    tied.empty()
    assert store.calls == []
    assert (store["a"], store["b"]) == (1, 2)


@pytest.mark.quick
@pytest.mark.parametrize("callback", ["write_cb", "delete_cb"])
def test_errors_of_writers_are_logged_and_do_not_come_out(
    make_cache: MakeCache, caplog: pytest.LogCaptureFixture, callback: str
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError("no connection")

    cache = make_cache(page_size="64k", num_pages=1, **{callback: fail})
    with caplog.at_level(logging.DEBUG, "fastmmap"):
        assert cache.set("key", 1) is True
        assert cache.get("key") == 1
        assert cache.remove("key") is True
    assert "key" not in cache
    (record,) = caplog.records
    assert record.name == "fastmmap"
    assert record.exc_info is not None and "no connection" in str(record.exc_info[1])
    assert callback in record.getMessage() and "key" in record.getMessage()


@pytest.mark.parametrize("callback", ["write_cb", "delete_cb"])
def test_an_interrupt_in_a_writer_does_come_out(
    make_cache: MakeCache, callback: str
) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    cache = make_cache(page_size="64k", num_pages=1, **{callback: interrupt})
    with pytest.raises(KeyboardInterrupt):
        cache.set("key", 1)
        cache.remove("key")
    # The page is free again.
    with FastMmap(cache.share_file, lock_timeout=5) as other:
        assert other.set("other", 1)


def test_the_context_may_be_anything(make_cache: MakeCache) -> None:
    context = object()
    seen = []
    cache = make_cache(
        context=context, read_cb=lambda given, key: seen.append(given is context)
    )
    cache.get("key")
    assert seen == [True]


@pytest.mark.parametrize("callback", ["read_cb", "write_cb", "delete_cb"])
def test_a_callback_must_be_callable(path: str, callback: str) -> None:
    with pytest.raises(TypeError, match=callback):
        FastMmap(path, **{callback: 1})  # type: ignore[arg-type]  # on purpose


def test_an_unknown_write_action_is_a_value_error(path: str) -> None:
    with pytest.raises(ValueError, match="write_action"):
        FastMmap(path, write_action="write_never")


def test_re_entry_in_read_cb_is_a_lock_error(make_cache: MakeCache) -> None:
    def read(cache: FastMmap, key: object) -> object:
        return cache.get("another")

    holder: dict[str, FastMmap] = {}
    cache = make_cache(read_cb=lambda context, key: read(holder["cache"], key))
    holder["cache"] = cache
    with pytest.raises(LockError):
        cache.get("key")
    assert cache.set("key", 1)


def test_get_many_and_multi_get_agree_with_their_help(
    tied: FastMmap, store: BackingStore
) -> None:
    found = tied.get_many(["stored"])
    told = "read_cb" in (tied.get_many.__doc__ or "")
    assert told, "the docstring says whether read_cb is called"
    assert found == ({"stored": "in the store"} if store.calls else {})
