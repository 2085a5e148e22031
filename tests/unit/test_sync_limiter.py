"""RateLimiter.take() in C beside the same in Python."""

from __future__ import annotations

import random
import sys
import threading
from typing import Any

import pytest
from support import BackingStore, MakeCache

from fastmmap import FastMmap, LockError, _core
from fastmmap.sync import RateLimiter
from fastmmap.testing import time_travel


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the clock: only time_travel moves it."""
    now = _core.now_ns()
    monkeypatch.setattr(_core, "now_ns", lambda: now + _core.get_travel() * 10**6)


def frames_of(call: Any) -> list[str]:
    """Return the names of the functions of Python that a call runs."""
    names: list[str] = []

    def see(frame: Any, event: str, what: object) -> None:
        if event == "call":
            names.append(frame.f_code.co_name)

    sys.setprofile(see)
    try:
        call()
    finally:
        sys.setprofile(None)
    return names


@pytest.mark.parametrize("serializer", ["pickle", "raw"])
def test_a_take_runs_no_code_of_python(make_cache: MakeCache, serializer: str) -> None:
    limiter = RateLimiter(make_cache(serializer=serializer), "a", 3)
    assert limiter.take("ada") and limiter.take()
    assert frames_of(lambda: limiter.take("ada")) == ["<lambda>"]
    assert frames_of(lambda: limiter.take(tokens=2)) == ["<lambda>"]
    assert not limiter.take("ada", 3)


#: Numbers that C can do with, and larger ones.
NUMBERS = [1, 2, 3, 7, 1000, 10**9, 2**40, 2**40 + 1, 10**15, 10**25]


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    "options", [{}, {"serializer": "json"}, {"compressor": "zlib"}]
)
def test_it_does_what_python_does(make_cache: MakeCache, options: Any) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    chance, cache = random.Random(seed), make_cache(**options)
    for number in range(60):
        limit, burst = chance.choice(NUMBERS), chance.choice(NUMBERS)
        period = chance.choice([0.001, 1, 3.5, 86400, 10**7])
        ours, plain = (
            RateLimiter(cache, f"{name} {number}", limit, period, burst=burst)
            for name in ("ours", "plain")
        )
        now = 0.0
        for _ in range(20):
            now += chance.choice([-5, 0, 0, 0.001, 1, 100, 10**6])
            tokens = chance.choice([1, burst, max(burst // 2, 1)])
            with time_travel(now):
                assert ours.take("", tokens) == (plain._take("", tokens) == 0)
                assert ours.left() == plain.left()
            mine, its = (each._key_of("") for each in (ours, plain))
            assert cache.get(mine) == cache.get(its)


@pytest.mark.parametrize(
    "state", ["", "x", "1x", "-1", "1" * 37, "9" * 36, "0" * 30, "٣", b"1", 1, None]
)
@pytest.mark.usefixtures("clock")
def test_any_state_is_read_as_python_reads_it(cache: FastMmap, state: Any) -> None:
    limiter = RateLimiter(cache, "a", 5)
    outcomes = []
    for take in (limiter.take, lambda: limiter._take("", 1) == 0):
        cache.set(limiter._key_of(""), state)
        try:
            outcomes.append((take(), cache.get(limiter._key_of(""))))
        except ValueError as error:
            outcomes.append((str(error), state))
    assert outcomes[0] == outcomes[1]


def test_threads_take_no_more_than_there_is(path: str) -> None:
    with FastMmap(path) as cache:
        limiter, taken = RateLimiter(cache, "a", 1000, "1d"), [0] * 4

        def take(place: int) -> None:
            other = RateLimiter(FastMmap(path), "a", 1000, "1d")
            taken[place] = sum(other.take() for _ in range(400))

        threads = [threading.Thread(target=take, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(taken) == 1000 and not limiter.take()


def test_write_cb_is_told(make_cache: MakeCache) -> None:
    store = BackingStore()
    limiter = RateLimiter(make_cache(**store.options()), "a", 1)
    assert limiter.take() and not limiter.take()
    assert [call[0] for call in store.calls] == ["write"]


def test_a_take_inside_the_cache_is_an_error(cache: FastMmap) -> None:
    limiter = RateLimiter(cache, "a", 5)
    with cache.lock("key"), pytest.raises(LockError):
        limiter.take()


@pytest.mark.parametrize("key", [("user",), ("user", 1), (), ["user"]])
def test_what_is_no_text_is_named_and_not_taken_apart(
    cache: FastMmap, key: Any
) -> None:
    limiter = RateLimiter(cache, "name", 1)
    with pytest.raises(TypeError, match=type(key).__name__):
        limiter.take(key)


def test_one_that_was_not_begun_is_an_error() -> None:
    with pytest.raises(TypeError, match="__init__"):
        RateLimiter.__new__(RateLimiter).take()


def test_a_limiter_of_a_namespace_ends_with_it(cache: FastMmap) -> None:
    space = cache.namespace("a")
    assert RateLimiter(space, "a", 1, "1h").take()
    assert RateLimiter(cache, "a", 1, "1h").take()
    assert not RateLimiter(space, "a", 1, "1h").take()
    space.clear()
    assert RateLimiter(space, "a", 1, "1h").take()
    assert not RateLimiter(cache, "a", 1, "1h").take()
