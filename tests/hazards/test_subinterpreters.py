"""Sub-interpreters: those with a GIL of their own are refused, by name.

Interpreters that share the GIL, as mod_wsgi makes them, may import it. Who holds
a page is known to all of them: a thread that goes from one into another is told
that it holds the page itself, and does not wait for it.
"""

from __future__ import annotations

import sys
from typing import Any

from support import run_program

import fastmmap

START = """
import sys
from importlib import import_module
new = sys.version_info >= (3, 13)
low = import_module("_interpreters" if new else "_xxsubinterpreters")
def run(isolated, source):
    # Returns what is wrong, or None.
    if sys.version_info < (3, 12):
        interpreter = low.create()
    elif new:
        interpreter = low.create("isolated" if isolated else "legacy")
    else:
        interpreter = low.create(isolated=isolated)
    try:
        if new:
            return low.exec(interpreter, source)
        try:
            return low.run_string(interpreter, source)
        except low.RunFailedError as error:
            return error
    finally:
        low.destroy(interpreter)
path = sys.argv[1]
"""


def run(source: str, path: str) -> str:
    done = run_program(START + source, path)
    assert done.returncode == 0, done.stderr
    return done.stdout


REFUSED = """
wrong = run(True, "import fastmmap")
print(getattr(wrong, "formatted", wrong))
import fastmmap
print(run(True, "import fastmmap") is not None)
with fastmmap.FastMmap(path, cache_size="64k") as cache:
    print(cache.set("key", 1), cache.get("key"))
"""


def test_an_interpreter_with_its_own_gil_is_refused(path: str) -> None:
    if sys.version_info < (3, 12):
        return  # Python has none such before 3.12
    printed = run(REFUSED, path)
    assert "ImportError" in printed
    assert "fastmmap._core does not support loading in subinterpreters" in printed
    assert printed.endswith("True\nTrue 1\n")


SHARED = """
from fastmmap import FastMmap
cache = FastMmap(path, cache_size="1m")
source = f'''
import threading
from fastmmap import FastMmap, LockTimeout
cache = FastMmap({path!r}, lock_timeout=0.2)
for number in range(300):
    cache.incr("n")
    cache.set(f"key {{number}}", [number])
    assert cache.get(f"key {{number}}") == [number]
    cache.get_and_set("m", lambda key, value, entry: (value or 0) + 1)
assert cache.check().ok
try:
    cache.get(1)
except TypeError:
    cache.close()
'''
print([run(False, source) for _ in range(5)], cache.get("n"), cache.get("m"))
"""


def test_interpreters_that_share_the_gil_share_a_cache(path: str) -> None:
    assert run(SHARED, path) == "[None, None, None, None, None] 1500 1500\n"


INSIDE = """
from fastmmap import FastMmap
cache = FastMmap(path, page_size="64k", num_pages=1)
cache.set("key", "old")
source = f'''
from fastmmap import FastMmap, LockError
cache = FastMmap({path!r})
assert cache.get("key") == "old"
for use in (
    lambda: cache.set("key", "new"),
    lambda: cache.get_and_set("other", lambda *_: 1),
    lambda: cache.lock("key").__enter__(),
    lambda: cache.clear(),
):
    try:
        use()
    except LockError:
        continue
    raise AssertionError
cache.close()
'''
with cache.lock("key"):
    print(run(False, source))
print(cache.set("key", "newer"))
"""


def test_a_thread_that_asks_through_another_interpreter_hears_that_it_holds_the_page(
    path: str,
) -> None:
    assert run(INSIDE, path) == "None\nTrue\n"


BESIDE = """
import threading
from fastmmap import FastMmap
cache = FastMmap(path, page_size="64k", num_pages=1)
cache.set("key", "old")
source = f'''
from fastmmap import FastMmap, LockTimeout
cache = FastMmap({path!r}, lock_timeout=0.2)
assert cache.get("key") == "old"
try:
    cache.set("key", "new")
except LockTimeout:
    cache.close()
else:
    raise AssertionError
'''
entered, leave = threading.Event(), threading.Event()
def hold():
    with cache.lock("key"):
        entered.set()
        leave.wait(20)
thread = threading.Thread(target=hold)
thread.start()
entered.wait(20)
print(run(False, source))
leave.set()
thread.join()
"""


def test_a_page_held_by_one_interpreter_is_waited_for_by_the_others(path: str) -> None:
    assert run(BESIDE, path) == "None\n"


LEFT = """
import os
source = f'''
from fastmmap import FastMmap
kept = FastMmap({path!r}, cache_size="64k", unlink_on_exit=True)
kept.set("key", 1)
'''
print(run(False, source), os.path.exists(path))
"""


def test_the_end_of_an_interpreter_does_its_exit_work(path: str) -> None:
    assert run(LEFT, path) == "None False\n"


def test_a_free_threaded_build_gets_its_gil_back() -> None:
    """The extension does not claim to do without: it needs the GIL."""
    has_gil: Any = getattr(sys, "_is_gil_enabled", lambda: True)
    assert fastmmap.Error
    assert has_gil()
