"""The standard library's own tests of locks, on those of `fastmmap.sync`.

They are the `test.lock_tests` of the CPython that runs this. Each class of them
runs in a process of its own. What is left out stands here, with its reason.
"""

from __future__ import annotations

import importlib.util
import itertools
import unittest
from collections.abc import Callable
from typing import Any

import pytest
from support import run_scenario

from fastmmap import FastMmap
from fastmmap.sync import Event, Lock, RLock, Semaphore

OF_CONDITION = "is for threading.Condition, which knows the inside of its lock"
OF_FORK = (
    "is private to threading: a forked child has nothing of its parent's, who goes "
    "on to hold the lock"
)
OTHER_REPR = "looks for the words of threading's own repr"

LEFT_OUT = {
    "LockTests": {"test_at_fork_reinit": OF_FORK},
    "RLockTests": {
        "test__is_owned": OF_CONDITION,
        "test_release_save_unacquired": OF_CONDITION,
        "test_recursion_count": OF_CONDITION,
    },
    "SemaphoreTests": {
        "test_repr": OTHER_REPR,
        "test_release_unacquired": (
            "a permit belongs to the process that got it, so that it ends with it: "
            "one that nobody got cannot be given back"
        ),
    },
    "BoundedSemaphoreTests": {"test_repr": OTHER_REPR},
    "EventTests": {"test_repr": OTHER_REPR, "test_at_fork_reinit": OF_FORK},
}

MAKERS: dict[str, tuple[str, Callable[..., object]]] = {
    "LockTests": ("locktype", Lock),
    "RLockTests": ("locktype", RLock),
    "SemaphoreTests": ("semtype", Semaphore),
    "BoundedSemaphoreTests": ("semtype", Semaphore),
    "EventTests": ("eventtype", Event),
}


def are_there() -> bool:
    """Tell whether this Python came with its tests; some packages leave them out."""
    try:
        return importlib.util.find_spec("test.lock_tests") is not None
    except ModuleNotFoundError:
        return False


pytestmark = [
    pytest.mark.quick,
    pytest.mark.skipif(
        not are_there(),
        reason="this Python came without its tests (Debian: libpython3-testsuite)",
    ),
]


def cases_of(name: str, cache: FastMmap) -> unittest.TestSuite:
    """Return the tests of a class, but for those left out, each on new names."""
    lock_tests: Any = importlib.import_module("test.lock_tests")
    attribute, kind = MAKERS[name]
    numbers = itertools.count()

    def make(*arguments: Any, **options: Any) -> object:
        return kind(cache, f"number {next(numbers)}", *arguments, **options)

    cases = type(name, (getattr(lock_tests, name),), {attribute: staticmethod(make)})
    found = unittest.defaultTestLoader.getTestCaseNames(cases)
    return unittest.TestSuite(
        cases(each) for each in found if each not in LEFT_OUT[name]
    )


def run_class(name: str) -> tuple[int, list[str]]:
    """Run them; return how many, and how those ended that did not pass."""
    with FastMmap(cache_size="1m") as cache:
        result = unittest.TestResult()
        cases_of(name, cache).run(result)
        bad = [text for _, text in result.failures + result.errors]
        bad += [f"{test}: {reason}" for test, reason in result.skipped]
        return result.testsRun, bad


@pytest.mark.parametrize("name", MAKERS)
def test_they_pass_on_ours(name: str) -> None:
    count, bad = run_scenario(run_class, name, timeout=120)
    assert not bad, "\n".join(bad)
    assert count >= 4


@pytest.mark.parametrize("name", MAKERS)
def test_what_is_left_out_would_fail(name: str) -> None:
    assert run_scenario(run_what_is_left_out, name, timeout=120) == []


def run_what_is_left_out(name: str) -> list[str]:
    """Return those left out that this Python has and that would pass on ours."""
    left_out = LEFT_OUT[name]
    LEFT_OUT[name] = {}
    with FastMmap(cache_size="1m") as cache:
        tests: Any = cases_of(name, cache)
        wanted = [test for test in tests if test._testMethodName in left_out]
        return [test.id() for test in wanted if test.run().wasSuccessful()]
