"""Bringing a real directory of diskcache into a cache file."""

from __future__ import annotations

import logging
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import diskcache
import pytest
from support import LONG, Scenario, say

from fastmmap import FastMmap
from fastmmap.contrib.diskcache import ImportReport, import_directory, room_for
from fastmmap.testing import time_travel

#: One of each way in which diskcache keeps a value; the last three are files.
VALUES: tuple[Any, ...] = (
    *("text", "", b"bytes", b"", 42, 2**80, 0.5, True, None, date(2026, 1, 2)),
    {"a": [1, (2, 3)]},
    *("é" * 40_000, b"x" * 60_000, list(range(10_000))),
)
ENTRIES = 3000


def value_of(number: int) -> Any:
    """Return the value of an entry; every hundredth is a large one."""
    small = VALUES[number % (len(VALUES) - 3)]
    return VALUES[-1 - number // 100 % 3] if number % 100 == 7 else small


def key_of(number: int) -> str | bytes:
    return f"key {number}" if number % 2 else f"key {number}".encode()


def fill(directory: object, **options: Any) -> None:
    """Make a directory of entries of all kinds that can be imported."""
    with diskcache.Cache(str(directory), **options) as source, source.transact():
        for number in range(ENTRIES):
            source.set(key_of(number), value_of(number))


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory that no test changes."""
    directory = tmp_path_factory.mktemp("diskcache") / "filled"
    fill(directory)
    return directory


@pytest.fixture
def source(tmp_path: Path) -> Iterator[diskcache.Cache]:
    """Return a directory to put things into."""
    with diskcache.Cache(str(tmp_path / "source")) as source:
        yield source


@pytest.fixture
def cache(path: str) -> Iterator[FastMmap]:
    """Return a cache with room for all of it."""
    with FastMmap(path, cache_size="32m", page_size="1m") as cache:
        yield cache


def assert_all_there(cache: FastMmap) -> None:
    assert len(cache) == ENTRIES
    for number in range(ENTRIES):
        found = cache[key_of(number)]
        assert found == value_of(number)
        assert type(found) is type(value_of(number))


def contents(directory: Path) -> dict[str, bytes]:
    """Return all files but the two that SQLite makes for whoever reads."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    }


# ------------------------------------------------------------- what comes over


def test_every_kind_of_value_comes_over(filled: Path, cache: FastMmap) -> None:
    assert import_directory(cache, filled) == ImportReport(imported=ENTRIES)
    assert_all_there(cache)


def test_the_directory_is_not_changed(filled: Path, cache: FastMmap) -> None:
    before = contents(filled)
    import_directory(cache, filled)
    assert contents(filled) == before


def test_a_policy_that_counts_reads_counts_none_of_ours(
    tmp_path: Path, cache: FastMmap
) -> None:
    policy = {"eviction_policy": "least-frequently-used", "statistics": 1}
    with diskcache.Cache(str(tmp_path / "lfu"), **policy) as source:
        source["key"] = "value"
        before = contents(tmp_path / "lfu")
        assert import_directory(cache, tmp_path / "lfu").imported == 1
        assert contents(tmp_path / "lfu") == before
        assert source.stats() == (0, 0)


def test_entries_expire_when_they_would_have(
    source: diskcache.Cache, cache: FastMmap
) -> None:
    source.set("soon", 1, expire=100)
    source.set("never", 2)
    _, moment = source.get("soon", expire_time=True)
    import_directory(cache, source.directory)
    soon, never = cache.get_entry("soon"), cache.get_entry("never")
    assert soon is not None and never is not None and soon.expire_on is not None
    assert abs(soon.expire_on - moment) < 0.002
    assert never.expire_on is None
    with time_travel(101):
        assert cache.get_many(["soon", "never"]) == {"never": 2}


def test_a_default_lifetime_of_the_cache_is_not_put_on_them(
    source: diskcache.Cache, path: str
) -> None:
    source["never"] = 2
    with FastMmap(path, cache_size="1m", expire_time=10) as cache:
        import_directory(cache, source.directory)
        with time_travel(11):
            assert cache["never"] == 2


def test_the_shards_of_a_fanout_cache_come_over(
    tmp_path: Path, cache: FastMmap
) -> None:
    with diskcache.FanoutCache(str(tmp_path / "fanout"), shards=3) as source:
        for number in range(100):
            source[f"key {number}"] = number
        source.cache("another")["not of the cache itself"] = 1
    assert import_directory(cache, tmp_path / "fanout").imported == 100
    assert dict(cache) == {f"key {number}": number for number in range(100)}


def test_keys_and_values_of_a_json_disk_are_read_by_it(
    tmp_path: Path, cache: FastMmap
) -> None:
    json_disk = {"disk": diskcache.JSONDisk, "disk_compress_level": 6}
    with diskcache.Cache(str(tmp_path / "json"), **json_disk) as source:
        source["key"] = {"a": [1, None]}
        source[5] = "a number is no key of ours"
    report = import_directory(cache, tmp_path / "json")
    assert report == ImportReport(imported=1, odd_keys=1)
    assert dict(cache) == {"key": {"a": [1, None]}}
    assert room_for(tmp_path / "json")["cache_size"] >= 1 << 20


class Shouting(diskcache.Disk):  # type: ignore[misc]  # has no types, so is any
    """A way of one's own to keep keys."""

    def get(self, key: Any, raw: bool) -> Any:
        return super().get(key, raw).upper()


def test_a_disk_of_ones_own_is_used(source: diskcache.Cache, cache: FastMmap) -> None:
    source["key"] = 1
    import_directory(cache, source.directory, disk=Shouting)
    assert dict(cache) == {"KEY": 1}


# ------------------------------------------------------------ what is left out


def test_what_is_left_out_is_counted_and_named(
    source: diskcache.Cache, cache: FastMmap, caplog: pytest.LogCaptureFixture
) -> None:
    source.set("fine", 1, tag="red")
    source.set("plain", 2)
    for key in (7, 0.5, ("a", 1), None):
        source[key] = "of an odd key"
    source["large"] = os.urandom(9_000_000)
    source["gone"] = b"y" * 50_000
    os.unlink(f"{source.directory}/{filename_of(source, 'gone')}")
    source.set("late", 3, expire=0.05)  # last: who writes drops what has expired
    time.sleep(0.1)
    with caplog.at_level(logging.INFO, "fastmmap"):
        report = import_directory(cache, source.directory)
    assert report == ImportReport(
        imported=2, tags=1, expired=1, odd_keys=4, too_large=1, unreadable=1
    )
    assert report.left_out == 6
    assert dict(cache) == {"fine": 1, "plain": 2}
    for key in ("7", "0.5", "('a', 1)", "None", "'large'", "'gone'"):
        assert f"key {key} is not imported" in caplog.text


def in_database(source: diskcache.Cache, statement: str, *values: str) -> Any:
    """Execute a statement behind diskcache's back; return the first row, if any."""
    with closing(sqlite3.connect(f"{source.directory}/cache.db")) as database:
        with database:
            return database.execute(statement, values).fetchone()


def filename_of(source: diskcache.Cache, key: str) -> str:
    found = in_database(source, "SELECT filename FROM Cache WHERE key = ?", key)
    return str(found[0])


def set_later(source: diskcache.Cache, key: str, value: object) -> None:
    """Store a value, as if some seconds had gone by."""
    source[key] = value
    statement = "UPDATE Cache SET store_time = store_time + 5 WHERE key = ?"
    in_database(source, statement, key)


class Gone:
    """A class that is not there any more when its pickles are read."""


def test_a_pickle_of_a_class_that_is_gone_is_left_out(
    source: diskcache.Cache, cache: FastMmap, monkeypatch: pytest.MonkeyPatch
) -> None:
    source["object"] = Gone()
    source["key"] = 1
    monkeypatch.delattr(sys.modules[__name__], "Gone")
    report = import_directory(cache, source.directory)
    assert report == ImportReport(imported=1, unreadable=1)


def test_what_the_serializer_does_not_take_is_left_out(
    source: diskcache.Cache, path: str
) -> None:
    source["list"], source["bytes"] = [1, 2], b"bytes"
    with FastMmap(path, cache_size="1m", serializer="raw") as raw:
        report = import_directory(raw, source.directory)
        assert report == ImportReport(imported=1, unstorable=1)
        assert dict(raw) == {"bytes": b"bytes"}


def test_what_a_small_cache_evicts_is_counted(filled: Path, path: str) -> None:
    with FastMmap(path, cache_size="512k") as small:
        report = import_directory(small, filled)
        assert report.imported + report.too_large == ENTRIES
        assert report.evicted > 0
        assert len(small) < ENTRIES


# ------------------------------------------------------------ what stays in it


def test_what_is_newer_in_the_cache_stays(
    source: diskcache.Cache, cache: FastMmap
) -> None:
    source["key"] = source["other"] = "of the directory"
    cache["key"] = "of the cache"
    report = import_directory(cache, source.directory)
    assert report == ImportReport(imported=1, kept=1)
    assert dict(cache) == {"key": "of the cache", "other": "of the directory"}


def test_what_is_older_in_the_cache_is_replaced(
    source: diskcache.Cache, cache: FastMmap
) -> None:
    cache.set("key", "of the cache", expire_time=60)
    set_later(source, "key", "of the directory")
    assert import_directory(cache, source.directory).imported == 1
    entry = cache.get_entry("key")
    assert entry is not None
    assert (entry.value, entry.expire_on) == ("of the directory", None)


def test_overwrite_replaces_what_is_newer(
    source: diskcache.Cache, cache: FastMmap
) -> None:
    source["key"] = "of the directory"
    cache["key"] = "of the cache"
    assert import_directory(cache, source.directory, overwrite=True).imported == 1
    assert cache["key"] == "of the directory"


def test_a_second_import_takes_what_was_stored_since(
    source: diskcache.Cache, cache: FastMmap
) -> None:
    source["old"] = source["changed"] = 1
    import_directory(cache, source.directory)
    set_later(source, "changed", 2)
    set_later(source, "new", 2)
    report = import_directory(cache, source.directory)
    assert report == ImportReport(imported=2, kept=1)
    assert dict(cache) == {"old": 1, "changed": 2, "new": 2}


# ------------------------------------------------------------- being interrupted


class Interrupted(Exception):
    """The import was stopped by its user."""


def stop_at(count: int) -> Any:
    """Return a progress function that stops the import there."""

    def progress(done: int, total: int) -> None:
        if done == count:
            raise Interrupted

    return progress


def test_progress_is_told_after_each_entry(filled: Path, cache: FastMmap) -> None:
    told: list[tuple[int, int]] = []
    import_directory(cache, filled, progress=lambda *pair: told.append(pair))
    assert told == [(done, ENTRIES) for done in range(1, ENTRIES + 1)]


def stop_in_the_middle(directory: str, path: str) -> None:
    def progress(done: int, total: int) -> None:
        if done == ENTRIES // 2:
            say("half")
            time.sleep(60)

    cache = FastMmap(path, unlink_on_exit=False)
    import_directory(cache, directory, progress=progress)


def test_an_import_killed_half_way_goes_on_with_the_next_entry(
    filled: Path, cache: FastMmap, path: str
) -> None:
    with Scenario(stop_in_the_middle, str(filled), path) as scenario:
        assert scenario.hear() == "half"
        scenario.send(signal.SIGKILL)
    told: list[int] = []
    report = import_directory(cache, filled, progress=lambda done, _: told.append(done))
    assert told == list(range(ENTRIES // 2 + 1, ENTRIES + 1))
    assert report == ImportReport(imported=ENTRIES)
    assert_all_there(cache)


@pytest.mark.long
def test_an_import_killed_at_any_moment_loses_nothing(
    filled: Path, cache: FastMmap, path: str
) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    moments = random.Random(seed)
    command = [sys.executable, "-m", "fastmmap", "import-diskcache", str(filled), path]
    kills = 0
    for _ in range(2 * LONG):
        with subprocess.Popen(command, stdout=-3, stderr=-3) as process:
            # Long enough to start in most cases, and for a part of it.
            wait_for_growth(cache, process, moments.randrange(1, 800))
            process.kill()
            kills += process.wait() == -signal.SIGKILL
    assert kills > 0
    report = import_directory(cache, filled)
    assert report.imported + report.kept == ENTRIES
    assert_all_there(cache)


def wait_for_growth(
    cache: FastMmap, process: subprocess.Popen[bytes], entries: int
) -> None:
    """Wait until so many entries more are there, or the process has ended."""
    wanted = len(cache) + entries
    while len(cache) < wanted and process.poll() is None:
        time.sleep(0.001)


def test_what_is_stored_after_an_interruption_comes_over_as_well(
    source: diskcache.Cache, cache: FastMmap
) -> None:
    for number in range(20):
        source[f"key {number}"] = "old"
    with pytest.raises(Interrupted):
        import_directory(cache, source.directory, progress=stop_at(10))
    set_later(source, "key 3", "new")
    set_later(source, "another", "new")
    del source["key 15"]
    report = import_directory(cache, source.directory)
    assert report == ImportReport(imported=21)
    assert (cache["key 3"], cache["another"]) == ("new", "new")
    assert "key 15" not in cache


def test_entries_go_in_the_order_in_which_they_were_stored(
    source: diskcache.Cache, cache: FastMmap
) -> None:
    for number in range(20):
        source[f"key {number}"] = number
    set_later(source, "key 0", 0)
    with pytest.raises(Interrupted):
        import_directory(cache, source.directory, progress=stop_at(1))
    assert "key 1" in cache
    import_directory(cache, source.directory)
    assert dict(cache) == {f"key {number}": number for number in range(20)}


def test_what_is_stored_while_it_runs_hides_nothing_from_the_next(
    source: diskcache.Cache, cache: FastMmap
) -> None:
    for number in range(20):
        source[f"key {number}"] = number

    def progress(done: int, total: int) -> None:
        if done == 5:
            set_later(source, "key 9", 9)
        if done == 10:
            raise Interrupted

    with pytest.raises(Interrupted):
        import_directory(cache, source.directory, progress=progress)
    import_directory(cache, source.directory)
    assert dict(cache) == {f"key {number}": number for number in range(20)}


def test_an_import_goes_on_in_the_shard_where_it_was(
    tmp_path: Path, cache: FastMmap
) -> None:
    with diskcache.FanoutCache(str(tmp_path / "fanout"), shards=4) as source:
        for number in range(80):
            source[f"key {number}"] = number
    for count in (10, 30, 50, 70):
        with pytest.raises(Interrupted):
            import_directory(cache, tmp_path / "fanout", progress=stop_at(count))
    report = import_directory(cache, tmp_path / "fanout")
    assert report == ImportReport(imported=80)
    assert dict(cache) == {f"key {number}": number for number in range(80)}


def test_a_cache_that_was_emptied_meanwhile_is_filled_anew(
    filled: Path, cache: FastMmap
) -> None:
    with pytest.raises(Interrupted):
        import_directory(cache, filled, progress=stop_at(100))
    cache.clear()
    assert import_directory(cache, filled) == ImportReport(imported=ENTRIES)
    assert_all_there(cache)


# --------------------------------------------------------------- what is no such


def test_a_directory_of_something_else_is_an_error(
    tmp_path: Path, cache: FastMmap
) -> None:
    with pytest.raises(FileNotFoundError, match="not a diskcache directory"):
        import_directory(cache, tmp_path)
    (tmp_path / "cache.db").write_bytes(b"no database" * 1000)
    with pytest.raises(ValueError, match="not readable as a diskcache"):
        import_directory(cache, tmp_path)


def test_a_directory_that_ends_before_its_end_is_an_error(
    source: diskcache.Cache, cache: FastMmap
) -> None:
    for number in range(20):
        source[f"key {number}"] = number

    def progress(done: int, total: int) -> None:
        if done == 10:
            in_database(source, "DROP TABLE Cache")

    with pytest.raises(ValueError, match=r"source: not readable.*no such table"):
        import_directory(cache, source.directory, progress=progress)


def test_there_is_room_for_what_a_directory_holds(
    source: diskcache.Cache, path: str
) -> None:
    with source.transact():
        for number in range(10_000):
            source[f"key {number}"] = number
    with FastMmap(path, **room_for(source.directory)) as cache:
        report = import_directory(cache, source.directory)
        assert report == ImportReport(imported=10_000)


def test_pages_have_room_for_the_largest_value(
    source: diskcache.Cache, path: str
) -> None:
    for number in range(8):
        source[f"key {number}"] = os.urandom(3_000_000)
    with FastMmap(path, **room_for(source.directory)) as cache:
        assert import_directory(cache, source.directory).too_large == 0


# -------------------------------------------------------------- the command line


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fastmmap", "import-diskcache", *arguments]
    return subprocess.run(
        [str(word) for word in command],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_command_makes_the_file_and_reports(filled: Path, path: str) -> None:
    done = run(filled, path, "--cache-size", "64m", "--page-size", "1m")
    assert done.returncode == 0, done.stderr
    assert f"imported        {ENTRIES}\n" in done.stdout
    assert "evicted         0\n" in done.stdout
    assert "importing" in done.stderr and "100%" in done.stderr
    with FastMmap(path, unlink_on_exit=True) as cache:
        assert_all_there(cache)


def test_the_command_tells_by_its_status_that_entries_were_left_out(
    source: diskcache.Cache, path: str
) -> None:
    source[1] = "of an odd key"
    done = run(source.directory, path, "--verbose", "--cache-size", "2m")
    assert done.returncode == 1
    assert "odd_keys        1\n" in done.stdout
    assert "key 1 is not imported: neither str nor bytes" in done.stderr
    with FastMmap(path, unlink_on_exit=True) as cache:
        assert cache.cache_size == 2 << 20


def test_the_command_overwrites_when_told(
    source: diskcache.Cache, cache: FastMmap, path: str
) -> None:
    source["key"] = "of the directory"
    cache["key"] = "of the cache"
    assert run(source.directory, path).returncode == 0
    assert cache["key"] == "of the cache"
    assert run(source.directory, path, "--overwrite").returncode == 0
    assert cache["key"] == "of the directory"


def test_the_command_says_what_is_no_directory_and_makes_no_file(
    tmp_path: Path, path: str
) -> None:
    done = run(tmp_path, path)
    assert done.returncode == 2
    assert "not a diskcache directory" in done.stderr
    assert "Traceback" not in done.stderr
    assert not os.path.exists(path)


def test_the_command_may_be_interrupted(
    filled: Path, cache: FastMmap, path: str
) -> None:
    command = [sys.executable, "-m", "fastmmap", "import-diskcache", str(filled), path]
    with subprocess.Popen(command, stdout=-3, stderr=subprocess.PIPE) as process:
        wait_for_growth(cache, process, 10)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert b"interrupted" in told and b"Traceback" not in told
