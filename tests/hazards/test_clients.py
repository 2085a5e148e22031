"""Who has the file open, after forks, in programs that were started, without
descriptors: a page is held until its holder is gone, and not a moment longer."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from support import MakeCache, Scenario, heard, run_scenario, say

from fastmmap import ClosedError, FastMmap

PAGE: dict[str, Any] = {"page_size": "64k", "num_pages": 1, "lock_timeout": 30}
SLEEP = [sys.executable, "-c", "import sys; sys.stdin.read()"]


def leave_a_child(path: str, how: str) -> None:
    """Hold a page, start something that lives on, and be killed."""
    cache = FastMmap(path, **PAGE)
    with cache.lock("key"):
        CHILDREN[how](cache)
        say("held")
        heard()


def live_on(cache: FastMmap, work: Callable[[], object]) -> None:
    """Live on in a child after `work`, until the test ends."""
    if os.fork() == 0:
        signal.alarm(30)
        work()
        sys.stdin.read()
        os._exit(0)


def daemonize(cache: FastMmap) -> None:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.alarm(10)
            os.closerange(0, 1024)
            signal.pause()
        os._exit(0)


def spawn(cache: FastMmap) -> None:
    os.posix_spawn(sys.executable, SLEEP, os.environ)


def start(**options: Any) -> Callable[[FastMmap], None]:
    def start_program(cache: FastMmap) -> None:
        subprocess.Popen(SLEEP, **options)

    return start_program


CHILDREN: dict[str, Callable[[FastMmap], None]] = {
    "a child that does nothing": lambda cache: live_on(cache, lambda: None),
    "a child that reads": lambda cache: live_on(cache, lambda: cache.get("key")),
    "a child that closes it": lambda cache: live_on(cache, cache.close),
    "a child that closes descriptors": lambda cache: live_on(
        cache, lambda: os.closerange(3, 1024)
    ),
    "a daemon": daemonize,
    "a program by posix_spawn": spawn,
    "a program": start(),
    "a program with all descriptors": start(close_fds=False),
    "a program after some work": start(preexec_fn=lambda: None),
    "a program in a session": start(start_new_session=True),
}


@pytest.mark.parametrize("how", CHILDREN)
def test_what_a_process_leaves_does_not_hold_its_page(
    make_cache: MakeCache, path: str, how: str
) -> None:
    cache = make_cache(**PAGE)
    cache.set("key", "old")
    with Scenario(leave_a_child, path, how) as parent:
        assert parent.hear() == "held"
        assert len(cache.clients()) >= 2
        parent.send(signal.SIGKILL)
        began = time.monotonic()
        assert cache.set("key", "new")
        assert time.monotonic() - began < 10
    assert cache.stats().recoveries == 1


def hold_in_a_child(path: str, how: str) -> None:
    """Hold the page in a child that did something to its descriptors."""
    cache = FastMmap(path, **PAGE)
    if os.fork() != 0:
        os._exit(0)
    if how == "daemon":
        os.setsid()
    if how != "plain":
        os.closerange(3, 1024)
    if how == "reused":
        for _ in range(20):
            os.open(os.devnull, os.O_RDWR)
    with cache.lock("key") as item:
        item.value = "of the child"
        say(os.getpid())
        heard()
    cache.close()
    os._exit(0)


@pytest.mark.parametrize("how", ["plain", "closed", "reused", "daemon"])
@pytest.mark.parametrize("end", ["release", "kill"])
def test_a_child_holds_what_it_took_until_its_end(
    make_cache: MakeCache, path: str, how: str, end: str
) -> None:
    cache = make_cache(**{**PAGE, "lock_timeout": 0.3})
    cache.set("key", "old")
    with Scenario(hold_in_a_child, path, how) as child:
        pid = int(child.hear())
        with pytest.raises(TimeoutError):
            cache.set("key", "new")
        assert pid in [client.pid for client in cache.clients()]
        if end == "kill":
            os.kill(pid, signal.SIGKILL)
        else:
            child.tell("release")
        other = FastMmap(path, lock_timeout=30)
        assert other.set("other", 1)
        other.close()
    assert cache.get("key") == ("old" if end == "kill" else "of the child")
    assert cache.stats().recoveries == (end == "kill")


def keep_no_descriptor(path: str, keep_the_name: bool) -> list[object]:
    """Fork when nothing can be opened; say what became of the object."""
    cache = FastMmap(path, unlink_on_exit=False, **PAGE)
    cache.set("key", "old")
    if not keep_the_name:
        os.unlink(path)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    pid = os.fork()
    if pid == 0:
        code = 0
        for use in (lambda: cache.get("key"), lambda: cache.set("key", 1)):
            try:
                use()
            except ClosedError as error:
                code += 1 + ("forked" in str(error))
        os._exit(code if cache.closed else 100)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return [code, cache.get("key"), cache.set("key", "new")]


@pytest.mark.parametrize("keep_the_name", [True, False])
def test_a_child_that_cannot_open_the_file_has_a_closed_object(
    path: str, keep_the_name: bool
) -> None:
    found = run_scenario(keep_no_descriptor, path, keep_the_name)
    assert found == [3, "old", True]


def slow(path: str) -> None:
    """Hold a page; be stopped, traced and slow meanwhile."""
    cache = FastMmap(path, **PAGE)
    for number in range(3):
        with cache.lock("key") as item:
            say("held")
            heard()
            time.sleep(0.1)
            item.value = number
        say("released")
        heard()


def test_nothing_is_taken_over_from_a_holder_that_is_slow_or_stopped(
    make_cache: MakeCache, path: str
) -> None:
    cache = make_cache(**{**PAGE, "lock_timeout": 0.5})
    with Scenario(slow, path) as holder:
        for _ in range(3):
            assert holder.hear() == "held"
            holder.send(signal.SIGSTOP)
            with pytest.raises(TimeoutError):
                cache.set("other", 1)
            holder.send(signal.SIGCONT)
            holder.tell("go on")
            assert cache.set("other", 2)
            assert holder.hear() == "released"
            holder.tell("go on")
        assert holder.exit_code() == 0
    assert cache.get("key") == 2
    assert cache.stats().recoveries == 0


#: What goes through all pages, and so waits for each.
WALKS: dict[str, Callable[[FastMmap], object]] = {
    "len": len,
    "iteration": list,
    "items": lambda cache: list(cache.items()),
    "get_keys": lambda cache: cache.get_keys(),
    "clear": lambda cache: cache.clear(),
    "purge": lambda cache: cache.purge(),
    "empty": lambda cache: cache.empty(),
    "flush": lambda cache: cache.flush(),
    "check": lambda cache: cache.check(),
}


def test_a_walk_over_a_page_of_a_stopped_process_times_out(
    make_cache: MakeCache, path: str
) -> None:
    cache = make_cache(**{**PAGE, "lock_timeout": 0.1})
    cache.set("key", 1)
    with Scenario(slow, path) as holder:
        holder.hear()
        holder.send(signal.SIGSTOP)
        for name, walk in WALKS.items():
            began = time.monotonic()
            with pytest.raises(TimeoutError):
                walk(cache)
            assert time.monotonic() - began < 5, name
        assert cache.get("key") == 1 and "key" in cache
        assert cache.stats().entries == 1 and len(cache.clients()) == 2


def test_a_file_that_is_open_is_marked_as_in_use(
    make_cache: MakeCache, path: str
) -> None:
    """By a shared flock, for which systemd-tmpfiles looks."""
    first, second = make_cache(**PAGE), FastMmap(path)
    with open(path, "rb") as file:
        for cache in (first, second):
            with pytest.raises(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            cache.close()
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_clients_are_listed_with_what_they_did(
    make_cache: MakeCache, path: str
) -> None:
    cache = make_cache(**PAGE)
    began = time.time()
    with FastMmap(path) as other:
        other.set("key", 1)
        other.get("key")
        other.get("nothing")
        first, second = sorted(cache.clients(), key=lambda client: client.stores)
        assert (first.reads, first.stores, first.waits) == (0, 0, 0)
        assert second[3:] == (2, 1, 1, 1, 0)
        assert first.pid == second.pid == os.getpid()
        assert abs(second.since - began) < 10 and second.command
    assert len(cache.clients()) == 1
    stats = cache.stats()
    assert (stats.reads, stats.hits, stats.hit_ratio) == (2, 1, 0.5)


def without_locks(path: str) -> list[object]:
    """Open a file where the kernel refuses locks of descriptions, like gVisor."""
    refuse_locks()
    try:
        FastMmap(path)
    except OSError as error:
        return [error.errno, str(error)]
    return [0, ""]


def refuse_locks() -> None:
    """Let fcntl(F_OFD_SETLK) be EINVAL from now on, by a filter of system calls."""
    import ctypes
    import struct

    fcntl_number = {"x86_64": 72, "aarch64": 25}[os.uname().machine]
    load, equal, result = 0x20, 0x15, 0x06
    steps = [
        (load, 0, 0, 0),  # the number of the call
        (equal, 0, 3, fcntl_number),
        (load, 0, 0, 24),  # its second argument
        (equal, 0, 1, 37),  # F_OFD_SETLK
        (result, 0, 0, 0x00050000 | errno.EINVAL),
        (result, 0, 0, 0x7FFF0000),
    ]
    program = b"".join(struct.pack("=HBBI", *step) for step in steps)
    buffer = ctypes.create_string_buffer(program)
    prog = struct.pack("=HxxxxxxQ", len(steps), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
    assert libc.prctl(22, 2, ctypes.create_string_buffer(prog)) == 0  # seccomp


@pytest.mark.parametrize("exists", [True, False])
def test_a_system_without_such_locks_is_told_of(path: str, exists: bool) -> None:
    if exists:
        FastMmap(path, unlink_on_exit=False, **PAGE).close()
    number, text = run_scenario(without_locks, path)
    assert number == errno.ENOLCK
    assert "F_OFD_SETLK" in text and "gVisor" in text
