"""freezegun and time-machine replace Python's clocks: ours go on.

Each test is a program of its own, which is killed when it waits for ever.
"""

from __future__ import annotations

import subprocess
import textwrap

import pytest
from support import run_program

START = """
import asyncio, datetime, time, contextlib
from fastmmap import FastMmap, LockTimeout, _core
from fastmmap.sync import Event, Lock, RateLimiter, Semaphore, wait_for_key
from fastmmap.testing import time_travel
"""
FREEZERS = {
    "freezegun": """
from freezegun import freeze_time
freeze = lambda: freeze_time("2020-01-01")
""",
    "freezegun tick": """
from freezegun import freeze_time
freeze = lambda: freeze_time("2020-01-01", tick=True)
""",
    "freezegun ignore": """
from freezegun import freeze_time
freeze = lambda: freeze_time("2020-01-01", ignore=["fastmmap"])
""",
    "freezegun auto tick": """
from freezegun import freeze_time
freeze = lambda: freeze_time("2020-01-01", auto_tick_seconds=3600)
""",
    "time-machine": """
import time_machine
freeze = lambda: time_machine.travel("2020-01-01", tick=False)
""",
    "time-machine tick": """
import time_machine
freeze = lambda: time_machine.travel("2040-01-01", tick=True)
""",
    "a mock": """
from unittest import mock
@contextlib.contextmanager
def freeze():
    with mock.patch("time.time", return_value="soon"), \\
         mock.patch("time.monotonic", return_value=mock.Mock()), \\
         mock.patch("time.perf_counter", return_value=None), \\
         mock.patch("time.monotonic_ns", return_value=0.5):
        yield
""",
}
ORDERS = ["imported before", "imported inside"]

#: Bodies of functions, each with a cache that is made before the clock stops.
WAITS = {
    "Lock": """
        held = Lock(cache, "x")
        held.acquire()
        assert Lock(cache, "x").acquire(timeout=0.1) is False
    """,
    "Semaphore": """
        taken = Semaphore(cache, "s", 1)
        taken.acquire()
        assert Semaphore(cache, "s", 1).acquire(timeout=0.1) is False
    """,
    "Event": """
        assert Event(cache, "e").wait(timeout=0.1) is False
    """,
    "wait_for_key": """
        try:
            wait_for_key(cache, "missing", timeout=0.1)
        except LockTimeout:
            pass
        else:
            raise AssertionError
    """,
    "get_or_set": """
        other = _core.Lease(cache, "key", 60_000)
        assert other.take()[0] == _core.LEASE_TAKEN
        try:
            cache.get_or_set("key", lambda: 1, timeout=0.1)
        except LockTimeout:
            pass
        else:
            raise AssertionError
    """,
    "RateLimiter": """
        limiter = RateLimiter(cache, "r", 1, 3600)
        assert limiter.take("a") and not limiter.take("a")
        assert limiter.acquire("a", timeout=0.1) is False
        quick = RateLimiter(cache, "q", 1, 0.1)
        assert quick.take() and quick.acquire(timeout=10)
    """,
    "a full page": """
        import threading
        inside, done = threading.Event(), threading.Event()
        def hold():
            with cache.lock("key"):
                inside.set()
                done.wait(20)
        thread = threading.Thread(target=hold)
        thread.start()
        inside.wait(20)
        waits = FastMmap(cache.share_file, lock_timeout=0.1)
        try:
            waits.set("key", 1)
        except LockTimeout:
            pass
        else:
            raise AssertionError
        done.set()
        thread.join()
        waits.close()
    """,
}


def run(freezer: str, order: str, body: str) -> subprocess.CompletedProcess[str]:
    lines = textwrap.dedent(body)
    made = 'cache = FastMmap(cache_size="256k")\n'
    inside = textwrap.indent(START + made + lines, "    ")
    after = textwrap.indent(lines, "    ")
    program = (
        FREEZERS[freezer] + "with freeze():\n" + inside
        if order == "imported inside"
        else START + made + FREEZERS[freezer] + "with freeze():\n" + after
    )
    prelude = "import contextlib\n"
    return run_program(prelude + program, timeout=30)


@pytest.mark.parametrize(
    ("freezer", "order"),
    [
        (freezer, order)
        for freezer in FREEZERS
        for order in ORDERS
        # With clocks that tell such things the modules of Python do not import.
        if (freezer, order) != ("a mock", "imported inside")
    ],
)
def test_waits_with_a_timeout_end(freezer: str, order: str) -> None:
    done = run(freezer, order, "\n".join(map(textwrap.dedent, WAITS.values())))
    assert done.returncode == 0, done.stderr


MEMOIZE = """
calls = []
@cache.memoize(60, early=1.0, stale=60, name="refreshed")
def refreshed():
    calls.append("refreshed")
    return len(calls)
@cache.memoize(60, name="plain")
def plain():
    calls.append("plain")
    return len(calls)
assert [refreshed(), refreshed(), plain(), plain()] == [1, 1, 2, 2]
with time_travel(90):
    assert [refreshed(), plain()] == [3, 4]
cache.set("key", 1, 60)
assert cache["key"] == 1
with time_travel(61):
    assert "key" not in cache
entry = cache.get_entry("key")
assert 50 < entry.expire_on - entry.stored_on < 70
"""


@pytest.mark.parametrize("freezer", FREEZERS)
def test_lifetimes_go_by_our_clock_which_time_travel_moves(freezer: str) -> None:
    done = run(freezer, "imported before", MEMOIZE)
    assert done.returncode == 0, done.stderr


MOVED = """
from freezegun import freeze_time
cache.set("key", 1, 60)
limiter = RateLimiter(cache, "r", 1, 60)
limiter.take()
with freeze_time("2040-01-01") as frozen:
    frozen.tick(3600)
    assert "key" in cache
    assert not limiter.take()
    with time_travel(61):
        assert "key" not in cache
        assert limiter.take()
"""


def test_another_clock_moves_neither_lifetimes_nor_rates() -> None:
    done = run_program(START + 'cache = FastMmap(cache_size="256k")\n' + MOVED)
    assert done.returncode == 0, done.stderr


MOMENT = """
import time_machine
cache.set("key", 1, 60)
real = time.time()
with time_machine.travel("2040-01-01", tick=False):
    with time_travel(real + 61):
        assert "key" not in cache
"""


def test_time_travel_to_a_moment_counts_from_the_real_one() -> None:
    done = run_program(START + 'cache = FastMmap(cache_size="256k")\n' + MOMENT)
    assert done.returncode == 0, done.stderr


BOTH = """
from freezegun import freeze_time
cache.set("key", 1, 60)
with freeze_time("2040-01-01") as frozen, time_travel(time.time()):
    assert "key" not in cache
    cache.set("other", 2, expire_on=time.time() + 60)
    assert cache["other"] == 2
    with time_travel(61):
        assert "other" not in cache
"""


def test_both_are_moved_by_both() -> None:
    done = run_program(START + 'cache = FastMmap(cache_size="256k")\n' + BOTH)
    assert done.returncode == 0, done.stderr


ASYNC = """
from freezegun import freeze_time
async def main():
    held = Lock(cache, "x")
    await held.acquire_async()
    assert await Lock(cache, "x").acquire_async(timeout=0.1) is False
with freeze_time("2020-01-01", real_asyncio=True):
    asyncio.run(main())
"""


def test_async_waits_end_where_the_loop_keeps_its_clock() -> None:
    done = run_program(START + 'cache = FastMmap(cache_size="256k")\n' + ASYNC)
    assert done.returncode == 0, done.stderr


DATES = """
def spelled(cache):
    @cache.memoize("1h", name="day")
    def day(moment): return 1
    return [day.cache_key(datetime.date(2020, 1, 1)),
            day.cache_key(datetime.datetime(2020, 1, 1)),
            day.cache_key(datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc))]
"""


@pytest.mark.parametrize("order", ORDERS)
def test_dates_of_freezegun_make_the_keys_of_real_ones(order: str) -> None:
    program = """
first = spelled(cache)
with freeze_time("2020-01-01"):
    assert spelled(cache) == first
    assert spelled(cache)[0].count("date(2020-01-01") == 1
"""
    inside = """
with freeze_time("2020-01-01"):
    from fastmmap import FastMmap
    cache = FastMmap(cache_size="256k")
    first = spelled(cache)
assert spelled(cache) == first
"""
    made = START + 'cache = FastMmap(cache_size="256k")\n'
    done = run_program(
        (made if order == "imported before" else "import datetime\n")
        + "from freezegun import freeze_time\n"
        + DATES
        + (program if order == "imported before" else inside)
    )
    assert done.returncode == 0, done.stderr
