"""Using the cache inside a callback: refused, or allowed when asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from support import MakeCache, run_scenario

from fastmmap import FastMmap, LockError

PAGE: dict[str, Any] = {"page_size": "64k", "num_pages": 1}


class Lazy:
    """A context that learns its cache after it was made."""

    cache: FastMmap


def read_parent(lazy: Lazy, key: str) -> object:
    """Compute a value from that of a shorter key."""
    return "" if not key else str(lazy.cache.get(key[1:])) + key[0]


@pytest.mark.quick
def test_recursion_is_refused_at_once(make_cache: MakeCache) -> None:
    lazy = Lazy()
    lazy.cache = make_cache(context=lazy, read_cb=read_parent, **PAGE)
    with pytest.raises(LockError):
        lazy.cache.get("abc")
    assert len(lazy.cache) == 0
    assert lazy.cache.set("key", 1)


@pytest.mark.quick
def test_recursion_is_allowed_when_asked_for(make_cache: MakeCache) -> None:
    lazy = Lazy()
    lazy.cache = make_cache(
        context=lazy, read_cb=read_parent, allow_recursive=True, **PAGE
    )
    assert lazy.cache.get("abc") == "cba"
    assert sorted(lazy.cache.get_keys()) == ["", "abc", "bc", "c"]


@pytest.mark.parametrize("callback", ["write_cb", "delete_cb"])
def test_writers_are_refused_too_and_their_error_is_logged(
    make_cache: MakeCache, caplog: pytest.LogCaptureFixture, callback: str
) -> None:
    lazy = Lazy()
    lazy.cache = make_cache(
        context=lazy, **PAGE, **{callback: lambda lazy, *_: lazy.cache.get("other")}
    )
    assert lazy.cache.set("key", 1) is True
    assert lazy.cache.remove("key") is True
    (record,) = caplog.records
    assert record.exc_info is not None and record.exc_info[0] is LockError


@pytest.mark.parametrize("callback", ["write_cb", "delete_cb"])
def test_writers_may_use_the_cache_when_asked_for(
    make_cache: MakeCache, caplog: pytest.LogCaptureFixture, callback: str
) -> None:
    seen: list[object] = []
    lazy = Lazy()
    lazy.cache = make_cache(
        context=lazy,
        allow_recursive=True,
        **PAGE,
        **{callback: lambda lazy, *_: seen.append(lazy.cache.exists("other"))},
    )
    lazy.cache.set("key", 1)
    lazy.cache.remove("key")
    assert seen == [False]
    assert not caplog.records


def test_get_and_set_is_refused_whatever_the_option(make_cache: MakeCache) -> None:
    cache = make_cache(allow_recursive=True, **PAGE)
    with pytest.raises(LockError):
        cache.get_and_set("key", lambda key, value, entry: cache.get("other"))
    assert cache.set("key", 1)


def test_other_threads_are_not_refused(make_cache: MakeCache) -> None:
    found: list[object] = []

    def read(context: object, key: str) -> str:
        thread = threading.Thread(target=lambda: found.append(cache.get("other")))
        thread.start()
        thread.join(30)
        return "read"

    cache = make_cache(cache_size="512k", context=None, read_cb=read)
    cache.set("other", "found")
    assert cache.get("key") == "read"
    assert found == ["found"]


def test_another_cache_is_not_refused(make_cache: MakeCache, path: str) -> None:
    other = make_cache(share_file=path + ".other")
    other.set("key", "from the other")
    cache = make_cache(read_cb=lambda context, key: other.get(key))
    assert cache.get("key") == "from the other"


def recursion_never_deadlocks(path: str) -> list[str]:
    """Try every operation inside every kind of user code."""
    inside: list[Callable[[], object]] = []
    outcomes: set[str] = set()

    def attempt(*_: object) -> None:
        for use in inside:
            try:
                use()
                outcomes.add("allowed")
            except LockError:
                outcomes.add("refused")

    cache = FastMmap(path, read_cb=attempt, write_cb=attempt, delete_cb=attempt, **PAGE)
    inside += [
        lambda: cache.get("a"),
        lambda: cache.set("a", 1),
        lambda: cache.remove("a"),
        lambda: cache.incr("a"),
        lambda: cache.purge(),
        lambda: cache.empty(),
        lambda: cache.clear(),
        lambda: cache.get_keys(),
        lambda: cache.get_and_set("a", attempt),
        lambda: cache.get_many(["a"]),
        lambda: cache.check(),
    ]
    cache.get("key")
    cache.set("key", 1)
    cache.remove("key")
    cache.get_and_set("key", attempt)
    with cache.lock("key"):
        attempt()
    return sorted(outcomes)


def test_no_operation_inside_user_code_deadlocks(path: str) -> None:
    assert run_scenario(recursion_never_deadlocks, path, timeout=60) == ["refused"]
