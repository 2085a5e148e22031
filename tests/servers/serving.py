"""Real servers for tests: started, asked over a Unix socket, ended by process id."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from support import LONG

HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
WORKERS = 3
LIMIT = 30.0  # seconds, for anything that a server does
#: Files of these tests, and the socket, which uWSGI forgets after a reload.
OURS = {"log", "notes", "door", "socket"}


class Kind(NamedTuple):
    """A server and the way it is run."""

    name: str
    command: tuple[str, ...]

    def with_options(self, *options: str) -> Kind:
        return self._replace(command=(*self.command, *options))


def gunicorn(name: str, *options: str, program: str = "") -> Kind:
    """Return gunicorn with workers of a class, for a program or the usual one."""
    usual = "application:asgi" if "Uvicorn" in options[0] else "application:wsgi"
    program = program or usual
    command = (sys.executable, "-m", "gunicorn", program, "--pythonpath", str(HERE))
    settings = ("--bind", "unix:socket", "--workers", str(WORKERS))
    quiet = ("--no-control-socket", "--graceful-timeout", "10")
    return Kind(f"gunicorn-{name}", (*command, *settings, *quiet, "-k", *options))


def uwsgi(name: str, *options: str) -> Kind:
    """Return uWSGI with a master."""
    command = (str(BIN / "pyuwsgi"), "--master", "--die-on-term", "--vacuum")
    settings = ("--http-socket", "socket", "--processes", str(WORKERS))
    program = ("--pythonpath", str(HERE), "--module", "application")
    quiet = ("--disable-logging", "--min-worker-lifetime", "0")
    return Kind(f"uwsgi-{name}", (*command, *settings, *program, *quiet, *options))


CLASSES = (
    gunicorn("sync", "sync"),
    gunicorn("gthread", "gthread", "--threads", "4"),
    gunicorn("gevent", "gevent"),
    gunicorn("uvicorn", "uvicorn_worker.UvicornWorker"),
)
PRELOADED = tuple(
    kind._replace(name=f"{kind.name}-preload").with_options("--preload")
    for kind in CLASSES
)
GUNICORN = (*CLASSES, *PRELOADED)
UWSGI = (
    uwsgi("forked"),
    uwsgi("lazy", "--lazy-apps"),
    uwsgi("threads", "--threads", "4"),
    uwsgi("lazy-threads", "--lazy-apps", "--threads", "4"),
)


def few(kinds: tuple[Kind, ...], *names: str) -> tuple[Kind, ...]:
    """Return those of these names; all kinds in the long form of the suite."""
    return tuple(kind for kind in kinds if LONG > 1 or kind.name in names)


#: Each server in one way or the other.
KINDS = few(
    (*GUNICORN, *UWSGI),
    *("gunicorn-sync", "gunicorn-gthread-preload", "gunicorn-gevent-preload"),
    *("gunicorn-uvicorn", "uwsgi-forked", "uwsgi-lazy-threads"),
)


class Answer(NamedTuple):
    """What a worker said."""

    pid: int
    result: Any


class _Connection(http.client.HTTPConnection):
    """A connection to a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=LIMIT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(LIMIT)
        self.sock.connect(self._path)


def eventually(reached: Callable[[], Any], what: str) -> Any:
    """Wait until something is true, and return it."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        found = reached()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"never happened: {what}")


def children(pid: int) -> set[int]:
    """Return the processes that a process has started and that live."""
    found: set[int] = set()
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found |= set(map(int, (task / "children").read_text().split()))
    return {child for child in found if alive(child)}


def state(place: Path) -> str:
    """Return the letter for what a process, or a thread of it, is doing."""
    return (place / "stat").read_text().rpartition(")")[2].split()[0]


def idle(pid: int) -> bool:
    """Tell whether all threads of a process wait for something."""
    return set(map(state, Path(f"/proc/{pid}/task").iterdir())) == {"S"}


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that waits to be buried does not."""
    try:
        return state(Path(f"/proc/{pid}")) != "Z"
    except OSError:
        return False


class Server:
    """A server at work, with all that it writes in one folder."""

    def __init__(self, kind: Kind, folder: Path, role: str) -> None:
        self.kind, self.folder = kind, folder
        self.cache = str(folder / "cache")
        places = filter(None, [*sys.path[:1], os.environ.get("PYTHONPATH")])
        with open(folder / "log", "w") as log:
            self.process = subprocess.Popen(
                kind.command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={
                    **os.environ,
                    "SERVED_FOLDER": str(folder),
                    "SERVED_ROLE": role,
                    "PYTHONPATH": os.pathsep.join(places),
                },
            )

    # ---------------------------------------------------------------- asking

    def ask(self, path: str) -> Answer:
        """Send a request; return what came back."""
        connection = _Connection(str(self.folder / "socket"))
        with contextlib.closing(connection):
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
        assert response.status == 200, body
        return Answer(*json.loads(body))

    def ask_other(self, path: str, pid: int) -> Answer:
        """Ask until another worker than this one has answered."""

        def other() -> Answer | None:
            with contextlib.suppress(AssertionError, OSError):
                answer = self.ask(path)
                return answer if answer.pid != pid else None
            return None

        answer: Answer = eventually(other, f"another worker answers {path}")
        return answer

    def in_background(self, path: str) -> tuple[threading.Thread, list[Any]]:
        """Ask in a thread; return it, and where the answer or error will be."""
        answers: list[Any] = []

        def ask() -> None:
            try:
                answers.append(self.ask(path))
            except (OSError, http.client.HTTPException) as error:
                answers.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        return thread, answers

    def notes(self) -> list[tuple[str, int]]:
        """Return all notes, each with the process that made it."""
        notes = self.folder / "notes"
        lines = notes.read_text().splitlines() if notes.exists() else []
        parts = (line.rpartition(" ") for line in lines)
        return [(said, int(pid)) for said, _, pid in parts]

    def noted(self, what: str) -> list[int]:
        """Return the processes that have made such a note, in order."""
        return [pid for said, pid in self.notes() if said == what]

    def files(self) -> list[str]:
        """Return the cache files that were opened."""
        opened = (said.partition("opened ") for said, _ in self.notes())
        return [path for _, word, path in opened if word]

    # --------------------------------------------------------------- workers

    def workers(self) -> set[int]:
        return children(self.process.pid)

    @contextlib.contextmanager
    def closed_door(self) -> Iterator[None]:
        """Let those who come to the door wait until the block ends."""
        with open(self.folder / "door", "a") as door:
            fcntl.flock(door, fcntl.LOCK_EX)
            yield

    def ask_all(self, path: str, noted: str) -> list[Any]:
        """Send requests, which wait at the door, until each worker has noted one.

        Returns what became of each.
        """
        running = []

        def all_have() -> bool:
            running.append(self.in_background(path))
            return set(self.noted(noted)) >= self.workers()

        with self.closed_door():
            eventually(all_have, f"each worker has {path}")
        for thread, _ in running:
            thread.join()
        return [answer for _, answers in running for answer in answers]

    def wait_for_workers(self, besides: frozenset[int] = frozenset()) -> set[int]:
        """Wait until all workers serve, none of them one of `besides`.

        One that still begins may overlook a signal.
        """

        def complete() -> set[int] | None:
            assert self.process.poll() is None, self.log()
            found = self.workers()
            return found if len(found) == WORKERS and not found & besides else None

        found: set[int] = eventually(complete, "all workers are there")
        self.ask_all("/meet", "meets")
        return found

    def begin(self) -> None:
        """Wait until it answers, with all workers."""
        address = self.folder / "socket"
        eventually(lambda: address.exists() or self.process.poll(), "it listens")
        assert self.process.poll() is None, self.log()
        self.wait_for_workers()

    def reload(self) -> None:
        """Reload gracefully; wait until other workers have taken over."""
        before = frozenset(self.workers())
        self.process.send_signal(signal.SIGHUP)
        self.wait_for_workers(besides=before)

    def stop(self) -> None:
        """Stop gracefully, and see that nothing is left but the cache, at most.

        A worker of uWSGI that was interrupted right after its answer is busy, and
        runs no exit functions.
        """
        eventually(self._is_idle, "all workers wait for a request")
        eventually(self._has_ended, "it stops")
        assert self.process.returncode == 0, self.log()
        self._wait_for_all()
        assert set(os.listdir(self.folder)) <= {"cache", *OURS}

    def _is_idle(self) -> bool:
        with contextlib.suppress(OSError):  # of one that ends by itself
            return all(map(idle, self.workers()))
        return False

    def _has_ended(self) -> bool:
        """Ask it to end, again if need be: one that begins may overlook a signal."""
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(12)
        return self.process.poll() is not None

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def end(self, signum: int = signal.SIGKILL) -> None:
        """End what is left, by the group that only this server's processes have."""
        if group_lives(self.process.pid):
            os.killpg(self.process.pid, signum)
        self.process.wait(LIMIT)
        self._wait_for_all()

    def _wait_for_all(self) -> None:
        """Wait for workers that were killed: they may take a moment more."""
        eventually(lambda: not group_lives(self.process.pid), "nothing of it runs")


def group_lives(group: int) -> bool:
    """Tell whether a process of a group runs."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@contextlib.contextmanager
def serving(kind: Kind, role: str = "shared") -> Iterator[Server]:
    """Run a server until the block ends, in a folder with a short name."""
    with tempfile.TemporaryDirectory(prefix="fastmmap-served-") as folder:
        server = Server(kind, Path(folder), role)
        try:
            server.begin()
            yield server
        except BaseException:
            print(server.log())
            raise
        finally:
            server.end()
