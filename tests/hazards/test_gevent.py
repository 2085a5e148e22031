"""gevent: greenlets share a thread, so whoever waits must let the others run."""

from __future__ import annotations

import pytest
from support import MakeCache, another_computes, run_program

BEGIN = """
import sys, time
patch_first = sys.argv[2] == "patched-first"
if patch_first:
    from gevent import monkey
    monkey.patch_all()
from fastmmap import FastMmap, LockError
cache = FastMmap(sys.argv[1])
if not patch_first:
    from gevent import monkey
    monkey.patch_all()
import gevent
"""

either_way = pytest.mark.parametrize("order", ["patched-first", "patched-last"])


def run(source: str, path: str, order: str = "patched-first") -> str:
    done = run_program(BEGIN + source, path, order)
    assert done.returncode == 0, done.stderr
    return done.stdout


@either_way
def test_greenlets_run_while_one_waits_for_a_value(
    make_cache: MakeCache, path: str, order: str
) -> None:
    cache = make_cache()
    lease = another_computes(cache)  # in this process
    program = """
ticks = []
def tick():
    for number in range(20):
        ticks.append(number)
        gevent.sleep(0.005)
waiting = gevent.spawn(cache.get_or_set, "key", lambda: "mine", timeout=20)
gevent.spawn(tick).join()
print(len(ticks), waiting.ready())
waiting.kill()
"""
    assert run(program, path, order) == "20 False\n"
    assert lease.release()


@either_way
def test_of_many_greenlets_one_computes(
    make_cache: MakeCache, path: str, order: str
) -> None:
    make_cache()
    program = """
calls = []
def compute():
    calls.append(1)
    gevent.sleep(0.05)
    return "value"
kept = cache.memoize(key=lambda: "kept")(compute)
asked = [gevent.spawn(cache.get_or_set, "key", compute) for _ in range(50)]
asked += [gevent.spawn(kept) for _ in range(50)]
gevent.joinall(asked, raise_error=True)
print({greenlet.value for greenlet in asked}, len(calls))
"""
    assert run(program, path, order) == "{'value'} 2\n"


def test_a_greenlet_that_is_killed_while_it_computes_is_replaced(
    make_cache: MakeCache, path: str
) -> None:
    make_cache()
    program = """
first = gevent.spawn(cache.get_or_set, "key", lambda: gevent.sleep(60))
gevent.sleep(0.05)
second = gevent.spawn(cache.get_or_set, "key", lambda: "second")
gevent.sleep(0.05)
assert not second.ready()
first.kill()
print(second.get(timeout=10))
"""
    assert run(program, path) == "second\n"


def test_a_greenlet_that_asks_for_what_it_computes_is_told(
    make_cache: MakeCache, path: str
) -> None:
    make_cache()
    program = """
def compute():
    gevent.sleep(0.01)
    return cache.get_or_set("key", lambda: "inner")
try:
    gevent.spawn(cache.get_or_set, "key", compute).get()
except LockError:
    print("refused")
"""
    assert run(program, path) == "refused\n"


def test_a_greenlet_that_switches_inside_lock_keeps_the_others_out(
    make_cache: MakeCache, path: str
) -> None:
    make_cache()
    program = """
def hold():
    with cache.lock("key") as item:
        gevent.sleep(0.1)
        item.value = "whole"
holder = gevent.spawn(hold)
gevent.sleep(0.01)
try:
    cache.set("key", "other")
except LockError:
    print("refused")
holder.join()
print(cache["key"])
"""
    assert run(program, path) == "refused\nwhole\n"
