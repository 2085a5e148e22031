"""get_or_set(): the value of a key, computed once where there is none."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from support import BackingStore, MakeCache, another_computes

from fastmmap import FastMmap, LockError, LockTimeout
from fastmmap.sync import Lock
from fastmmap.testing import time_travel


class Counted:
    """Computes slowly, and counts."""

    def __init__(self, value: Any = "value", seconds: float = 0.0) -> None:
        self.value, self.seconds, self.calls = value, seconds, 0

    def __call__(self) -> Any:
        self.calls += 1
        time.sleep(self.seconds)
        return self.value


def in_threads(count: int, target: Any) -> list[Any]:
    """Return what a function returns in so many threads at once."""
    results: list[Any] = []
    threads = [
        threading.Thread(target=lambda: results.append(target())) for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results


@pytest.mark.quick
def test_a_missing_value_is_computed_and_kept(cache: FastMmap) -> None:
    counted = Counted()
    assert cache.get_or_set("key", counted) == "value"
    assert cache.get_or_set("key", counted) == "value"
    assert counted.calls == 1
    assert cache["key"] == "value"


def test_a_default_that_is_no_function_is_the_value(cache: FastMmap) -> None:
    assert cache.get_or_set("key", [1, 2]) == [1, 2]
    assert cache["key"] == [1, 2]
    assert cache.get_or_set("key", "other") == [1, 2]


@pytest.mark.quick
def test_a_stored_none_is_a_value(cache: FastMmap) -> None:
    counted = Counted(None)
    assert cache.get_or_set("key", counted) is None
    assert cache.get_or_set("key", counted) is None
    assert counted.calls == 1 and "key" in cache


def test_the_lifetime_is_kept(cache: FastMmap) -> None:
    cache.get_or_set("key", 1, "10s")
    cache.get_or_set("for ever", 1)
    with time_travel(11):
        assert cache.get_or_set("key", 2) == 2
        assert cache.get_or_set("for ever", 2) == 1


def test_the_lifetime_may_be_a_function_of_the_value(cache: FastMmap) -> None:
    async def fetch() -> int:
        return 10

    cache.get_or_set("plain", 10, lambda seconds: seconds)
    asyncio.run(cache.get_or_set("async", fetch, lambda seconds: seconds))
    with time_travel(9):
        assert set(cache) == {"plain", "async"}
    with time_travel(11):
        assert set(cache) == set()


def test_the_default_lifetime_counts(make_cache: MakeCache) -> None:
    cache = make_cache(expire_time=10)
    cache.get_or_set("key", 1)
    with time_travel(11):
        assert "key" not in cache


@pytest.mark.quick
def test_threads_compute_once_and_all_get_the_value(cache: FastMmap) -> None:
    counted = Counted({"a": 1}, 0.1)
    results = in_threads(32, lambda: cache.get_or_set("key", counted))
    assert results == [{"a": 1}] * 32
    assert counted.calls == 1


def test_an_error_reaches_the_caller_and_is_not_kept(cache: FastMmap) -> None:
    def fail() -> None:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        cache.get_or_set("key", fail)
    began = time.monotonic()
    assert cache.get_or_set("key", 1) == 1
    assert time.monotonic() - began < 5


CHANGES: dict[str, Callable[[FastMmap], object]] = {
    "set": lambda cache: cache.set("key", "newer"),
    "remove": lambda cache: cache.remove("key"),
    "tombstone": lambda cache: cache.remove("key", modseq=1),
    "clear": lambda cache: cache.clear(),
    "pop": lambda cache: cache.pop("key", None),
    "get_and_remove": lambda cache: cache.get_and_remove("key"),
    "delete_many": lambda cache: cache.delete_many(["key"]),
    "expire": lambda cache: cache.expire("key"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_value_computed_before_a_change_is_not_stored(
    cache: FastMmap, change: str
) -> None:

    def compute() -> str:
        CHANGES[change](cache)
        return "stale"

    assert cache.get_or_set("key", compute) == "stale"
    assert cache.get("key") == ("newer" if change == "set" else None)


def test_a_pop_of_nothing_leaves_a_lock_alone(cache: FastMmap) -> None:
    lock = Lock(cache, "a")
    with lock:
        assert cache.pop(lock._keys[0], "nothing") == "nothing"
        assert lock.locked()


def test_a_tombstoned_key_is_computed_and_not_stored(cache: FastMmap) -> None:
    counted = Counted()
    cache.remove("key", modseq=5)
    assert cache.get_or_set("key", counted) == "value"
    assert cache.get_or_set("key", counted) == "value"
    assert counted.calls == 2 and "key" not in cache


def test_a_value_that_does_not_fit_is_returned(one_page: FastMmap) -> None:
    large = b"x" * 100_000
    assert one_page.get_or_set("key", lambda: large) == large
    assert one_page.get_or_set("k" * 60_000, 1) == 1
    assert len(one_page) == 0
    assert one_page._lease_peek("key") is None


def test_a_value_that_does_not_fit_is_logged(
    one_page: FastMmap, caplog: pytest.LogCaptureFixture
) -> None:
    one_page.get_or_set("key", lambda: b"x" * 100_000)
    assert caplog.text.count("the value of key 'key' is too large for") == 1
    limit = one_page._info()["max_value"]
    assert (
        f"about 100,000 bytes, and key and value take at most {limit:,}" in caplog.text
    )
    assert "raise cache_size" in caplog.text


def test_a_value_whose_lease_is_lost_is_not_said_to_be_too_large(
    cache: FastMmap, caplog: pytest.LogCaptureFixture
) -> None:
    assert cache.get_or_set("key", lambda: cache.remove("key")) is False
    assert "key" not in cache
    assert caplog.text == ""


def test_a_value_that_cannot_be_stored_is_returned_and_logged(
    cache: FastMmap, caplog: pytest.LogCaptureFixture
) -> None:
    lock = threading.Lock()
    with caplog.at_level(logging.ERROR, "fastmmap"):
        assert cache.get_or_set("key", lambda: lock) is lock
    assert "storing a computed value failed for key 'key'" in caplog.text
    assert "key" not in cache


class SoftTimeLimit(Exception):
    """As a task queue raises it, from a signal handler."""


@pytest.mark.parametrize("error", [SoftTimeLimit, TimeoutError, KeyboardInterrupt])
def test_an_error_that_is_none_of_the_values_own_reaches_the_caller(
    cache: FastMmap, error: type[BaseException]
) -> None:
    class Value:
        def __reduce__(self) -> str:
            raise error  # here the signal comes

    with pytest.raises(error):
        cache.get_or_set("key", Value)
    with pytest.raises(error):
        cache.memoize(key=lambda: "key")(Value)()
    assert cache._lease_peek("key") is None and "key" not in cache


def test_a_cache_that_is_closed_meanwhile_costs_the_store_only(
    cache: FastMmap,
) -> None:
    def compute() -> int:
        cache.close()
        return 1

    assert cache.get_or_set("key", compute) == 1


def test_the_cache_can_be_used_while_one_computes(one_page: FastMmap) -> None:
    def compute() -> int:
        one_page["other"] = 1
        return one_page.get_or_set("third", lambda: one_page.incr("other"))

    assert one_page.get_or_set("key", compute) == 2


@pytest.mark.quick
def test_asking_for_the_key_that_one_computes_is_an_error(cache: FastMmap) -> None:
    def compute() -> object:
        return cache.get_or_set("key", compute, timeout=5)

    with pytest.raises(LockError, match="wait for itself"):
        cache.get_or_set("key", compute)
    assert cache.get_or_set("key", 1) == 1


def test_bytes_and_text_are_two_keys_to_one_who_computes(cache: FastMmap) -> None:
    assert cache.get_or_set("key", lambda: cache.get_or_set(b"key", 1)) == 1


def test_a_timeout_ends_the_waiting(cache: FastMmap) -> None:
    began = time.monotonic()
    with another_computes(cache):
        with pytest.raises(LockTimeout, match="'key' is being computed by process"):
            cache.get_or_set("key", 1, timeout=0.1)
        assert 0.1 <= time.monotonic() - began < 5
        with pytest.raises(LockTimeout):
            cache.get_or_set("key", 1, timeout=0)


def test_a_lease_that_is_over_is_taken_over(cache: FastMmap) -> None:
    with another_computes(cache, ms=100):
        assert cache.get_or_set("key", 1, timeout=20) == 1


def test_the_time_to_compute_is_the_lease(cache: FastMmap) -> None:
    def compute() -> int:
        with time_travel(31):
            return cache.get_or_set("key", 2)

    # The inner call takes over, as another process would, and wins.
    with pytest.raises(LockError):
        cache.get_or_set("key", compute, lease_time=40)
    assert cache.get_or_set("key", compute, lease_time=30) == 2
    assert cache["key"] == 2


@pytest.mark.parametrize("lease_time", ["never", 0, "1w", "500ms", 0.5])
def test_a_lease_time_is_any_lifetime(cache: FastMmap, lease_time: Any) -> None:
    assert cache.get_or_set("key", 1, lease_time=lease_time) == 1


@pytest.mark.parametrize(
    "bad",
    [
        {"lease_time": "now"},
        {"lease_time": -1},
        {"timeout": -1},
        {"timeout": float("nan")},
        {"expire_time": "soon"},
    ],
    ids=str,
)
def test_bad_arguments_are_value_errors_and_nothing_is_computed(
    cache: FastMmap, bad: Any
) -> None:
    counted = Counted()
    with pytest.raises(ValueError):
        cache.get_or_set("key", counted, **bad)
    assert counted.calls == 0


def test_read_cb_is_asked_first(make_cache: MakeCache) -> None:
    store = BackingStore(known=1)
    cache = make_cache(**store.options())
    assert cache.get_or_set("known", 2) == 1
    assert cache.get_or_set("unknown", 3) == 3
    assert store["unknown"] == 3  # by write_cb


def test_a_known_absence_is_no_value(make_cache: MakeCache) -> None:
    cache = make_cache(cache_not_found=True, **BackingStore().options())
    assert cache.get("key") is None
    assert cache.get_or_set("key", 1) == 1
    assert cache["key"] == 1


# ------------------------------------------------------------------------ async


@pytest.mark.quick
def test_tasks_compute_once_and_all_get_the_value(cache: FastMmap) -> None:
    calls = []

    async def compute() -> str:
        calls.append(1)
        await asyncio.sleep(0.05)
        return "value"

    async def main() -> list[str]:
        wanted = [cache.get_or_set("key", compute) for _ in range(32)]
        return list(await asyncio.gather(*wanted))

    assert asyncio.run(main()) == ["value"] * 32
    assert len(calls) == 1


def test_a_value_that_is_there_can_be_awaited(cache: FastMmap) -> None:
    async def compute(value: int) -> int:
        return value

    cache["key"] = 1
    partial = functools.partial(compute, 2)
    assert asyncio.run(cache.get_or_set("key", partial)) == 1
    assert asyncio.run(cache.get_or_set("other", partial)) == 2


def test_waiting_tasks_do_not_block_their_loop(cache: FastMmap) -> None:
    async def compute() -> int:
        await asyncio.sleep(0.2)
        return 1

    async def tick() -> int:
        ticks = 0
        while "key" not in cache:
            await asyncio.sleep(0.005)
            ticks += 1
        return ticks

    async def main() -> int:
        wanted = [cache.get_or_set("key", compute) for _ in range(8)]
        ticks, *values = await asyncio.gather(tick(), *wanted)
        assert values == [1] * 8
        return ticks

    assert asyncio.run(main()) > 5


def test_a_cancelled_computation_gives_its_lease_back(cache: FastMmap) -> None:
    async def compute_for_long() -> int:
        await asyncio.sleep(60)
        return 1

    async def compute() -> int:
        return 2

    async def main() -> int:
        first = asyncio.ensure_future(cache.get_or_set("key", compute_for_long))
        await asyncio.sleep(0.02)
        second = asyncio.ensure_future(cache.get_or_set("key", compute))
        await asyncio.sleep(0.02)
        assert not second.done()
        first.cancel()
        value: int = await asyncio.wait_for(second, 20)
        assert first.cancelled()
        return value

    assert asyncio.run(main()) == 2


def test_a_cancelled_waiter_leaves_the_others_alone(cache: FastMmap) -> None:
    async def compute() -> int:
        await asyncio.sleep(0.1)
        return 1

    async def main() -> list[Any]:
        tasks = [
            asyncio.ensure_future(cache.get_or_set("key", compute)) for _ in range(5)
        ]
        await asyncio.sleep(0.02)
        tasks[3].cancel()
        return list(await asyncio.gather(*tasks, return_exceptions=True))

    results = asyncio.run(main())
    assert isinstance(results.pop(3), asyncio.CancelledError)
    assert results == [1] * 4


def test_a_task_that_waits_for_itself_is_an_error(cache: FastMmap) -> None:
    async def compute() -> Any:
        return await asyncio.gather(cache.get_or_set("key", compute))

    with pytest.raises(LockError):
        asyncio.run(cache.get_or_set("key", compute))


def test_threads_and_tasks_compute_once_together(cache: FastMmap) -> None:
    counted = Counted("value", 0.1)

    async def compute() -> Any:
        return await asyncio.to_thread(counted)

    async def main() -> list[Any]:
        tasks = [cache.get_or_set("key", compute) for _ in range(16)]
        threads = [
            asyncio.to_thread(cache.get_or_set, "key", counted) for _ in range(4)
        ]
        return list(await asyncio.gather(*tasks, *threads))

    assert asyncio.run(main()) == ["value"] * 20
    assert counted.calls == 1


class _Lazy:
    """A value that computes when it is pickled, as a query of a database does."""

    def __init__(self, func: Any) -> None:
        self.func = func

    def __reduce__(self) -> Any:
        return str, (str(self.func()),)


def test_asking_for_a_key_while_its_value_is_stored_is_refused_at_once(
    cache: FastMmap,
) -> None:
    asked: list[BaseException] = []

    def again() -> object:
        try:
            return cache.get_or_set("key", lambda: 1, timeout=5)
        except LockError as error:
            asked.append(error)
            return 2

    cache.get_or_set("key", lambda: _Lazy(again))
    assert len(asked) == 1
    assert cache.get("key") == "2"


async def fetch() -> str:
    return "fetched"


class Fetching:
    async def __call__(self) -> str:
        return "fetched"


AWAITED: dict[str, Callable[[], Awaitable[str]]] = {
    "async def": fetch,
    "lambda": lambda: fetch(),
    "object": Fetching(),
    "partial": functools.partial(fetch),
    "future": lambda: asyncio.ensure_future(fetch()),
}


@pytest.mark.quick
@pytest.mark.parametrize("name", AWAITED)
def test_whatever_is_to_be_awaited_is_by_get_or_set_async(
    cache: FastMmap, name: str
) -> None:
    async def main() -> list[str]:
        wanted = (cache.get_or_set_async("key", AWAITED[name], "1h") for _ in range(3))
        return list(await asyncio.gather(*wanted))

    assert asyncio.run(main()) == ["fetched"] * 3
    assert cache["key"] == "fetched"
    assert cache.stats().stores <= 2  # a lease and a value


@pytest.mark.parametrize("name", ["lambda", "object", "future"])
def test_a_plain_function_whose_result_is_to_be_awaited_is_a_type_error(
    cache: FastMmap, name: str
) -> None:
    async def main() -> None:
        with pytest.raises(TypeError, match="or use get_or_set_async"):
            cache.get_or_set("key", AWAITED[name])
        memoized = cache.memoize(key=lambda: "other")(AWAITED[name])
        with pytest.raises(TypeError, match="'other', and returned a "):
            memoized()

    asyncio.run(main())
    assert cache._lease_peek("key") is None and len(cache) == 0


def test_get_or_set_async_has_the_errors_of_get_or_set(cache: FastMmap) -> None:
    for arguments, error in (
        (("key", fetch, "soon"), ValueError),
        ((1, fetch), TypeError),
        (("key", 1), TypeError),
    ):
        with pytest.raises(error):
            asyncio.run(cache.get_or_set_async(*arguments))  # type: ignore[arg-type]  # on purpose
    with another_computes(cache, "key"), pytest.raises(LockTimeout):
        asyncio.run(cache.get_or_set_async("key", fetch, timeout=0.05))
