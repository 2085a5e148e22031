"""Containers that share one file: other processes, clocks and users, or no /proc.

Each kind is tried with real namespaces. What the system does not permit is skipped.
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from support import MakeCache, Scenario, heard, run_scenario, say

from fastmmap import FastMmap
from fastmmap.sync import Lock, RateLimiter

PAGE: dict[str, Any] = {"page_size": "64k", "num_pages": 1, "lock_timeout": 30}
SOON = 0.010  # seconds until the lock of a process that is gone is taken over

PROCESSES = ["unshare", "--pid", "--fork", "--kill-child"]
#: What a shell does in a mount namespace before the program starts.
REMOUNT = [*PROCESSES, "--mount", "sh", "-c", 'mount {} /proc && exec "$@"', "sh"]


def remount(arguments: str) -> list[str]:
    return [word.format(arguments) for word in REMOUNT]


KINDS = {
    "processes of its own": [*PROCESSES, "--mount-proc"],
    "the /proc of another": PROCESSES,
    "users of its own": [*PROCESSES, "--mount-proc", "--user", "--map-root-user"],
    "no /proc": remount("-t tmpfs none"),
    "a /proc of its own processes": remount("-t proc -o hidepid=2 proc"),
    "a /proc of processes alone": remount("-t proc -o subset=pid proc"),
    "another clock": "unshare --time --fork --kill-child "
    "--monotonic 86400 --boottime 86400".split(),
    "bwrap": "bwrap --dev-bind / / --proc /proc --unshare-pid "
    "--die-with-parent".split(),
}


def permitted(prefix: list[str]) -> bool:
    return bool(shutil.which(prefix[0])) and not subprocess.call(
        [*prefix, "true"], stderr=subprocess.DEVNULL
    )


@pytest.fixture(params=KINDS)
def container(request: pytest.FixtureRequest) -> list[str]:
    """Return the command prefix of a process in a container of some kind."""
    prefix: list[str] = KINDS[request.param]
    if not permitted(prefix):
        pytest.skip("cannot be shown here: it is not permitted")
    return prefix


@pytest.fixture
def processes() -> list[str]:
    """Return the command prefix of a process in a namespace of its own."""
    prefix = KINDS["processes of its own"]
    if not permitted(prefix):
        pytest.skip("cannot be shown here: `unshare --pid` is not permitted")
    return prefix


def innermost(pid: int) -> int:
    """Return the one that a chain of processes ends with, as it is called here."""
    while children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        pid = int(children[0])
    return pid


def hold(path: str) -> list[object]:
    """Hold the page for as long as nobody kills or releases this process."""
    cache = FastMmap(path, **PAGE)
    with cache.lock("key") as item:
        item.value = "in the container"
        say(os.getpid())
        heard()
    return [cache.get("key"), len(cache.clients())]


def test_a_page_is_held_across_containers(
    make_cache: MakeCache, path: str, container: list[str]
) -> None:
    cache = make_cache(**{**PAGE, "lock_timeout": 0.2})
    cache.set("key", "old")
    with Scenario(hold, path, prefix=container) as holder:
        holder.hear()
        assert cache.get("key") == "old"
        with pytest.raises(TimeoutError):
            cache.set("key", "new")
        assert len(cache.clients()) == 2
        holder.tell("release")
        assert holder.result() == ["in the container", 2]
    assert cache.get("key") == "in the container"
    assert cache.stats().recoveries == 0


class Timed(threading.Thread):
    """Does something, and notes when it was done."""

    def __init__(self, work: Any) -> None:
        super().__init__()
        self._work = work
        self.start()

    def run(self) -> None:
        self._work()
        self.done = time.monotonic()


def seconds_from_death(holder: Scenario, work: Any) -> float:
    """Kill the innermost process while another waits; return how long it took.

    From when the process is gone: the kernel frees its memory before its locks,
    and there is much of that under sanitizers.
    """
    victim = innermost(holder.process.pid)
    waiting = Timed(work)
    time.sleep(0.05)
    death = os.pidfd_open(victim)
    os.kill(victim, signal.SIGKILL)
    select.select([death], [], [])
    gone = time.monotonic()
    os.close(death)
    waiting.join()
    return waiting.done - gone


def test_a_page_is_taken_over_from_a_killed_container(
    make_cache: MakeCache, path: str, container: list[str]
) -> None:
    cache = make_cache(**PAGE)
    times = []
    for round in range(3):
        cache.set("key", round)
        with Scenario(hold, path, prefix=container) as holder:
            holder.hear()
            times.append(
                seconds_from_death(holder, lambda: cache.set("other", "taken over"))
            )
        assert cache.get("key") == round
    assert min(times) < SOON and max(times) < 2, times
    assert cache.stats().recoveries == 3
    assert cache.check().ok


def hold_in_container(path: str) -> None:
    with FastMmap(path, **PAGE) as cache, cache.lock("key"):
        say("held")
        heard()


def wait_inside(path: str) -> list[object]:
    """Wait for a page of a process outside that is killed meanwhile."""
    cache = FastMmap(path, **PAGE)
    say("ready")
    stored = cache.set("key", "from inside")
    return [stored, cache.stats().recoveries]


def test_a_page_is_taken_over_in_a_container(path: str, container: list[str]) -> None:
    FastMmap(path, unlink_on_exit=False, **PAGE).close()
    with Scenario(hold_in_container, path) as holder:
        holder.hear()
        with Scenario(wait_inside, path, prefix=container) as waiting:
            waiting.hear()
            time.sleep(0.05)
            holder.kill()
            assert waiting.result() == [True, 1]


def compute(path: str) -> None:
    """Compute a value and hold a lock by name, and never finish."""
    cache = FastMmap(path, **PAGE)
    lock = Lock(cache, "lock")
    assert lock.acquire()

    def forever() -> None:
        say("computing")
        heard()

    cache.get_or_set("key", forever)
    lock.release()


def test_leases_and_locks_by_name_are_taken_over_from_a_container(
    make_cache: MakeCache, path: str, container: list[str]
) -> None:
    cache = make_cache(**PAGE)
    lock = Lock(cache, "lock")
    with Scenario(compute, path, prefix=container) as computing:
        computing.hear()
        assert not lock.acquire(timeout=0.1)
        os.kill(innermost(computing.process.pid), signal.SIGKILL)
        assert cache.get_or_set("key", lambda: "computed here") == "computed here"
        assert lock.acquire(timeout=5)


def pid_and_counter(path: str) -> list[int]:
    with FastMmap(path, **PAGE) as cache:
        return [os.getpid(), cache.incr("n")]


def test_an_equal_number_elsewhere_is_not_the_holder(
    path: str, processes: list[str]
) -> None:
    """Process 1 of one container dies; process 1 of another lives on."""
    FastMmap(path, unlink_on_exit=False, **PAGE).close()
    with Scenario(hold, path, prefix=processes) as first:
        pid = int(first.hear())
        with Scenario(wait_inside, path, prefix=processes) as second:
            second.hear()
            first.kill()
            assert second.result() == [True, 1]
    assert pid < 10, "not in a namespace of its own"
    with Scenario(pid_and_counter, path, prefix=processes) as third:
        assert third.result() == [pid, 1]


def hold_and_stay(path: str) -> None:
    """Hold the page, and live on: all processes of a namespace end with its first."""
    hold(path)
    heard()


def test_a_process_that_enters_a_container_shares_it(
    path: str, processes: list[str]
) -> None:
    FastMmap(path, unlink_on_exit=False, **PAGE).close()
    with Scenario(hold_and_stay, path, prefix=processes) as holder:
        holder.hear()
        inner = str(innermost(holder.process.pid))
        enter = ["nsenter", "--target", inner, "--pid", "--mount"]
        if not permitted(enter):
            pytest.skip("cannot be shown here: nsenter is not permitted")
        with Scenario(wait_inside, path, prefix=enter) as entered:
            entered.hear()
            holder.tell("release")
            assert entered.result() == [True, 0]


CLONE_NEWPID = 0x20000000
SYS_CLONE = {"x86_64": 56, "aarch64": 220}


def use_in_child(path: str, how: str) -> list[object]:
    """Use one object here and in a child that is process 1 of a new namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    cache, other = FastMmap(path, **PAGE), FastMmap(path, **PAGE)
    with cache.lock("key") as item:
        if how == "fork":
            if libc.unshare(CLONE_NEWPID) != 0:
                return ["not permitted"]
            pid = os.fork()
        else:
            number = SYS_CLONE[os.uname().machine]
            pid = libc.syscall(number, CLONE_NEWPID | signal.SIGCHLD, 0, 0, 0, 0)
            if pid < 0:
                return ["not permitted"]
        if pid == 0:
            os._exit(0 if os.getpid() == 1 and cache.set("child", 1) else 1)
        time.sleep(0.1)
        assert other.get("child") is None
        item.value = "parent"
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return [code, cache.get("key"), cache.get("child"), cache.stats().recoveries]


@pytest.mark.parametrize("how", ["fork", "clone"])
def test_a_child_in_a_namespace_of_its_own_waits_for_its_parent(
    path: str, how: str
) -> None:
    found = run_scenario(use_in_child, path, how)
    if found == ["not permitted"]:
        pytest.skip("cannot be shown here: a new namespace is not permitted")
    assert found == [0, "parent", 1, 0]


def take_some(path: str) -> list[bool]:
    limiter = RateLimiter(FastMmap(path, **PAGE), "name", 2, 3600)
    return [limiter.take() for _ in range(2)]


def test_a_rate_is_one_rate_where_clocks_differ(path: str) -> None:
    prefix = KINDS["another clock"]
    if not permitted(prefix):
        pytest.skip("cannot be shown here: `unshare --time` is not permitted")
    with FastMmap(path, **PAGE) as cache:
        limiter = RateLimiter(cache, "name", 2, 3600)
        assert limiter.take()
        with Scenario(take_some, path, prefix=prefix) as other:
            assert other.result() == [True, False]
        assert not limiter.take()


def test_a_copy_of_a_file_with_held_locks_is_free(
    make_cache: MakeCache, path: str
) -> None:
    """By its inode a copy is known as one: nobody holds its locks."""
    cache = make_cache(**PAGE)
    cache.set("key", "old")
    with Scenario(hold, path) as holder:
        holder.hear()
        copied = path + ".copy"
        shutil.copyfile(path, copied)
        os.chmod(copied, 0o600)
        with FastMmap(copied, lock_timeout=0) as copy:
            assert copy.get("key") == "old"
            assert copy.set("key", "copy")
            assert copy.check().ok
        assert cache.get("key") == "old"
        holder.tell("release")
        holder.result()
    assert cache.get("key") == "in the container"
    with FastMmap(copied) as copy:
        assert copy.get("key") == "copy"
