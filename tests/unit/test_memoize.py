"""memoize(): functions whose results are kept and computed once."""

from __future__ import annotations

import asyncio
import functools
import inspect
import itertools
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from support import MakeCache, another_computes

from fastmmap import FastMmap, LockTimeout, _core
from fastmmap.testing import time_travel

MINUTE = 60


class Calls(list[Any]):
    """Remembers with what a function was called."""


@pytest.fixture
def calls() -> Calls:
    return Calls()


def doubled(calls: Calls) -> Callable[..., Any]:
    """Return a function that doubles and notes its argument."""

    def double(x: Any) -> Any:
        calls.append(x)
        return x * 2

    return double


@pytest.mark.quick
def test_a_result_is_computed_once_per_argument(cache: FastMmap, calls: Calls) -> None:
    double = cache.memoize(name="double")(doubled(calls))
    assert [double(1), double(2), double(1), double("a"), double("a")] == [
        *(2, 4, 2),
        *("aa", "aa"),
    ]
    assert calls == [1, 2, "a"]


def test_results_expire(cache: FastMmap, calls: Calls) -> None:
    double = cache.memoize("10s", name="double")(doubled(calls))
    double(1)
    with time_travel(11):
        double(1)
    assert calls == [1, 1]


def test_a_none_is_a_result(cache: FastMmap, calls: Calls) -> None:
    @cache.memoize(name="nothing")
    def nothing() -> None:
        calls.append(1)

    assert nothing() is None and nothing() is None
    assert calls == [1]


@pytest.mark.quick
@pytest.mark.parametrize("options", [{}, {"early": 1.0, "expire_time": "1m"}])
def test_results_that_are_too_large_are_logged_once_per_function(
    one_page: FastMmap, caplog: pytest.LogCaptureFixture, options: dict[str, Any]
) -> None:
    @one_page.memoize(**options)
    def large(x: int) -> bytes:
        return b"x" * 100_000

    @one_page.memoize(**options)
    async def large_too(x: int) -> bytes:
        return b"x" * 100_000

    for number in (1, 1, 2):
        assert len(large(number)) == len(asyncio.run(large_too(number))) == 100_000
    limit = one_page._info()["max_value"]
    terms = f"key and value take at most {limit:,} here: raise cache_size. "
    for name in ("large", "large_too"):
        assert caplog.text.count(f"<locals>.{name}\n") == 1
    assert caplog.text.count("about 100,0") == caplog.text.count(terms) == 2


def test_the_function_looks_like_itself(cache: FastMmap) -> None:
    def original(a: int, b: str = "x", *, c: float) -> bytes:
        """Explain itself."""
        return b""

    kept = cache.memoize()(original)
    assert kept.__wrapped__ is original
    assert inspect.signature(kept) == inspect.signature(original)
    assert kept.__name__ == "original"  # type: ignore[attr-defined]  # copied
    assert kept.__doc__ == "Explain itself."
    assert inspect.iscoroutinefunction(kept) is False


def test_a_callable_without_a_name_is_shown_as_it_is(cache: FastMmap) -> None:
    kept = cache.memoize(name="add")(functools.partial(int.__add__, 1))
    assert kept(2) == 3
    assert "partial" in repr(kept)


@pytest.mark.quick
def test_a_result_can_be_found_and_forgotten(cache: FastMmap, calls: Calls) -> None:
    double = cache.memoize(name="double")(doubled(calls))
    assert double.invalidate(1) is False
    double(1)
    assert cache[double.cache_key(1)] == 2
    assert double.invalidate(x=1) is True
    assert double.invalidate(1) is False
    double(1)
    assert calls == [1, 1]


def test_a_result_that_is_forgotten_while_it_is_computed_is_not_kept(
    cache: FastMmap,
) -> None:
    @cache.memoize()
    def compute() -> str:
        compute.invalidate()
        return "stale"

    assert compute() == "stale"
    assert compute.cache_key() not in cache


def test_threads_compute_once(cache: FastMmap, calls: Calls) -> None:
    @cache.memoize(name="slow")
    def slow(x: int) -> int:
        calls.append(x)
        time.sleep(0.1)
        return x

    threads = [threading.Thread(target=slow, args=(1,)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert calls == [1]


def test_a_recursive_function_keeps_each_step(cache: FastMmap, calls: Calls) -> None:
    @cache.memoize(name="fibonacci")
    def fibonacci(n: int) -> int:
        calls.append(n)
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    assert fibonacci(30) == 832040
    assert len(calls) == 31


def test_errors_are_not_kept_unless_asked(cache: FastMmap, calls: Calls) -> None:
    @cache.memoize(name="fail")
    def fail() -> None:
        calls.append(1)
        raise KeyError("mine")

    for _ in range(2):
        with pytest.raises(KeyError, match="mine"):
            fail()
    assert calls == [1, 1]


class Loud(LookupError):
    """An exception with arguments of its own."""

    def __init__(self, what: str, *, loud: bool = False) -> None:
        super().__init__(what)
        self.loud = loud


class Unpicklable(LookupError):
    """An exception that does not survive a pickle."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__(a + b)


def test_errors_that_are_asked_for_are_kept(cache: FastMmap, calls: Calls) -> None:
    @cache.memoize("10s", cache_exceptions=(LookupError, OSError), name="fail")
    def fail(error: int) -> str:
        calls.append(error)
        errors = [Loud("mine", loud=True), ValueError("not"), Unpicklable(1, 2)]
        if error == 3:
            return "none"
        raise errors[error]

    for _ in range(2):
        with pytest.raises(Loud, match="mine") as caught:
            fail(0)
        assert caught.value.loud is True
        with pytest.raises(ValueError):
            fail(1)
        with pytest.raises(Unpicklable):
            fail(2)
        assert fail(3) == "none"
    assert calls == [0, 1, 2, 3, 1, 2]
    with time_travel(11), pytest.raises(Loud):
        fail(0)
    assert calls[6:] == [0]


# --------------------------------------------------- lifetimes from the result


@pytest.mark.quick
@pytest.mark.parametrize("options", [{}, {"stale": "1s"}], ids=str)
def test_a_lifetime_may_be_a_function_of_the_result(
    cache: FastMmap, calls: Calls, options: Any
) -> None:
    @cache.memoize(expire_time=lambda token: token["seconds"], name="login", **options)
    def login(seconds: Any) -> Any:
        calls.append(seconds)
        return {"seconds": seconds}

    for seconds in (10, "1h", None):
        assert login(seconds) == login(seconds) == {"seconds": seconds}
    with time_travel(60):
        for seconds in (10, "1h", None):
            login(seconds)
    assert calls == [10, "1h", None, 10]


def test_coroutine_functions_have_such_lifetimes_too(
    cache: FastMmap, calls: Calls
) -> None:
    @cache.memoize(expire_time=lambda seconds: seconds, name="later")
    async def later(seconds: int) -> int:
        calls.append(seconds)
        return seconds

    for ahead in (0, 0, 60):
        with time_travel(ahead):
            asyncio.run(later(10)), asyncio.run(later(100))
    assert calls == [10, 100, 10]


@pytest.mark.parametrize("bad", ["soon", -1, [], KeyError("mine")], ids=repr)
def test_a_bad_lifetime_of_a_result_is_the_callers_error(
    cache: FastMmap, bad: Any
) -> None:
    def lifetime(value: Any) -> Any:
        if isinstance(bad, Exception):
            raise bad
        return bad

    kept = cache.memoize(expire_time=lifetime, name="kept")(lambda: 1)
    for call in (kept, lambda: cache.get_or_set("key", lambda: 1, lifetime)):
        with pytest.raises((TypeError, ValueError, KeyError), match=r"lifetime|mine"):
            call()
    assert len(cache) == 0


@pytest.mark.quick
def test_nothing_and_exceptions_may_have_a_shorter_lifetime(
    cache: FastMmap, calls: Calls
) -> None:
    @cache.memoize("1h", negative="5s", cache_exceptions=KeyError, name="find")
    def find(what: str) -> Any:
        calls.append(what)
        if what == "error":
            raise KeyError(what)
        return None if what == "none" else what

    def find_all() -> None:
        assert (find("value"), find("none")) == ("value", None)
        with pytest.raises(KeyError):
            find("error")

    find_all(), find_all()
    assert calls == ["value", "none", "error"]
    with time_travel(10):
        find_all()
    assert calls[3:] == ["none", "error"]


# ------------------------------------------------------------ early and stale


@pytest.mark.quick
def test_a_stale_result_is_given_while_one_computes(cache: FastMmap) -> None:
    results = iter(["old", "new"])
    entered, leave = threading.Event(), threading.Event()

    @cache.memoize(10, stale=MINUTE, name="compute")
    def compute() -> str:
        result = next(results)
        if result == "new":
            entered.set()
            assert leave.wait(30)
        return result

    assert compute() == "old"
    with time_travel(11):
        first: list[str] = []
        thread = threading.Thread(target=lambda: first.append(compute()))
        thread.start()
        assert entered.wait(30)
        assert [compute() for _ in range(5)] == ["old"] * 5
        leave.set()
        thread.join(30)
        assert first == ["new"] and compute() == "new"


def test_a_result_beyond_its_stale_time_is_gone(cache: FastMmap, calls: Calls) -> None:
    double = cache.memoize(10, stale="20s", name="double")(doubled(calls))
    double(1)
    with time_travel(29):
        assert cache.exists(double.cache_key(1))
    with time_travel(31):
        assert not cache.exists(double.cache_key(1))
        double(1)
    assert calls == [1, 1]


def test_a_refresh_that_fails_leaves_the_stale_result(cache: FastMmap) -> None:
    results: list[Any] = ["old", ZeroDivisionError(), "new"]

    @cache.memoize(10, stale=MINUTE, name="compute")
    def compute() -> Any:
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    compute()
    with time_travel(11):
        with pytest.raises(ZeroDivisionError):
            compute()
        assert cache.exists(compute.cache_key())
        assert compute() == "new"
        assert compute() == "new"


def test_a_fresh_result_is_never_computed_anew_without_early(
    cache: FastMmap, calls: Calls
) -> None:
    double = cache.memoize(10, stale=10, name="double")(doubled(calls))
    for _ in range(100):
        double(1)
    with time_travel(9):
        double(1)
    assert calls == [1]


def test_early_computes_the_likelier_the_nearer_the_end(
    cache: FastMmap, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = cache.memoize(100, early=1.0, name="double")(doubled(calls))
    ticks = itertools.count(0, 10)  # each computation takes 10 s
    monkeypatch.setattr("fastmmap._core.monotonic", ticks.__next__)

    def share(seconds: float) -> float:
        """Return how often a call after that long computes anew."""
        counted = 0
        for _ in range(300):
            double.invalidate(1)
            double(1)
            before = len(calls)
            with time_travel(seconds):
                double(1)
            counted += len(calls) - before
        return counted / 300

    # exp(-(100 - t) / 10): the published distribution.
    assert share(50) < 0.05
    assert 0.25 < share(90) < 0.5
    assert share(99.5) > 0.85


def test_other_callers_go_on_with_the_old_result_of_an_early_refresh(
    cache: FastMmap,
) -> None:
    @cache.memoize(100, early=1e9)  # at once
    def compute() -> int:
        time.sleep(0.001)
        return 1

    compute()
    key = compute.cache_key()
    other = _core.Lease(cache, key, 60_000)
    assert other.take(True)[0] == _core.LEASE_TAKEN
    began = time.monotonic()
    assert compute() == 1
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("serializer", ["json", "msgpack", "pickle"])
def test_records_survive_every_serializer(
    make_cache: MakeCache, calls: Calls, serializer: str
) -> None:
    cache = make_cache(serializer=serializer)
    double = cache.memoize(10, stale=10, early=0.5, name="double")(doubled(calls))
    assert double(2) == double(2) == 4
    with time_travel(11):
        assert double(2) == 4
    assert len(calls) >= 2


def test_a_plain_value_under_the_key_is_taken_as_it_is(
    cache: FastMmap, calls: Calls
) -> None:
    double = cache.memoize(10, stale=10, name="double")(doubled(calls))
    cache[double.cache_key(1)] = "by hand"
    assert double(1) == "by hand"
    assert calls == []


def test_a_record_is_read_by_a_function_that_makes_none(
    cache: FastMmap, calls: Calls
) -> None:
    first = cache.memoize(10, stale=10, name="double")(doubled(calls))
    again = cache.memoize(10, name="double")(doubled(calls))
    assert first(1) == again(1) == 2
    assert calls == [1]


# --------------------------------------------------------------------- methods


def test_methods_of_all_kinds(cache: FastMmap, calls: Calls) -> None:
    class Thing:
        @cache.memoize(ignore=("self",), name="method")
        def method(self, x: int) -> int:
            calls.append(x)
            return x

        @classmethod
        @cache.memoize(name="of_class")
        def of_class(cls, x: int) -> tuple[str, int]:
            calls.append(x)
            return cls.__name__, x

        @cache.memoize(name="static")
        @staticmethod
        def static(x: int) -> int:
            calls.append(x)
            return x

        @cache.memoize(name="inside")  # type: ignore[misc, arg-type]  # cls is bound
        @classmethod
        def inside(cls, x: int) -> int:
            calls.append(x)
            return x

    class Other(Thing):
        pass

    for _ in range(2):
        assert Thing().method(1) == Thing().method(1) == 1
        assert Thing.of_class(2) == ("Thing", 2)  # type: ignore[call-arg, arg-type]  # cls is bound
        assert Other.of_class(2) == ("Other", 2)  # type: ignore[call-arg, arg-type]  # cls is bound
        assert Thing.static(3) == Thing().static(3) == 3
        assert Thing.inside(4) == Thing().inside(4) == 4
    assert calls == [1, 2, 2, 3, 4]
    assert Thing.method.invalidate(Thing(), 1) is True


def tax_of(cache: FastMmap, **options: Any) -> Any:
    class Shop:
        def __init__(self, rate: int, connection: object = None) -> None:
            self.rate, self.connection = rate, connection

        @cache.memoize(name="tax", **options)
        def tax(self, price: int) -> int:
            return price * self.rate

        @cache.memoize(name="duty", **options)
        async def duty(self, price: int) -> int:
            return price * self.rate

    return Shop


def test_instances_that_differ_and_are_ignored_are_warned_of_once(
    cache: FastMmap,
) -> None:
    shop = tax_of(cache, ignore=("self",))
    here, there = shop(1), shop(2)
    calls: list[Callable[[Any], Any]] = [
        lambda shop: shop.tax(100),
        lambda shop: asyncio.run(shop.duty(100)),
    ]
    for call, name in zip(calls, ("tax", "duty"), strict=True):
        assert call(here) == call(here) == 100
        told = f"{name} ignores 'self', but its instances differ in 'rate', and get"
        with pytest.warns(RuntimeWarning, match=told) as warned:
            assert [call(shop) for shop in (there, here, there)] == [100] * 3
        assert len(warned) == 1
        if name == "tax":
            assert warned[0].filename == __file__


@pytest.mark.filterwarnings("error")
def test_instances_that_are_alike_are_not_warned_of(cache: FastMmap) -> None:
    shop = tax_of(cache, ignore=("self",))
    shops = [shop(1, connection=object()) for _ in range(300)]
    assert {shop.tax(100) for shop in shops} == {100}
    shops[0].rate = 3
    assert shops[0].tax(100) == 100

    counter = tax_of(cache, ignore=("self",))(1)
    for counter.rate in range(3):  # an instance may change
        counter.tax(50)


def test_instances_at_one_address_are_compared_too(cache: FastMmap) -> None:
    shop = tax_of(cache, ignore=("self",))
    with pytest.warns(RuntimeWarning, match="differ in 'rate'"):
        for rate in range(5):
            shop(rate).tax(100)


def test_self_is_a_part_of_the_key_when_it_can_be(
    cache: FastMmap, calls: Calls
) -> None:
    from dataclasses import dataclass

    @dataclass
    class Point:
        x: int

        @cache.memoize(name="plus")
        def plus(self, y: int) -> int:
            calls.append((self.x, y))
            return self.x + y

    assert Point(1).plus(1) == Point(1).plus(1) == 2
    assert Point(2).plus(1) == 3
    assert calls == [(1, 1), (2, 1)]


def test_a_method_of_an_object_without_a_spelling_says_what_to_do(
    cache: FastMmap,
) -> None:
    class Thing:
        @cache.memoize()
        def method(self) -> int:
            return 1

    with pytest.raises(TypeError, match=r"ignore=\('self',\)"):
        Thing().method()


# ------------------------------------------------------------------------ keys


def test_a_key_of_ones_own(cache: FastMmap, calls: Calls) -> None:
    double = cache.memoize(key=lambda x: f"double:{x}")(doubled(calls))
    assert double(2) == 4
    assert cache["double:2"] == 4
    assert double.cache_key(3) == "double:3"
    assert double.invalidate(2) is True


def test_a_lambda_needs_a_key(cache: FastMmap) -> None:
    with pytest.raises(TypeError, match="key="):
        cache.memoize()(lambda: 1)
    assert cache.memoize(key=lambda: "one")(lambda: 1)() == 1


def test_equal_calls_share_a_result_unless_typed(cache: FastMmap, calls: Calls) -> None:
    double = cache.memoize(name="double")(doubled(calls))
    assert [double(1), double(1.0), double(True), double(x=1)] == [2] * 4
    assert len(calls) == 1
    typed = cache.memoize(typed=True, name="double")(doubled(calls))
    assert [typed(1), typed(1.0), typed(True), typed(x=1)] == [2, 2.0, 2, 2]
    assert len(calls) == 4


# ---------------------------------------------------------------- what it takes


def test_generators_are_refused_when_decorating(cache: FastMmap) -> None:
    def numbers() -> Iterator[int]:
        yield 1

    async def later() -> AsyncIterator[int]:
        yield 1

    for function in (numbers, later):
        with pytest.raises(TypeError, match="is a generator"):
            cache.memoize()(function)


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        ({"ignore": ("y",)}, ValueError),
        ({"early": -1}, ValueError),
        ({"early": float("nan")}, ValueError),
        ({"stale": -1}, ValueError),
        ({"stale": 10}, ValueError),  # of what never expires
        ({"early": 1.0}, ValueError),
        ({"expire_time": "soon"}, ValueError),
        ({"negative": "soon"}, ValueError),
        ({"cache_exceptions": (KeyboardInterrupt,)}, TypeError),
        ({"cache_exceptions": ("KeyError",)}, TypeError),
        ({"key": str, "typed": True}, ValueError),
        ({"key": str, "ignore": ("x",)}, ValueError),
        ({"lease_time": "now"}, ValueError),
        ({"timeout": -1}, ValueError),
    ],
    ids=str,
)
def test_bad_arguments_are_errors_at_once(
    cache: FastMmap, calls: Calls, bad: Any, kind: Any
) -> None:
    with pytest.raises(kind):
        cache.memoize(**bad, name="double")(doubled(calls))


def test_what_a_serializer_cannot_keep_is_refused(make_cache: MakeCache) -> None:
    cache = make_cache(serializer="raw")
    with pytest.raises(ValueError, match="serializer"):
        cache.memoize(10, stale=10)
    with pytest.raises(ValueError, match="pickle"):
        cache.memoize(10, cache_exceptions=KeyError)


def test_forgotten_parentheses_say_so(cache: FastMmap, calls: Calls) -> None:
    with pytest.raises((TypeError, ValueError)):
        cache.memoize(doubled(calls))(1)  # type: ignore[arg-type]  # on purpose


def test_a_timeout_ends_the_waiting(cache: FastMmap, calls: Calls) -> None:
    double = cache.memoize(timeout=0.05, name="double")(doubled(calls))
    with another_computes(cache, double.cache_key(1)), pytest.raises(LockTimeout):
        double(1)


# ----------------------------------------------------------------------- async


@pytest.mark.quick
def test_coroutine_functions_stay_coroutine_functions(
    cache: FastMmap, calls: Calls
) -> None:
    @cache.memoize(name="double")
    async def double(x: int) -> int:
        calls.append(x)
        await asyncio.sleep(0.02)
        return 2 * x

    async def main() -> list[int]:
        return list(await asyncio.gather(*(double(n % 4) for n in range(32))))

    assert inspect.iscoroutinefunction(double)
    assert asyncio.run(main()) == [2 * (n % 4) for n in range(32)]
    assert sorted(calls) == [0, 1, 2, 3]
    assert cache[double.cache_key(3)] == 6


def test_async_methods_errors_and_stale_results(cache: FastMmap, calls: Calls) -> None:
    class Thing:
        @cache.memoize(
            10, ignore="self", stale=10, cache_exceptions=KeyError, name="method"
        )
        async def method(self, x: int) -> int:
            calls.append(x)
            if x < 0:
                raise KeyError(x)
            return x

    async def main() -> None:
        for _ in range(2):
            assert await Thing().method(1) == 1
            with pytest.raises(KeyError):
                await Thing().method(-1)
        with time_travel(11):
            assert await Thing().method(1) == 1

    asyncio.run(main())
    assert calls == [1, -1, 1]


def test_a_cancelled_computation_gives_its_lease_back(cache: FastMmap) -> None:
    @cache.memoize(key=lambda seconds: "key")
    async def sleep(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    async def main() -> float:
        first = asyncio.ensure_future(sleep(60))
        await asyncio.sleep(0.02)
        first.cancel()
        return await asyncio.wait_for(sleep(0), 20)

    assert asyncio.run(main()) == 0
