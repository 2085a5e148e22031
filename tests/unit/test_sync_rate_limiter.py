"""Rate limiters: how many pass, to the last one."""

from __future__ import annotations

import asyncio
import pickle
import random
import threading
import time
from fractions import Fraction
from typing import Any, Optional

import pytest
from support import MakeCache

from fastmmap import FastMmap, LockError, _core
from fastmmap.sync import RateLimiter
from fastmmap.testing import time_travel


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the clock: here only time_travel moves it."""
    now = _core.now_ns()
    monkeypatch.setattr(_core, "now_ns", lambda: now + _core.get_travel() * 10**6)


def taken(limiter: RateLimiter, tries: int = 100) -> int:
    return sum(limiter.take() for _ in range(tries))


@pytest.mark.quick
@pytest.mark.parametrize("serializer", ["pickle", "raw", "json", "msgpack"])
def test_so_many_pass_in_a_period(make_cache: MakeCache, serializer: str) -> None:
    limiter = RateLimiter(make_cache(serializer=serializer), "login", 5, "1m")
    assert taken(limiter) == 5
    with time_travel(11.999):
        assert taken(limiter) == 0
    with time_travel(12):
        assert taken(limiter) == 1
    with time_travel(60):
        assert taken(limiter) == 4
    with time_travel(1000):
        assert taken(limiter) == 5


def test_nothing_is_rounded(cache: FastMmap) -> None:
    limiter = RateLimiter(cache, "a", 7, 1)  # a seventh of a second is no whole ns
    assert taken(limiter) == 7
    for second in range(1, 50):
        with time_travel(second - 0.001):
            assert taken(limiter) == 6
        with time_travel(second):
            assert taken(limiter) == 1


def test_a_burst_is_not_the_rate(cache: FastMmap) -> None:
    limiter = RateLimiter(cache, "a", 1, "10s", burst=3)
    assert taken(limiter) == 3
    with time_travel(10):
        assert taken(limiter) == 1
    with time_travel(30):
        assert taken(limiter) == 2
    with time_travel(1000):
        assert taken(limiter) == 3


def test_each_key_has_a_bucket(cache: FastMmap) -> None:
    limiter = RateLimiter(cache, "login", 2, "1m")
    assert [limiter.take("ada") for _ in range(3)] == [True, True, False]
    assert limiter.take("bob") and limiter.take("\udc80" * 1000)
    limiter.reset("ada")
    assert limiter.left("ada") == 2 and limiter.left("bob") == 1


def test_other_numbers_are_another_bucket(cache: FastMmap) -> None:
    assert RateLimiter(cache, "a", 1).take()
    assert RateLimiter(cache, "a", 2).left() == 2
    assert RateLimiter(cache, "a", 1, 2).left() == 1
    assert RateLimiter(cache, "a", 1, burst=2).left() == 2
    assert RateLimiter(cache, "a", 1).left() == 0


def test_several_tokens_are_taken_together_or_not_at_all(cache: FastMmap) -> None:
    limiter = RateLimiter(cache, "a", 5, 5)
    assert limiter.take(tokens=3) and not limiter.take(tokens=3)
    assert limiter.left() == 2
    assert limiter.wait_time(tokens=3) == 1
    assert limiter.wait_time(tokens=2) == 0
    assert limiter.take(tokens=2)


@pytest.mark.parametrize("tokens", [0, -1, 6])
def test_tokens_that_can_never_be_there_are_refused(
    cache: FastMmap, tokens: int
) -> None:
    limiter = RateLimiter(cache, "a", 5)
    for call in (limiter.take, limiter.acquire, limiter.wait_time):
        with pytest.raises(ValueError, match="expected 1 to 5"):
            call("key", tokens)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((0,), ValueError),
        ((1.5,), TypeError),
        ((1, "now"), ValueError),
        ((1, "never"), ValueError),
        ((1, "soon"), ValueError),
    ],
    ids=str,
)
def test_bad_arguments_are_errors(
    cache: FastMmap, arguments: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        RateLimiter(cache, "a", *arguments)
    with pytest.raises(TypeError):
        RateLimiter(cache, 5, 5)  # type: ignore[arg-type]  # on purpose
    with pytest.raises(TypeError):
        RateLimiter(cache, "a", 5).take(tokens=1.5)  # type: ignore[arg-type]  # on purpose


def test_it_is_a_bucket_of_tokens(cache: FastMmap) -> None:
    """Beside a model in fractions, with times and numbers at random."""
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    limit, burst, period = chance.randint(1, 9), chance.randint(1, 9), 3
    limiter = RateLimiter(cache, "a", limit, period, burst=burst)
    tokens, then, now = Fraction(burst), 0, 0
    for _ in range(2000):
        now += chance.choice([0, 1, 10, 100, 333, 1000])
        tokens += Fraction((now - then) * limit, 1000 * period)
        tokens, then = min(tokens, Fraction(burst)), now
        wanted = chance.randint(1, burst)
        with time_travel(now / 1000):
            assert limiter.left() == tokens // 1
            assert limiter.take(tokens=wanted) == (tokens >= wanted)
        if tokens >= wanted:
            tokens -= wanted


def test_the_state_is_gone_when_it_says_nothing_any_more(cache: FastMmap) -> None:
    limiter = RateLimiter(cache, "a", 5, "1m")
    limiter.take()
    with time_travel(12):
        assert len(cache) == 1
    with time_travel(80):
        assert len(cache) == 0


def test_a_clock_that_is_set_back_finds_the_bucket_empty(cache: FastMmap) -> None:
    limiter = RateLimiter(cache, "a", 5, 5)
    with time_travel(10**6):
        limiter.take()
    assert taken(limiter) == 0
    assert limiter.wait_time() == 1
    with time_travel(3):
        assert taken(limiter) == 3


def test_an_evicted_bucket_is_full(cache: FastMmap) -> None:
    limiter = RateLimiter(cache, "a", 5)
    assert taken(limiter) == 5
    cache.clear()
    assert limiter.left() == 5


def test_something_else_in_its_place_is_an_error(cache: FastMmap) -> None:
    limiter = RateLimiter(cache, "a", 5)
    cache.set(limiter._key_of(""), -1)
    for call in (limiter.take, limiter.left):
        with pytest.raises(ValueError, match="not a number of fastmmap"):
            call()


def test_a_bucket_without_room_is_an_error_and_lets_nobody_pass(
    make_cache: MakeCache,
) -> None:
    def fail(*_: object) -> None:
        raise OSError

    cache = make_cache(
        page_size="4k", num_pages=1, write_action="write_back", write_cb=fail
    )
    for number in range(500):
        cache.set(f"changed {number}", b"x" * 20)
    with pytest.raises(LockError, match=r"no room for the state of .*'a'"):
        for number in range(100):
            RateLimiter(cache, "a", 5).take(str(number))


def test_a_limiter_survives_pickling(cache: FastMmap) -> None:
    limiter = RateLimiter(cache, "a", 5, "1m", burst=2)
    assert taken(pickle.loads(pickle.dumps(limiter))) == 2
    assert limiter.left() == 0 and limiter.name == "a"
    assert repr(limiter).endswith(": 5 per 60 s, burst 2>")


# ------------------------------------------------------------------- waiting


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let sleeping move the clock, and note how long it was."""
    slept: list[float] = []
    start = _core.now_ns()

    def now() -> int:
        return start + round(sum(slept) * 10**9)

    async def sleep_async(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(asyncio, "sleep", sleep_async)
    monkeypatch.setattr(_core, "now_ns", now)
    return slept


def test_one_who_waits_sleeps_until_the_token_is_there(
    cache: FastMmap, sleeps: list[float]
) -> None:
    limiter = RateLimiter(cache, "a", 4, 2)
    for _ in range(4):
        with limiter:
            pass
    assert sleeps == []
    with limiter:
        assert sleeps == [0.5]
    assert limiter.acquire(tokens=2) and sleeps == [0.5, 1.0]


def test_a_task_waits_likewise(cache: FastMmap, sleeps: list[float]) -> None:
    limiter = RateLimiter(cache, "a", 1, 2)

    async def main() -> None:
        async with limiter, limiter:
            assert sleeps == [2.0]
        assert await limiter.acquire_async(timeout=1) is False
        assert await limiter.acquire_async(timeout=3) is True

    asyncio.run(main())
    assert sleeps == [2.0, 2.0]


def test_one_who_cannot_have_it_in_time_does_not_wait(
    cache: FastMmap, sleeps: list[float]
) -> None:
    limiter = RateLimiter(cache, "a", 1, 10)
    assert limiter.acquire(timeout=0)
    assert not limiter.acquire(timeout=0)
    assert not limiter.acquire(timeout=9)
    assert sleeps == []
    with pytest.raises(ValueError):
        limiter.acquire(timeout=-1)


@pytest.mark.parametrize("lock_timeout", [None, 0.01, 5])
def test_the_timeout_holds_while_another_has_the_page(
    path: str, lock_timeout: Optional[float]
) -> None:
    with FastMmap(path, num_pages=1, lock_timeout=lock_timeout) as cache:
        limiter = RateLimiter(cache, "limit", 5)
        inside, end = threading.Event(), threading.Event()

        def hold() -> None:
            with FastMmap(path) as other, other.lock("key"):
                inside.set()
                end.wait(20)

        thread = threading.Thread(target=hold)
        thread.start()
        inside.wait(20)
        began = time.monotonic()
        assert not limiter.acquire(timeout=0.3)
        assert 0.25 < time.monotonic() - began < 2
        threading.Timer(0.2, end.set).start()
        assert limiter.acquire(timeout=20)
        thread.join(20)
