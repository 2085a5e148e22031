"""init_file while others have it open; files removed, replaced, truncated."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

import pytest
from support import MakeCache, Scenario, heard, run_scenario, say

from fastmmap import ClosedError, CorruptError, FastMmap


def eventually(condition: Callable[[], bool]) -> bool:
    """Wait for what is noticed at most once a second."""
    for _ in range(100):
        if condition():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.quick
def test_init_file_empties_it_for_everybody_at_once(make_cache: MakeCache) -> None:
    user = make_cache()
    user.set("key", "old")
    fresh = make_cache(init_file=True, cache_size="512k")
    assert user.get("key") is None
    assert len(user) == 0
    user.set("key", "new")
    assert fresh.get("key") == "new"


def test_users_follow_to_another_geometry(make_cache: MakeCache) -> None:
    user = make_cache(page_size="16k", num_pages=4)
    user.set("key", "old")
    fresh = make_cache(init_file=True, page_size="64k", num_pages=2)
    fresh.set("key", b"x" * 20_000)
    assert user.get("key") == b"x" * 20_000
    assert (user.page_size, user.num_pages) == (65536, 2)


@pytest.mark.parametrize(
    "use",
    [
        lambda cache: cache.set("key", 1),
        lambda cache: cache.incr("key"),
        lambda cache: cache.add("key", 1),
        lambda cache: cache.get_and_set("key", lambda *_: 1),
        lambda cache: cache.update(key=1),
    ],
)
def test_every_operation_follows(
    make_cache: MakeCache, use: Callable[[FastMmap], object]
) -> None:
    user = make_cache()
    fresh = make_cache(init_file=True, cache_size="512k")
    use(user)
    assert fresh.get("key") == 1


class Replacing:
    """A value that puts another file in the place of the cache while it is pickled."""

    def __init__(self, replace: Callable[[], object]) -> None:
        self.replace = replace

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        self.replace()
        return str, ("made meanwhile",)


@pytest.mark.parametrize("name", ["set", "add", "__setitem__"])
def test_a_file_replaced_while_a_value_is_pickled_gets_the_value(
    make_cache: MakeCache, name: str
) -> None:
    user = make_cache()
    made: list[FastMmap] = []
    value = Replacing(lambda: made.append(make_cache(init_file=True, num_pages=3)))
    getattr(user, name)("key", value)
    assert made[-1].get("key") == user.get("key") == "made meanwhile"


def test_a_cache_closed_while_a_value_is_pickled_says_so(make_cache: MakeCache) -> None:
    user = make_cache()
    with pytest.raises(ClosedError):
        user.set("key", Replacing(user.close))


def test_a_lock_block_across_a_replacement_is_no_mix(make_cache: MakeCache) -> None:
    user = make_cache(page_size="64k", num_pages=1)
    with user.lock("key") as item:
        fresh = make_cache(init_file=True, page_size="64k", num_pages=1)
        item.value = "written to the old file"
    assert fresh.get("key") in (None, "written to the old file")
    assert user.set("key", "new")
    assert fresh.get("key") == "new"


def test_replacing_again_and_again(make_cache: MakeCache) -> None:
    user = make_cache()
    for turn in range(20):
        fresh = make_cache(init_file=True, cache_size="512k")
        assert user.get("key") is None
        user.set("key", turn)
        assert fresh.get("key") == turn


def work_beside_replacement(path: str) -> int:
    """Use the cache from threads while it is replaced; nothing may fail."""
    user = FastMmap(path, cache_size="256k")
    stop = threading.Event()
    failures: list[BaseException] = []

    def use() -> None:
        try:
            while not stop.is_set():
                user.set("key", b"x" * 3000)
                assert user.get("key", b"x" * 3000) == b"x" * 3000
                user.incr("n")
                list(user)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=use) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        FastMmap(path, init_file=True, unlink_on_exit=False, cache_size="256k").close()
        time.sleep(0.01)
    stop.set()
    for thread in threads:
        thread.join()
    return len(failures)


def test_threads_work_on_while_the_file_is_replaced(path: str) -> None:
    assert run_scenario(work_beside_replacement, path) == 0


def use_until_told(path: str) -> list[object]:
    cache = FastMmap(path)
    cache.set("key", "old")
    say("ready")
    heard()
    found = cache.get("key")
    cache.set("from user", 1)
    return [found]


def test_another_process_follows(make_cache: MakeCache, path: str) -> None:
    make_cache()
    with Scenario(use_until_told, path) as user:
        user.hear()
        fresh = make_cache(init_file=True, cache_size="512k")
        user.tell("go")
        assert user.result() == [None]
    assert fresh.get("from user") == 1


@pytest.mark.quick
def test_a_file_removed_and_made_again_is_noticed(
    make_cache: MakeCache, path: str
) -> None:
    user = make_cache(unlink_on_exit=False)
    user.set("key", "old")
    os.unlink(path)
    fresh = make_cache(cache_size="512k")
    fresh.set("key", "new")
    assert eventually(lambda: user.get("key") == "new")
    user.set("key", "newer")
    assert fresh.get("key") == "newer"


def test_a_removed_file_goes_on_without_a_name(
    make_cache: MakeCache, path: str
) -> None:
    user = make_cache()
    user.set("key", 1)
    os.unlink(path)
    assert user.get("key") == 1
    time.sleep(1.2)
    assert user.get("key") == 1
    assert user.set("key", 2)
    assert not os.path.exists(path)


def test_a_file_replaced_by_something_else_is_left_alone(
    make_cache: MakeCache, path: str
) -> None:
    user = make_cache()
    user.set("key", 1)
    os.unlink(path)
    with open(path, "w") as file:
        file.write("not a cache")
    time.sleep(1.2)
    try:
        assert user.get("key") in (1, None)
    except ValueError as error:
        assert path in str(error)
    with open(path) as file:
        assert file.read() == "not a cache"


def test_a_cache_that_was_only_cleared_is_still_there(
    make_cache: MakeCache, path: str
) -> None:
    """init_file over a file that exists does not make it one to be unlinked."""
    user = make_cache()
    FastMmap(path, init_file=True, cache_size="512k").close()
    assert os.path.exists(path)
    assert user.set("key", "new")


def test_a_file_replaced_and_then_removed_is_no_obstacle(
    make_cache: MakeCache, path: str
) -> None:
    user = make_cache(page_size="16k", num_pages=4, unlink_on_exit=False)
    user.set("key", "old")
    FastMmap(path, init_file=True, page_size="16k", unlink_on_exit=True).close()
    assert not os.path.exists(path)
    assert user.get("key") in (None, "old")
    assert user.set("key", "new")
    assert user.get("key") == "new"
    other = make_cache(page_size="16k", num_pages=4)
    assert eventually(lambda: other.set("key", "other") and user.get("key") == "other")


def survive_truncation(path: str) -> list[str]:
    """Use a file that a stranger truncates, under the guard."""
    cache = FastMmap(path, cache_size="1m", sigbus_guard=True, unlink_on_exit=False)
    for number in range(500):
        cache.set(f"key {number}", b"x" * 500)
    os.truncate(path, 4096)
    outcomes = set()
    for use in (
        lambda: cache.get("key 1"),
        lambda: cache.set("key 1", b"new"),
        lambda: cache.get_keys(),
        lambda: cache.clear(),
    ):
        try:
            use()
            outcomes.add("went on")
        except CorruptError:
            outcomes.add("corrupt")
    return sorted(outcomes)


def test_sigbus_guard_turns_a_truncation_into_a_corrupt_error(path: str) -> None:
    assert run_scenario(survive_truncation, path) == ["corrupt"]


def test_a_truncated_file_is_refused_at_open(make_cache: MakeCache, path: str) -> None:
    make_cache(unlink_on_exit=False).close()
    size = os.path.getsize(path)
    for length in (size - 1, size // 2, 4096, 100):
        os.truncate(path, length)
        with pytest.raises(ValueError, match=r"cache\.fmm"):
            FastMmap(path)
        assert os.path.getsize(path) == length
