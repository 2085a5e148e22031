"""Processes that are killed: nobody hangs, nothing that was stored is lost."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from support import MakeCache, Scenario, heard, say

from fastmmap import FastMmap

PAGE: dict[str, Any] = {"page_size": "64k", "num_pages": 1}


def hold_in_block(path: str) -> None:
    cache = FastMmap(path)
    with cache.lock("key") as item:
        item.value = "never written"
        say("holding")
        heard()


def hold_in_function(path: str) -> None:
    cache = FastMmap(path)

    def function(key: Any, value: object, entry: object) -> str:
        say("holding")
        heard()
        return "never written"

    cache.get_and_set("key", function)


def hold_in_read_cb(path: str) -> None:
    def read(context: object, key: Any) -> str:
        say("holding")
        heard()
        return "never written"

    FastMmap(path, read_cb=read).get("absent")


@pytest.mark.quick
@pytest.mark.parametrize("holder", [hold_in_block, hold_in_function, hold_in_read_cb])
def test_the_page_of_a_killed_holder_is_taken_over(
    make_cache: MakeCache, path: str, holder: Any
) -> None:
    cache = make_cache(lock_timeout=20, **PAGE)
    cache.update({f"key {number}": number for number in range(100)})
    cache.set("key", "old")
    with Scenario(holder, path) as running:
        running.hear()
        running.kill()
    assert cache.get("key") == "old"
    assert cache.set("key", "new")
    assert cache.get("absent") is None
    assert len(cache) == 101
    stats = cache.stats()
    assert (stats.recoveries, stats.pages_repaired) == (1, 0)
    assert cache.check().ok


def wait_for_page(path: str) -> bool:
    cache = FastMmap(path)
    say("waiting")
    return cache.set("key", "waited")


def test_a_waiter_takes_over_when_the_holder_is_killed(
    make_cache: MakeCache, path: str
) -> None:
    cache = make_cache(**PAGE)
    with Scenario(hold_in_block, path) as holder:
        holder.hear()
        with Scenario(wait_for_page, path) as waiter:
            waiter.hear()
            time.sleep(0.1)
            holder.kill()
            assert waiter.result() is True
    assert cache.get("key") == "waited"


def test_a_holder_that_is_a_zombie_is_dead(make_cache: MakeCache, path: str) -> None:
    cache = make_cache(lock_timeout=20, **PAGE)
    with Scenario(hold_in_block, path) as holder:
        holder.hear()
        # Killed, but not yet waited for: its pid still answers to signal 0.
        holder.send(signal.SIGKILL)
        assert cache.set("key", "new")


def store_for_ever(path: str) -> None:
    """Store values and say each number once it is stored."""
    cache = FastMmap(path)
    number = 0
    while True:
        number += 1
        cache.set(f"key {number % 20}", [number] * (number % 40))
        cache.incr("n")
        if number % 50 == 0:
            say(number)


def test_what_was_stored_before_a_kill_is_there(
    make_cache: MakeCache, path: str
) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    dice = random.Random(seed)
    cache = make_cache(lock_timeout=20, page_size="64k", num_pages=2)
    counted = 0
    for _ in range(8):
        with Scenario(store_for_ever, path) as running:
            running.hear()
            time.sleep(dice.random() * 0.02)
            running.kill()
        assert cache.check().ok
        for number in range(20):
            value = cache.get(f"key {number}")
            assert value == [] or value == value[:1] * len(value)
            assert not value or value[0] % 20 == number
        assert cache.get("n") >= counted + 50
        counted = cache.get("n")
    assert cache.stats().pages_repaired == 0


def write_value(folder: str, key: str, value: object, expire_on: object) -> None:
    Path(folder, key).write_text(repr(value))


def change_and_die(path: str, folder: str) -> None:
    cache = FastMmap(
        path, context=folder, write_action="write_back", write_cb=write_value
    )
    for number in range(50):
        cache.set(f"key {number}", number)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.quick
def test_changed_values_of_a_killed_process_are_written_back_by_the_next(
    make_cache: MakeCache, path: str, tmp_path: Path
) -> None:
    written: dict[object, object] = {}
    cache = make_cache(
        write_action="write_back",
        write_cb=lambda context, key, value, expire_on: written.update({key: value}),
    )
    with Scenario(change_and_die, path, str(tmp_path)) as running:
        assert running.exit_code() == -signal.SIGKILL
    assert cache.empty() == 50
    on_disk = {file.name for file in tmp_path.glob("key *")}
    assert set(written) | on_disk == {f"key {number}" for number in range(50)}


def die_in_write_cb(path: str) -> None:
    cache = FastMmap(
        path,
        write_action="write_back",
        write_cb=lambda *_: os.kill(os.getpid(), signal.SIGKILL),
    )
    cache.set("key", "changed")
    cache.empty()


def test_a_value_whose_writer_was_killed_is_written_again(
    make_cache: MakeCache, path: str
) -> None:
    written: list[object] = []
    cache = make_cache(
        lock_timeout=20,
        write_action="write_back",
        write_cb=lambda context, key, value, expire_on: written.append(value),
    )
    with Scenario(die_in_write_cb, path) as running:
        assert running.exit_code() == -signal.SIGKILL
    entry = cache.get_entry("key")
    assert entry is not None and entry.dirty
    assert cache.empty() == 1
    assert written == ["changed"]


def make_private_and_die() -> None:
    cache = FastMmap(cache_size="512k")
    cache.set("key", 1)
    say(cache.share_file)
    heard()


def test_the_private_file_of_a_killed_process_is_swept_by_the_next() -> None:
    with Scenario(make_private_and_die) as running:
        left = running.hear()
        with FastMmap(cache_size="512k"):
            assert os.path.exists(left), "a file in use must not be swept"
        running.kill()
    with FastMmap(cache_size="512k"):
        assert not os.path.exists(left)


def open_for_ever(path: str) -> None:
    say("opening")
    while True:
        FastMmap(path, cache_size="256k", init_file=True).close()


def test_kills_during_creation_leave_a_whole_file_or_none(path: str) -> None:
    folder = os.path.dirname(path)
    for turn in range(8):
        with Scenario(open_for_ever, path) as running:
            running.hear()
            time.sleep(0.005 * turn)
            running.kill()
        with FastMmap(path, cache_size="256k") as cache:
            assert cache.set("key", turn)
            assert cache.check().ok
    # One killed between two names leaves its temporary one to the next new file.
    with FastMmap(path, cache_size="256k", init_file=True, unlink_on_exit=True):
        pass
    assert os.listdir(folder) == []
