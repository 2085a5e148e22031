"""The table of targets: what was wanted, what was measured, met or missed.

The targets are those that the design set before the engine was written. Run by
tables.py with the results of all questions.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import NamedTuple

from performance import ENGINE, MEDIAN, PERL, Results, Rows, points


class Target(NamedTuple):
    """What is wanted, from which results, and how it is computed."""

    what: str
    wanted: str
    question: str
    measured: Callable[[Results], float]
    met: Callable[[float], bool]
    form: str = "{:.2f}"


def at_most(bound: float) -> Callable[[float], bool]:
    """Return a test."""
    return lambda value: value <= bound


def at_least(bound: float) -> Callable[[float], bool]:
    """Return a test."""
    return lambda value: value >= bound


def times_ours(call: str, peer: str) -> Callable[[Results], float]:
    """Return a peer's time for a call as a multiple of ours."""
    return lambda results: float(results["multiples"][peer][call][MEDIAN])


def times_theirs(call: str, peer: str) -> Callable[[Results], float]:
    """Return our time for a call as a multiple of a peer's."""
    return lambda results: 1 / times_ours(call, peer)(results)


def servers_ratio(results: Results) -> float:
    """Return the ratio of the fastest client of a server to us."""
    clients = ("Redis", "memcached, pylibmc", "memcached, pymemcache")
    return min(times_ours("get hit", name)(results) for name in clients)


def door_ratio(door: str) -> Callable[[Results], float]:
    """Return what a front door takes as a multiple of what stands beside it."""
    return lambda results: float(results["multiples"][door][ENGINE][MEDIAN])


def of_door(what: str, door: str, bound: float) -> Target:
    """Return the target of a front door."""
    return Target(what, f"<= {bound:g}", "doors", door_ratio(door), at_most(bound))


def speedup(mix: str) -> Callable[[Results], float]:
    """Return the throughput of two processes as a multiple of one's."""

    def compute(results: Results) -> float:
        multiples = results["results"]["processes, scaling"][ENGINE][mix]
        return float(multiples["2"][MEDIAN])

    return compute


def growth_ratio(results: Results) -> float:
    """Return how the ratio to dict grows from 10,000 to a million entries."""

    def ratio(count: str) -> float:
        found = results["results"]
        ours, theirs = found[ENGINE][count]["get"], found["dict"][count]["get"]
        return float(ours[MEDIAN] / theirs[MEDIAN])

    return ratio("1000000") / ratio("10000")


def least_above_perl(results: Results) -> float:
    """Return the points above Cache::FastMmap on the trace with the fewest."""
    traces = {cell["trace"] for cell in results["results"]} & set(results["real"])
    return min(statistics.fmean(points(results, PERL, trace)) for trace in traces)


TIER = "fastmmap.redis"


def tier_ratios(results: Results, field: str) -> dict[str, float]:
    """Return a tier's figure as a multiple of redis-py's at 1 % writes, by workers."""
    found = results["results"]
    ours, theirs = found[TIER]["1 %"], found["redis-py"]["1 %"]
    return {n: ours[n][field][MEDIAN] / theirs[n][field][MEDIAN] for n in ours}


def tier_calls(results: Results) -> float:
    """Return the calls of a tier as a multiple of redis-py's, where they are fewest."""
    return min(tier_ratios(results, "calls").values())


def tier_commands(results: Results) -> float:
    """Return redis-py's commands as a multiple of a tier's, for as many calls."""
    calls, commands = (tier_ratios(results, name) for name in ("calls", "commands"))
    return min(calls[n] / commands[n] for n in calls)


def enough(count: int, least: int) -> None:
    """Raise ValueError when there were too few of them to say anything."""
    if count < least:
        raise ValueError(f"{count} of at least {least}")


def storm_faults(results: Results) -> float:
    """Return the faults of a storm that was long enough."""
    total = results["total"]
    enough(total["kills"], 20_000)
    return float(sum(total[name] for name in ("lost", "torn", "hung", "emptied")))


def fuzz_findings(results: Results) -> float:
    """Return the findings of fuzzers that ran for long enough."""
    enough(sum(record["runs"] for record in results.values()), 10_000_000)
    return float(sum(record["findings"] for record in results.values()))


TARGETS = (
    Target(
        "get hit / dict.get",
        "<= 2.5",
        "basic",
        times_theirs("get hit", "dict"),
        at_most(2.5),
    ),
    Target(
        "get hit: Cache::FastMmap / ours",
        ">= 15",
        "basic",
        times_ours("get hit", PERL),
        at_least(15),
    ),
    Target(
        "get hit: diskcache / ours",
        ">= 25",
        "basic",
        times_ours("get hit", "diskcache"),
        at_least(25),
    ),
    Target(
        "get hit: Redis or memcached / ours",
        ">= 200",
        "basic",
        servers_ratio,
        at_least(200),
    ),
    Target(
        "set / dict.__setitem__",
        "<= 3.5",
        "basic",
        times_theirs("set", "dict"),
        at_most(3.5),
    ),
    Target(
        "set: Cache::FastMmap / ours",
        ">= 10",
        "basic",
        times_ours("set", PERL),
        at_least(10),
    ),
    Target(
        "set: diskcache / ours",
        ">= 100",
        "basic",
        times_ours("set", "diskcache"),
        at_least(100),
    ),
    Target(
        "get of a small dict / pickle.loads alone",
        "<= 1.4",
        "basic",
        times_theirs("get dict", "pickle alone"),
        at_most(1.4),
    ),
    *(
        of_door(f"near get / dict.get, {keys} keys", f"get, near, {keys} keys", bound)
        for keys, bound in ((300, 1.5), (1000, 1.5), (10_000, 2.5))
    ),
    of_door(
        "get of a small dict, copy=False / dict.get",
        "get of a small dict, copy=False",
        2,
    ),
    of_door("memoize hit / functools.lru_cache", "memoize", 2),
    of_door("async memoize hit / a plain coroutine", "memoize, async", 3),
    of_door("get_or_set hit / get", "get_or_set", 1.3),
    of_door("Lock, take and give / get", "Lock", 12),
    of_door("RateLimiter.take / get", "RateLimiter.take", 12),
    of_door("Counter.add / get", "Counter.add", 3),
    of_door("Django get / LocMemCache", "Django get", 0.5),
    of_door("dogpile.cache, decorated / memory_pickle", "dogpile decorated", 1),
    of_door("Flask-Caching memoize / SimpleCache", "Flask memoize", 1),
    of_door("aiocache get / SimpleMemoryCache", "aiocache get", 1),
    Target(
        "hit of a tier / cache.get",
        "<= 1.3",
        "tier",
        lambda results: results["hit"]["multiple"][MEDIAN],
        at_most(1.3),
    ),
    Target(
        "calls of a tier / redis-py, 1 % writes",
        ">= 30",
        "tier",
        tier_calls,
        at_least(30),
        "{:.1f}",
    ),
    Target(
        "commands of redis-py / a tier for as many calls, 1 % writes",
        ">= 20",
        "tier",
        tier_commands,
        at_least(20),
        "{:.1f}",
    ),
    Target(
        "a change seen on another host, p50, ms",
        "<= 1",
        "tier",
        lambda results: float(results["seen"]["p50"]),
        at_most(1),
    ),
    Target(
        "a change seen on another host, p99, ms",
        "<= 5",
        "tier",
        lambda results: float(results["seen"]["p99"]),
        at_most(5),
    ),
    Target(
        "changes a second that a listener drops",
        ">= 50,000",
        "tier",
        lambda results: float(results["flood"]["most"]),
        at_least(50_000),
        "{:,.0f}",
    ),
    Target(
        "two processes / one, 90 % gets",
        ">= 1.8",
        "parallel",
        speedup("90 % gets"),
        at_least(1.8),
    ),
    Target(
        "two processes / one, 50 % gets",
        ">= 1.5",
        "parallel",
        speedup("50 % gets"),
        at_least(1.5),
    ),
    Target(
        "ratio to dict at a million entries / at 10,000",
        "<= 1.5",
        "growth",
        growth_ratio,
        at_most(1.5),
    ),
    Target(
        "p99.9 of set while evicting, us",
        "<= 25",
        "tail",
        lambda results: results["results"][ENGINE]["set"]["99.9"][MEDIAN] / 1000,
        at_most(25),
    ),
    Target(
        "hit ratio above LRU, mean over the cells, points",
        ">= 3.2",
        "hitratio",
        lambda results: statistics.fmean(points(results, "lru")),
        at_least(3.2),
        "{:+.2f}",
    ),
    Target(
        "hit ratio above LRU, worst cell, points",
        ">= -1.5",
        "hitratio",
        lambda results: min(points(results, "lru")),
        at_least(-1.5),
        "{:+.2f}",
    ),
    Target(
        "hit ratio above Cache::FastMmap, worst trace, points",
        "> 0",
        "hitratio",
        least_above_perl,
        lambda value: value > 0,
        "{:+.2f}",
    ),
    Target(
        "live bytes / file bytes, entries of 300 B and more",
        ">= 0.88",
        "memory",
        lambda results: min(
            results["live"][n]["live"] for n in ("300", "1000", "4000")
        ),
        at_least(0.88),
        "{:.3f}",
    ),
    Target(
        "attach to a file of 1 GiB, ms",
        "<= 1",
        "attach",
        lambda results: results["results"]["attach"]["1g"][MEDIAN],
        at_most(1),
        "{:.3f}",
    ),
    Target(
        "faults in 20,000 kills or more",
        "0",
        "storm",
        storm_faults,
        at_most(0),
        "{:.0f}",
    ),
    Target(
        "findings in 10 million runs of the fuzzers or more",
        "0",
        "fuzz",
        fuzz_findings,
        at_most(0),
        "{:.0f}",
    ),
    Target(
        "mutants that nobody noticed",
        "0",
        "mutants",
        lambda results: sum(not m["caught_by"] for m in results["mutants"]),
        at_most(0),
        "{:.0f}",
    ),
)
QUESTIONS = tuple(dict.fromkeys(target.question for target in TARGETS))


def target_row(target: Target, results: Results) -> list[str]:
    """Return what was wanted, what was measured, and whether it is met."""
    try:
        value = target.measured(results)
    except (KeyError, ValueError):
        return [target.what, target.wanted, "-", "not measured"]
    verdict = "met" if target.met(value) else "missed"
    return [target.what, target.wanted, target.form.format(value), verdict]


def targets(*results: Results) -> Rows:
    """Return a row for each target."""
    found = dict(zip(QUESTIONS, results, strict=True))
    rows = [target_row(target, found[target.question]) for target in TARGETS]
    return [["what", "target", "measured", ""], *rows]
