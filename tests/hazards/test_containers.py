"""Another process namespace, where a number names another process."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

import pytest
from support import MakeCache, Scenario, heard, run_scenario, say

from fastmmap import FastMmap, FormatError

PAGE: dict[str, Any] = {"page_size": "64k", "num_pages": 1}


@pytest.fixture
def container() -> list[str]:
    """Return the command prefix of a process in a namespace of its own."""
    prefix = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if os.geteuid() != 0:
        prefix.append("--map-root-user")
    allowed = shutil.which("unshare") and not subprocess.call([*prefix, "true"])
    if not allowed:
        pytest.skip("cannot be shown here: `unshare --pid` is not permitted")
    return prefix


def hold(path: str) -> int:
    """Hold the page for as long as nobody kills or releases this process."""
    cache = FastMmap(path)
    with cache.lock("key") as item:
        item.value = "never written"
        say(os.getpid())
        heard()
    return os.getpid()


def use(path: str) -> list[object]:
    """Use the cache: what was in it, whether it can be written, who this is.

    It waits for no lock: one of elsewhere must be gone when the file is open.
    """
    with FastMmap(path, lock_timeout=0) as cache:
        found = cache.get("key")
        return [found, cache.set("key", "new"), cache.check().ok, os.getpid()]


def attempt(path: str) -> list[str]:
    """Open the file; return the error."""
    try:
        FastMmap(path).close()
    except FormatError as error:
        return ["refused", str(error)]
    return ["opened", ""]


def run_in(container: list[str], scenario: Any, path: str) -> Any:
    with Scenario(scenario, path, prefix=container) as running:
        return running.result()


def make_file(path: str) -> None:
    with FastMmap(path, unlink_on_exit=False, **PAGE) as cache:
        cache.set("key", "old")


def test_a_file_in_use_outside_is_refused_in_a_container(
    make_cache: MakeCache, path: str, container: list[str]
) -> None:
    cache = make_cache(**PAGE)
    cache.set("key", "old")
    outcome, message = run_in(container, attempt, path)
    assert outcome == "refused"
    assert path in message
    assert "in use from another container or host" in message
    assert cache.get("key") == "old"
    assert cache.set("key", "still works")


def test_a_file_in_use_in_a_container_is_refused_outside(
    path: str, container: list[str]
) -> None:
    make_file(path)
    with Scenario(hold, path, prefix=container) as holder:
        pid = int(holder.hear())
        assert pid < 10, "not in a namespace of its own"
        with pytest.raises(FormatError, match="in use from another container"):
            FastMmap(path)
        outcome, _ = run_in(container, attempt, path)  # a second container
        assert outcome == "refused"
        holder.tell("release")
        holder.result()
    assert run_scenario(use, path)[:3] == ["never written", True, True]


def test_the_lock_of_a_container_that_is_gone_is_cleared(
    path: str, container: list[str]
) -> None:
    make_file(path)
    with Scenario(hold, path, prefix=container) as holder:
        holder.hear()
        holder.kill()
    assert run_scenario(use, path)[:3] == ["old", True, True]


def test_the_lock_of_a_process_outside_that_is_gone_is_cleared_in_a_container(
    path: str, container: list[str]
) -> None:
    make_file(path)
    with Scenario(hold, path) as holder:
        holder.hear()
        holder.kill()
    assert run_in(container, use, path)[:3] == ["old", True, True]


def test_an_equal_number_in_another_container_is_not_the_holder(
    path: str, container: list[str]
) -> None:
    """The same number lives on, but it is another process."""
    make_file(path)
    with Scenario(hold, path, prefix=container) as holder:
        pid = int(holder.hear())
        holder.kill()
    assert run_in(container, use, path) == ["old", True, True, pid]
    # And so on, whatever namespace made the file its own last.
    assert run_scenario(use, path)[:3] == ["new", True, True]
    assert run_in(container, use, path) == ["new", True, True, pid]


def test_processes_of_one_container_share_a_file(
    path: str, container: list[str]
) -> None:
    assert run_in(container, share, path) == [1, 2, True]


def share(path: str) -> list[object]:
    """Use one file from two processes of this namespace."""
    with FastMmap(path, **PAGE) as cache:
        first = cache.incr("n")
        return [first, run_scenario(count, path), cache.get("n") == 2]


def count(path: str) -> int:
    with FastMmap(path) as cache:
        return cache.incr("n")


def test_a_copy_of_a_file_with_held_locks_is_free(
    make_cache: MakeCache, path: str
) -> None:
    """By its inode a copy is known as one: nobody holds its locks."""
    cache = make_cache(lock_timeout=5, **PAGE)
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
    assert cache.get("key") == "never written"
    with FastMmap(copied) as copy:
        assert copy.get("key") == "copy"
