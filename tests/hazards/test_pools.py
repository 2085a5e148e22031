"""Pools as programs use them: a cache by argument, global or initializer.

Each program is a file of its own, which children import anew, and must be silent:
no warning of a resource tracker, none of an unclosed cache.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import multiprocessing, os, sys
from concurrent.futures import ProcessPoolExecutor
from fastmmap import FastMmap

pool, way, path, method = sys.argv[1:]
TASKS = 4

def work(number, given=None):
    own = given if given is not None else cache
    own.set(f"key {number}", number)
    own.get_or_set("once", lambda: own.incr("computed"))
    own.incr("count")
    return os.getpid()

def remember(given):
    global cache
    cache = given

def begin(given):
    return (remember, (given,)) if way == "initializer" else (None, ())

def in_pool(given, extra):
    context = multiprocessing.get_context(method)
    workers = context.Pool(2, *begin(given), maxtasksperchild=2)
    found = workers.starmap(work, [(n, *extra) for n in range(TASKS)], chunksize=1)
    workers.close()
    workers.join()
    return found

def in_executor(given, extra):
    context = multiprocessing.get_context(method)
    # More than one per child hangs in CPython itself: python/cpython#115634.
    new = method == "spawn" and sys.version_info >= (3, 11)
    limit = {"max_tasks_per_child": 1} if new else {}
    with ProcessPoolExecutor(2, context, *begin(given), **limit) as workers:
        futures = [workers.submit(work, n, *extra) for n in range(TASKS)]
        return [future.result() for future in futures]

def in_joblib(given, extra):
    import joblib
    from joblib.externals.loky import get_reusable_executor
    initializer, arguments = begin(given)
    with joblib.parallel_config(method, initializer=initializer, initargs=arguments):
        calls = (joblib.delayed(work)(n, *extra) for n in range(TASKS))
        found = joblib.Parallel(n_jobs=2)(calls)
    get_reusable_executor().shutdown()  # it might still start a worker
    return found

if way == "global":
    cache = FastMmap(path, cache_size="512k")  # in children that import this, too

def main():
    with cache if way == "global" else FastMmap(path, cache_size="512k") as own:
        extra = (own,) if way == "argument" else ()
        found = globals()["in_" + pool](own, extra)
        assert os.getpid() not in found, found
        keys = {f"key {number}" for number in range(TASKS)}
        assert set(own) == keys | {"once", "computed", "count"}, list(own)
        print(own["count"], own["computed"], os.path.exists(own.share_file))
    print(os.path.exists(own.share_file))
"""
MAIN = """
import program
if __name__ == "__main__":
    program.main()
"""

WAYS = ["argument", "global", "initializer"]
POOLS = [
    (pool, method)
    for pool in ("pool", "executor")
    for method in ("fork", "spawn", "forkserver")
]


def run(path: Path, source: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, with all warnings about resources."""
    (path / "program.py").write_text(source)
    (path / "main.py").write_text(MAIN)
    command = [sys.executable, "-W", "always::ResourceWarning", str(path / "main.py")]
    places = os.pathsep.join(filter(None, sys.path))
    return subprocess.run(
        [*command, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": places},
    )


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("pool", "method"), [*POOLS, ("joblib", "loky")])
def test_workers_share_a_cache_in_silence(
    tmp_path: Path, pool: str, method: str, way: str
) -> None:
    path = str(tmp_path / "cache.fmm")
    done = run(tmp_path, PROGRAM, pool, way, path, method)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["4 1 True", "True"]


KILLED = """
import os, signal, sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from fastmmap import FastMmap

def compute(cache):
    def value():
        if cache.incr("calls") == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return "value"
    cache["kept"] = True
    return cache.get_or_set("key", value)

def main():
    with FastMmap(sys.argv[1], cache_size="512k") as cache:
        for _ in range(2):
            try:
                with ProcessPoolExecutor(1, get_context(sys.argv[2])) as pool:
                    print(pool.submit(compute, cache).result(timeout=60))
            except BrokenProcessPool:
                print("broken", cache["kept"])
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_new_pool_finds_what_a_broken_one_has_left(
    tmp_path: Path, method: str
) -> None:
    done = run(tmp_path, KILLED, str(tmp_path / "cache.fmm"), method)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["broken True", "value"]
