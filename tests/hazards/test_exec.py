"""exec and unrelated programs: a file is all that they share."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from support import Scenario, run_scenario

import fastmmap
from fastmmap import FastMmap

ATTACH = """
import sys
from fastmmap import FastMmap
with FastMmap(sys.argv[1]) as cache:
    assert cache.get("from us") == {"a": [1]}
    cache.set("from them", cache.incr("n"))
"""


def environment() -> dict[str, str]:
    home = os.path.dirname(os.path.dirname(os.path.abspath(fastmmap.__file__)))
    before = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [home, before]))}


@pytest.mark.quick
def test_an_unrelated_program_attaches_by_path(cache: FastMmap, path: str) -> None:
    cache.set("from us", {"a": [1]})
    for turn in (1, 2):
        subprocess.run(
            [sys.executable, "-c", ATTACH, path],
            check=True,
            timeout=60,
            env=environment(),
        )
        assert cache.get("from them") == turn


def exec_inside_lock(path: str, program: str) -> None:
    """Become another program while a page is held."""
    cache = FastMmap(path)
    with cache.lock("key") as item:
        item.value = "never written"
        os.execve(sys.executable, [sys.executable, "-c", program, path], environment())


WAIT = """
print("another", flush=True)
input()
"""

USE = """
import sys
from fastmmap import FastMmap
with FastMmap(sys.argv[1], lock_timeout=20) as cache:
    print([cache.get("key"), cache.set("key", "new"), cache.stats().pages_repaired])
"""


def test_a_page_held_at_exec_comes_free_though_the_program_goes_on(path: str) -> None:
    with FastMmap(path, page_size="64k", num_pages=1, lock_timeout=20) as cache:
        cache.set("key", "old")
        with Scenario(exec_inside_lock, path, WAIT) as running:
            assert running.hear() == "another"
            assert cache.set("key", "new")
            assert running.process.poll() is None


def test_the_program_itself_can_use_the_page_that_was_held_at_exec(path: str) -> None:
    with FastMmap(path, page_size="64k", num_pages=1) as cache:
        cache.set("key", "old")
        assert run_scenario(exec_inside_lock, path, USE) == ["old", True, 0]


def spawn_shell(path: str) -> int:
    cache = FastMmap(path, cache_size="512k")
    cache.set("key", 1)
    return os.system("true")


def test_starting_programs_is_no_trouble(path: str) -> None:
    assert run_scenario(spawn_shell, path) == 0
