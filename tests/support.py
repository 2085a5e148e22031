"""What the tests share: scenarios that run in a process of their own.

A scenario is a function at the top of a test module. It runs in a fresh
interpreter under a watchdog, so that whatever deadlocks fails instead of
hanging, and whatever dies takes no test with it. It reports to the test
with `say()`, hears from it with `heard()`, and its result comes back.

A scenario imports this module, and the suite starts hundreds: what only the test
needs is imported late.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, Union

import fastmmap
from fastmmap import FastMmap, Namespace, _core

if TYPE_CHECKING:
    import subprocess

#: How many times as long as in `make test` the tests marked `long` shall take.
LONG = int(os.environ.get("FASTMMAP_LONG", "1"))
#: What runs programs of this Python, where the system does not: an emulator.
RUNNER = os.environ.get("FASTMMAP_RUNNER", "").split()

MakeCache = Callable[..., FastMmap]
_Scenario = TypeVar("_Scenario", bound="Scenario")


def one(*_: object) -> int:
    """Return 1, whatever the value was: for `get_and_set`."""
    return 1


def inner(cache: FastMmap) -> Namespace:
    """Return a namespace in a namespace of a cache."""
    return cache.namespace("outer").namespace("inner")


# Every operation, for tests that try them all.
OPERATIONS: dict[str, Callable[[FastMmap], object]] = {
    "get": lambda cache: cache.get("key"),
    "get_entry": lambda cache: cache.get_entry("key"),
    "set": lambda cache: cache.set("key", 1),
    "add": lambda cache: cache.add("key", 1),
    "replace": lambda cache: cache.replace("key", 1),
    "incr": lambda cache: cache.incr("key"),
    "decr": lambda cache: cache.decr("key"),
    "touch": lambda cache: cache.touch("key"),
    "exists": lambda cache: cache.exists("key"),
    "contains": lambda cache: "key" in cache,
    "getitem": lambda cache: cache["key"],
    "setitem": lambda cache: cache.__setitem__("key", 1),
    "delitem": lambda cache: cache.__delitem__("key"),
    "len": len,
    "iter": list,
    "items": lambda cache: list(cache.items()),
    "remove": lambda cache: cache.remove("key"),
    "get_and_remove": lambda cache: cache.get_and_remove("key"),
    "get_and_set": lambda cache: cache.get_and_set("key", one),
    "lock": lambda cache: cache.lock("key").__enter__(),
    "expire": lambda cache: cache.expire("key"),
    "clear": lambda cache: cache.clear(),
    "purge": lambda cache: cache.purge(),
    "empty": lambda cache: cache.empty(),
    "flush": lambda cache: cache.flush(),
    "get_keys": lambda cache: cache.get_keys(),
    "get_statistics": lambda cache: cache.get_statistics(),
    "get_many": lambda cache: cache.get_many(["key"]),
    "set_many": lambda cache: cache.set_many({"key": 1}),
    "delete_many": lambda cache: cache.delete_many(["key"]),
    "multi_get": lambda cache: cache.multi_get("p", ["key"]),
    "multi_set": lambda cache: cache.multi_set("p", {"key": 1}),
    "stats": lambda cache: cache.stats(),
    "check": lambda cache: cache.check(),
    "pop": lambda cache: cache.pop("key", None),
    "get_or_set": lambda cache: cache.get_or_set("key", 1),
    "memoize": lambda cache: cache.memoize(key=lambda: "key")(lambda: 1)(),
    "setdefault": lambda cache: cache.setdefault("key", 1),
    "set with tags": lambda cache: cache.set("key", 1, tags=["a", "b"]),
    "invalidate_tag": lambda cache: cache.invalidate_tag("a"),
    "get of a namespace": lambda cache: inner(cache).get("key"),
    "set of a namespace": lambda cache: inner(cache).set("key", 1),
    "clear of a namespace": lambda cache: inner(cache).clear(),
}

_LAUNCHER = """
import importlib, sys
places, module, name, arguments = sys.argv[1:]
sys.path[:] = eval(places)
scenario = getattr(importlib.import_module(module), name)
print(repr(scenario(*eval(arguments))), flush=True)
"""


class BackingStore(dict[Any, Any]):
    """A backing store that remembers who was called with what."""

    def __init__(self, *arguments: Any, **items: Any) -> None:
        super().__init__(*arguments, **items)
        self.calls: list[tuple[object, ...]] = []

    def options(self) -> dict[str, Any]:
        """Return the options that tie a cache to this store."""
        return {
            "context": self,
            "read_cb": BackingStore.read,
            "write_cb": BackingStore.write,
            "delete_cb": BackingStore.delete,
        }

    def read(self, key: object) -> object:
        self.calls.append(("read", key))
        return self.get(key)

    def write(self, key: object, value: object, expire_on: object) -> None:
        self.calls.append(("write", key, value, expire_on))
        self[key] = value

    def delete(self, key: object) -> None:
        self.calls.append(("delete", key))
        self.pop(key, None)


def another_computes(
    cache: FastMmap, key: Union[str, bytes] = "key", ms: int = 60_000
) -> _core.Lease:
    """Take the right to compute a key, as another caller would."""
    lease = _core.Lease(cache, key, ms)
    assert lease.take()[0] == _core.LEASE_TAKEN
    return lease


def say(word: object) -> None:
    """Tell the test that started this scenario."""
    print(word, flush=True)


def heard() -> str:
    """Wait for a word from the test that started this scenario."""
    return sys.stdin.readline().strip()


def _command(scenario: Callable[..., object], arguments: Sequence[object]) -> list[str]:
    here = os.path.dirname(os.path.abspath(scenario.__code__.co_filename))
    tests = os.path.dirname(os.path.abspath(__file__))
    package = os.path.dirname(os.path.dirname(os.path.abspath(fastmmap.__file__)))
    places = [os.path.join(tests, "light"), here, tests, package, *sys.path]
    names = [scenario.__module__, scenario.__name__]
    return [
        sys.executable,
        "-S",  # the test knows all places, and finding them takes as long as an import
        "-c",
        _LAUNCHER,
        repr(places),
        *names,
        repr(tuple(arguments)),
    ]


def run_program(
    source: str, *arguments: str, timeout: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """Run a program of its own, `__main__` and all, to its end."""
    import subprocess

    package = os.path.dirname(os.path.dirname(os.path.abspath(fastmmap.__file__)))
    before = os.environ.get("PYTHONPATH")
    places = os.pathsep.join(filter(None, [package, before]))
    return subprocess.run(
        [sys.executable, "-c", source, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "PYTHONPATH": places},
    )


class Scenario:
    """A scenario at work. After `timeout` seconds it is killed, children too."""

    def __init__(
        self,
        scenario: Callable[..., object],
        *arguments: object,
        timeout: float = 60.0,
        prefix: Sequence[str] = (),
    ) -> None:
        import subprocess
        import tempfile

        self._resources = contextlib.ExitStack()
        self._stderr = self._resources.enter_context(tempfile.TemporaryFile("w+"))
        self.process = subprocess.Popen(
            [*prefix, *RUNNER, *_command(scenario, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            start_new_session=True,
        )
        self._watchdog = threading.Timer(timeout, self._expire, [timeout])
        self._watchdog.daemon = True
        self._watchdog.start()
        self._expired = ""

    def _expire(self, timeout: float) -> None:
        self._expired = f"killed after {timeout:g} s; "
        os.killpg(self.process.pid, signal.SIGKILL)

    def __enter__(self: _Scenario) -> _Scenario:
        return self

    def __exit__(self, *_: object) -> None:
        self._watchdog.cancel()
        if self.process.poll() is None:
            self.send(signal.SIGCONT)
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()
        self._resources.close()

    def hear(self) -> str:
        """Wait for the next line that the scenario says."""
        assert self.process.stdout is not None
        line: str = self.process.stdout.readline()
        assert line, self.trouble()
        return line.strip()

    def tell(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def send(self, signum: int) -> None:
        os.kill(self.process.pid, signum)

    def kill(self) -> None:
        """Kill it without a chance to clean up, and wait until it is gone."""
        self.send(signal.SIGKILL)
        self.process.wait()

    def exit_code(self) -> int:
        return self.process.wait()

    def result(self) -> Any:
        """Wait for the end and return what the scenario returned."""
        import ast

        assert self.process.stdout is not None
        said = self.process.stdout.read().strip()
        assert self.exit_code() == 0, self.trouble()
        return ast.literal_eval(said.rsplit("\n", 1)[-1])

    def trouble(self) -> str:
        """Say how it ended and what it wrote to stderr."""
        code = self.exit_code()
        self._stderr.seek(0)
        return f"scenario {self._expired}exit code {code}\n{self._stderr.read()}"


def run_scenario(
    scenario: Callable[..., object], *arguments: object, timeout: float = 60.0
) -> Any:
    """Run a scenario to its end and return what it returned."""
    with Scenario(scenario, *arguments, timeout=timeout) as running:
        return running.result()
