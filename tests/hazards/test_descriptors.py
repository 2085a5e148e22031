"""No descriptors left, and descriptors closed or reused behind our back."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator

import pytest
from support import run_scenario

from fastmmap import FastMmap


def descriptors() -> dict[int, str]:
    """Return the open descriptors of this process and what they lead to."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return found


def of_file(path: str) -> list[int]:
    """Return the descriptors that lead to the file, whatever name it had."""
    file = os.stat(path)
    return sorted(fd for fd in descriptors() if is_open(fd, file))


def is_open(fd: int, file: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), file)
    except OSError:
        return False


@contextlib.contextmanager
def exhausted(left: int) -> Iterator[None]:
    """Leave this process so many descriptors and no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
    taken = []
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        for _ in range(left):
            os.close(taken.pop())
    try:
        yield
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def error_of(use: Callable[[], object]) -> list[object]:
    """Return errno and file name of the error of a call; empty if none."""
    try:
        use()
    except OSError as error:
        return [error.errno, error.filename]
    return []


def open_with_few(path: str, exists: bool, init_file: bool) -> list[object]:
    """Open with 0, 1, 2, ... descriptors left, until it succeeds."""
    caches: list[FastMmap] = []
    for left in range(10):
        if exists:
            FastMmap(path, cache_size="256k", unlink_on_exit=False).close()
        elif os.path.exists(path):
            os.unlink(path)
        before = descriptors()
        with exhausted(left):
            error = error_of(
                lambda: caches.append(
                    FastMmap(path, init_file=init_file, cache_size="256k")
                )
            )
        if not error:
            # Nobody is misled about where the file belongs.
            with FastMmap(path) as other:
                other.set("key", 1)
                return [left, caches[0].get("key")]
        assert error == [errno.EMFILE, path], error
        assert descriptors() == before
        assert os.path.exists(path) == exists
        assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)] * exists
    return ["never"]


@pytest.mark.parametrize("init_file", [False, True])
@pytest.mark.parametrize("exists", [False, True])
def test_open_without_descriptors_is_an_os_error_and_leaves_nothing(
    path: str, exists: bool, init_file: bool
) -> None:
    left, found = run_scenario(open_with_few, path, exists, init_file)
    assert 1 <= left <= 5
    assert found == 1


def use_without_descriptors(path: str) -> list[object]:
    cache = FastMmap(path, cache_size="256k")
    cache.set("key", 1)
    with exhausted(0):
        cache.set("other", [2])
        time.sleep(1.1)  # the file is looked at once a second
        found = [cache.get("key"), cache.get("other"), cache.incr("key"), len(cache)]
        return [*found, cache.check().ok]


def test_an_open_cache_needs_no_further_descriptor(path: str) -> None:
    assert run_scenario(use_without_descriptors, path) == [1, [2], 2, 2, True]


def follow_without_descriptors(path: str) -> list[object]:
    """Meet a replaced file when it cannot be opened, and later when it can."""
    cache = FastMmap(path, cache_size="256k", unlink_on_exit=False)
    cache.set("key", "old")
    fresh = FastMmap(path, init_file=True, cache_size="256k", unlink_on_exit=False)
    fresh.set("key", "new")
    with exhausted(0):
        errors = [error_of(lambda: cache.get("key")) for _ in range(3)]
        errors.append(error_of(lambda: cache.set("key", "lost")))
    return [*errors, cache.get("key"), fresh.get("key"), len(of_file(path))]


def test_a_replaced_file_is_followed_once_there_are_descriptors(path: str) -> None:
    *errors, found, kept, opened = run_scenario(follow_without_descriptors, path)
    assert errors == [[errno.EMFILE, path]] * 4
    assert (found, kept) == ("new", "new")
    assert opened == 2


def replace_under_none(path: str) -> list[object]:
    """Meet a file that was removed and made again, without descriptors."""
    cache = FastMmap(path, cache_size="256k", unlink_on_exit=False)
    cache.set("key", "old")
    os.unlink(path)
    FastMmap(path, cache_size="256k", unlink_on_exit=False).close()
    with exhausted(0):
        time.sleep(1.1)
        error = error_of(lambda: cache.get("key"))
    time.sleep(1.1)
    return [error, cache.get("key"), cache.set("key", "new")]


def test_a_file_made_again_is_followed_once_there_are_descriptors(path: str) -> None:
    found = run_scenario(replace_under_none, path)
    assert found == [[errno.EMFILE, path], None, True]


def close_behind(path: str) -> list[object]:
    """Close the cache's descriptor and go on."""
    cache = FastMmap(path, cache_size="256k", unlink_on_exit=False)
    cache.set("key", "value")
    (number,) = of_file(path)
    os.close(number)
    time.sleep(1.1)
    outcome = [cache.get("key"), cache.set("key", "new"), cache.get("key")]
    cache.close()
    with FastMmap(path) as again:
        return [*outcome, again.get("key")]


def test_a_cache_whose_descriptor_was_closed_goes_on(path: str) -> None:
    found = run_scenario(close_behind, path)
    assert found == ["value", True, "new", "new"]


def reuse_behind(path: str, collect: bool) -> list[object]:
    """Give the cache's descriptor to another file, and close the cache."""
    cache = FastMmap(path, cache_size="256k", unlink_on_exit=False)
    cache.set("key", "value")
    (number,) = of_file(path)
    with tempfile.TemporaryFile() as stranger:
        os.dup2(stranger.fileno(), number)
        time.sleep(1.1)
        outcome: list[object] = [cache.get("key"), cache.set("key", "new")]
        if collect:
            del cache
        else:
            cache.close()
        os.write(number, b"mine")  # EBADF if it was closed
        outcome.append(os.pread(stranger.fileno(), 10, 0) == b"mine")
        os.close(number)
    with FastMmap(path) as again:
        return [*outcome, again.get("key")]


@pytest.mark.parametrize("collect", [False, True])
def test_a_strangers_descriptor_is_not_closed(path: str, collect: bool) -> None:
    found = run_scenario(reuse_behind, path, collect)
    assert found == ["value", True, True, "new"]


def replace_behind(path: str) -> list[object]:
    """The same when the cache moves on to a new file."""
    cache = FastMmap(path, cache_size="256k", unlink_on_exit=False)
    (number,) = of_file(path)
    with tempfile.TemporaryFile() as stranger:
        os.dup2(stranger.fileno(), number)
        fresh = FastMmap(path, init_file=True, cache_size="256k", unlink_on_exit=False)
        fresh.set("key", "new")
        found = cache.get("key")
        os.write(number, b"mine")
        same = os.pread(stranger.fileno(), 10, 0) == b"mine"
        os.close(number)
        return [found, same]


def test_following_a_new_file_closes_no_strangers_descriptor(path: str) -> None:
    assert run_scenario(replace_behind, path) == ["new", True]


def empty_and_resize_behind(path: str) -> list[object]:
    """Have a stranger's file of zeros and all rights get the number of ours."""
    cache = FastMmap(path, cache_size="1m", reserve=False, unlink_on_exit=False)
    cache["key"] = "value"
    (number,) = of_file(path)
    mode = os.stat(path).st_mode
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(path)) as stranger:
        os.write(stranger.fileno(), b"x" * 3_000_000)
        os.fchmod(stranger.fileno(), 0o666)
        os.dup2(stranger.fileno(), number)
        cache.clear()
        holes = os.pread(number, 3_000_000, 0).count(b"\0")
        kept = cache.set("key", "new") and cache.resize(cache_size="2m").values
        return [holes, kept, os.stat(path).st_mode == mode]


def test_emptying_and_resizing_leave_a_strangers_file_alone(shared_path: str) -> None:
    in_memory = f"/dev/shm/{os.getpid()}-{os.path.basename(shared_path)}"
    for path in (in_memory, shared_path):
        try:
            assert run_scenario(empty_and_resize_behind, path) == [0, 1, True]
        finally:
            os.unlink(path)
