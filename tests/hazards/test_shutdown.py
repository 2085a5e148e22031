"""The end of the interpreter, with caches and threads wherever they may be.

Each test is a program of its own. It must end by itself, with exit status 0
and nothing on stderr: no crash, no hang, no complaint.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import run_program

import fastmmap
from fastmmap import FastMmap, location

START = """
import atexit, logging, os, sys, threading, time
from fastmmap import FastMmap, LockTimeout
path = sys.argv[1]
page = {"page_size": "64k", "num_pages": 1}
"""

# CPython 3.10 frees its state while daemon threads wait for the interpreter:
# one that wakes up then reads it, in take_gil(), and the process dies. One in
# ten does whose threads but set an item of a dict. Of such an end the file must
# not suffer, and another try has to end well.
DAEMONS_CRASH = sys.version_info[:2] == (3, 10)
TRIES_MAX = 8


def run_to_the_end(
    source: str, path: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run a program, again if it dies of what CPython 3.10 does by itself."""
    for _ in range(TRIES_MAX):
        done = run_program(START + source, path, *arguments, timeout=30)
        crashed = done.returncode == -signal.SIGSEGV and "daemon=True" in source
        if not (DAEMONS_CRASH and crashed):
            break
    return done


def ends_well(source: str, path: str) -> str:
    """Run a program; return what it printed."""
    done = run_to_the_end(source, path)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


DAEMONS = """
cache = FastMmap(path, unlink_on_exit=False, **page)
cache.set("key", 1)
def change(key, value, entry):
    return (value or 0) + 1
def in_lock():
    with cache.lock("n") as item:
        item.value = (item.value or 0) + 1
uses = {
    "get": lambda: cache.get("key"),
    "set": lambda: cache.set("key", [1]),
    "incr": lambda: cache.incr("n"),
    "lock": in_lock,
    "get_and_set": lambda: cache.get_and_set("n", change),
    "iterate": lambda: list(cache.items()),
    "check": cache.check,
    "open": lambda: FastMmap(path).close(),
}
def work(use):
    while True:
        use()
for _ in range(3):
    threading.Thread(target=work, args=(uses[sys.argv[2]],), daemon=True).start()
time.sleep(0.1)
"""


@pytest.mark.parametrize(
    "use",
    ["get", "set", "incr", "lock", "get_and_set", "iterate", "check", "open"],
)
def test_daemon_threads_in_the_middle_of_operations(path: str, use: str) -> None:
    done = run_to_the_end(DAEMONS, path, use)
    assert (done.returncode, done.stderr) == (0, "")
    with FastMmap(path, lock_timeout=10) as cache:
        assert cache.check().ok
        assert cache.set("key", "the page is free")


HOLDER = """
cache = FastMmap(path, unlink_on_exit=False, **page)
cache.set("key", "old")
inside = threading.Event()
def hold():
    with cache.lock("key") as item:
        item.value = "never stored"
        inside.set()
        time.sleep(1000)
threading.Thread(target=hold, daemon=True).start()
inside.wait()
"""


def test_a_page_that_a_daemon_thread_held_to_the_end_comes_free(path: str) -> None:
    ends_well(HOLDER, path)
    with FastMmap(path, lock_timeout=10) as cache:
        assert cache.get("key") == "old"
        assert cache.set("key", "new")


WAITERS = """
waiters = [threading.Thread(target=cache.set, args=("key", n), daemon=True)
           for n in range(3)]
for waiter in waiters:
    waiter.start()
time.sleep(0.2)
"""


def test_daemon_threads_that_wait_for_a_page_at_the_end(path: str) -> None:
    ends_well(HOLDER + WAITERS, path)
    with FastMmap(path, lock_timeout=10) as cache:
        assert cache.get("key") == "old"


LATE = """
class Late:
    def __init__(self):
        self.cache, self.timeout, self.write = cache, LockTimeout, os.write
    def __del__(self):
        self.write(1, self.cache.get("key").encode())
        try:
            self.cache.set("key", "late")
        except self.timeout:
            self.write(1, b", given up")
        else:
            self.write(1, b", stored")
sys.late = Late()
"""


def test_a_finalizer_does_not_wait_for_a_thread_that_is_gone(path: str) -> None:
    """Its page is held for as long as the process lives: it would hang."""
    assert ends_well(HOLDER + LATE, path) == "old, given up"


def test_a_finalizer_uses_the_cache_when_the_page_is_free(path: str) -> None:
    free = """
cache = FastMmap(path, unlink_on_exit=False, **page)
cache.set("key", "old")
"""
    assert ends_well(free + LATE, path) == "old, stored"
    with FastMmap(path) as cache:
        assert cache.get("key") == "late"


PLACES = {
    "a global": "kept = make()",
    "a builtin": "import builtins; builtins.kept = make()",
    "sys": "sys.kept = make()",
    "a cycle": "kept = [make()]; kept.append(kept); del kept",
    "a cycle through callbacks": """
class Owner:
    def __init__(self):
        self.cache = make(context=self, read_cb=self.read)
    def read(self, context, key):
        return None
Owner().cache.get("key")
""",
    "a class": "class Kept:\n    cache = make()",
    "a thread": """
kept = make()
thread = threading.Thread(target=time.sleep, args=(0.1,))
thread.cache = kept
thread.start()
""",
    "a closure": "def f(cache=make()):\n    return lambda: cache\nkept = f()",
    "an iterator": """
kept = make()
for number in range(10):
    kept.set(str(number), number)
iterator = iter(kept.items())
next(iterator)
del kept
""",
    "an item": "kept = make().lock('key')",
    "a module that a server keeps": """
import ctypes, types
kept = types.ModuleType("kept")
kept.cache = make()
ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))
ours = [name for name in sys.modules if name.startswith("fastmmap")]
sys.modules["kept"] = kept
for name in ours:  # the interpreter empties those that came last first
    sys.modules[name] = sys.modules.pop(name)
""",
    "an exception": """
try:
    raise RuntimeError(make())
except RuntimeError as error:
    kept = error
""",
}

MAKE = """
def write(context, key, value, expire_on):
    with open(path + ".log", "a") as file:
        file.write(f"{key}={value}\\n")
def make(**options):
    cache = FastMmap(path, cache_size="64k", unlink_on_exit=True, empty_on_exit=True,
                     write_action="write_back", write_cb=write, **options)
    cache.set("changed", 1)
    return cache
"""


@pytest.mark.parametrize("place", sorted(PLACES))
def test_a_cache_left_in(path: str, place: str) -> None:
    """Its changes are written and its file is gone, once."""
    ends_well(MAKE + PLACES[place], path)
    with open(path + ".log") as log:
        lines = log.read().splitlines()
    assert lines.count("changed=1") == 1
    assert len(lines) == len(set(lines))
    assert not os.path.exists(path)


MAKE_IDLE = """
def make(**options):
    cache = FastMmap(path, cache_size="64k", unlink_on_exit=False, **options)
    cache.set("key", 1)
    return cache
"""


@pytest.mark.parametrize("place", sorted(PLACES))
def test_a_cache_without_work_left_in(path: str, place: str) -> None:
    """It goes in silence, though the modules may be gone before it."""
    ends_well(MAKE_IDLE + PLACES[place], path)
    with FastMmap(path) as cache:
        assert cache.get("key") == 1


def test_a_lock_left_where_modules_are_gone_before_it_is_given_back(path: str) -> None:
    lock = """
from fastmmap.sync import Lock
def make():
    lock = Lock(FastMmap(path, cache_size="64k", unlink_on_exit=False), "one")
    lock.acquire()
    return lock
"""
    ends_well(lock + PLACES["a module that a server keeps"], path)
    with FastMmap(path) as cache:
        assert cache.stats().entries == 0


ATEXIT = """
def use():
    print(cache.get("key"), cache.set("key", "at exit"))
atexit.register(use)
cache = FastMmap(path, cache_size="64k", unlink_on_exit=False, empty_on_exit=%s)
cache.set("key", "old")
"""


def test_atexit_functions_may_use_a_cache_that_has_no_exit_work(path: str) -> None:
    assert ends_well(ATEXIT % "False", path) == "old True\n"
    with FastMmap(path) as cache:
        assert cache.get("key") == "at exit"


def test_atexit_functions_of_later_imports_come_before_the_exit_work(
    path: str,
) -> None:
    """fastmmap registers its own when it is imported: it runs after theirs."""
    assert ends_well(ATEXIT % "True", path) == "old True\n"
    with FastMmap(path) as cache:
        assert len(cache) == 0


EARLIER = """
import sys
for name in [name for name in sys.modules if name.startswith("fastmmap")]:
    del sys.modules[name]
def use():
    print(cache.get("key"), cache.set("key", "at exit"))
atexit.register(use)
from fastmmap import FastMmap
def write(context, key, value, expire_on):
    print(key, value)
cache = FastMmap(path, cache_size="64k", unlink_on_exit=True, empty_on_exit=True,
                 write_action="write_back", write_cb=write)
cache.set("key", "old")
"""


def test_atexit_functions_from_before_fastmmap_find_an_open_cache(path: str) -> None:
    """What they store is written back all the same, and the file removed."""
    assert ends_well(EARLIER, path) == "old True\nkey at exit\n"
    assert not os.path.exists(path)


def test_clearing_the_atexit_functions_closes_no_cache(path: str) -> None:
    """As programs do in a child that is to become a daemon."""
    cleared = """
cache = FastMmap(path, cache_size="64k", unlink_on_exit=True)
cache.set("key", 1)
atexit._clear()
print(cache.get("key"))
"""
    assert ends_well(cleared, path) == "1\n"


def test_a_cache_that_cannot_be_closed_at_exit_keeps_no_other_open(path: str) -> None:
    stuck = """
first = FastMmap(path + ".1", cache_size="64k", unlink_on_exit=True)
inside = first.lock("key")
inside.__enter__()
second = FastMmap(path, cache_size="64k", unlink_on_exit=True)
"""
    done = run_to_the_end(stuck, path)
    assert done.returncode == 0
    assert done.stderr.count(f"closing {path}.1 at exit failed") == 1
    assert not os.path.exists(path)


NO_LOGGING = """
class Late:
    def __init__(self, cache):
        self.cache = cache
    def __del__(self):
        self.cache.set("key", "changed")
        self.cache.expire("key")
def fail(*arguments):
    raise RuntimeError("no connection any more")
cache = FastMmap(path, unlink_on_exit=False, write_action="write_back",
                 write_cb=fail, **page)
sys.late = Late(cache)
del cache
logging.disable()
%s
"""


@pytest.mark.parametrize(
    "also", ["", "sys.modules.clear()", "logging.__dict__.clear()"]
)
def test_a_callback_that_fails_when_logging_is_gone(path: str, also: str) -> None:
    """Whatever is said of it, the interpreter ends and the change stays."""
    done = run_program(START + NO_LOGGING % also, path)
    assert done.returncode == 0, done.stderr
    with FastMmap(path) as cache:
        assert cache.get_keys(1)[0]["flags"] == 1  # dirty


FROM_THREAD = """
def work():
    cache = FastMmap(path, cache_size="64k", unlink_on_exit=True)
    cache.set("key", 1)
    time.sleep(0.2)
    print(cache.get("key"), cache.closed)
threading.Thread(target=work).start()
"""


def test_threads_that_are_no_daemons_finish_before_the_exit_work(path: str) -> None:
    assert ends_well(FROM_THREAD, path) == "1 False\n"
    assert not os.path.exists(path)


STRICT = """
import gc
from fastmmap.sync import Lock
named = FastMmap(path, cache_size="64k")
private = FastMmap(cache_size="64k")
named.set("key", 1)
lock = Lock(named, "x")
lock.acquire()
private.memoize("1h", key=lambda: "k")(lambda: 1)()
print(private.share_file)
"""


@pytest.mark.parametrize("options", [["-X", "dev"], ["-W", "error"], ["-I"], ["-OO"]])
def test_caches_open_at_the_end_are_no_complaint(
    path: str, options: list[str], tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    package = os.path.dirname(os.path.dirname(fastmmap.__file__))
    program.write_text(f"import sys; sys.path.insert(0, {package!r})\n{START}{STRICT}")
    done = subprocess.run(
        [sys.executable, *options, str(program), path],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not os.path.exists(done.stdout.strip())


def test_os_exit_leaves_a_private_file_to_the_next_sweep(path: str) -> None:
    left = ends_well(
        "cache = FastMmap(cache_size='64k')\n"
        "print(cache.share_file, flush=True)\n"
        "os._exit(0)\n",
        path,
    ).strip()
    location.sweep(os.path.dirname(left))
    assert not os.path.exists(left)
