"""fastmmap info, namespaces, locks, purge, watch, top, bench."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest
from commands import Run, command, environment
from support import MakeCache, Scenario, another_computes, heard, say

from fastmmap import Client, FastMmap
from fastmmap.cli import locks, program
from fastmmap.cli.top import ClientWatch, sparkline
from fastmmap.sync import Lock, LockLost
from fastmmap.testing import time_travel

Lines = Callable[..., list[str]]


def told(run: Run, *arguments: str, status: int = 0) -> Any:
    """Return what a command says as JSON."""
    return json.loads(run(*arguments, "--json", status=status).stdout)


def test_info_counts_entries_by_size_and_prefix(
    cache: FastMmap, path: str, run: Run
) -> None:
    for number in range(30):
        cache[f"user:{number}"] = b"x" * 40
    for number in range(5):
        cache[f"page:{number}"] = b"x" * 900
    cache["alone"] = 1
    cache[b"user:bytes"] = b"x" * 40
    found = told(run, "info", path)
    assert sum(group["entries"] for group in found["sizes"]) == 37
    sizes = {group["below"]: group["entries"] for group in found["sizes"]}
    assert sizes == {64: 1, 128: 31, 1024: 5}
    counts = {group["prefix"]: group["entries"] for group in found["prefixes"]}
    assert counts == {"user:": 31, "page:": 5, "": 1}
    assert found["prefixes"][0]["prefix"] == "page:"
    text = run("info", path).stdout.decode()
    assert "PREFIX" in text and "(none)" in text


def test_info_takes_another_separator(cache: FastMmap, path: str, run: Run) -> None:
    cache["a/b/c"] = 1
    found = told(run, "info", path, "--separator", "/")
    assert [group["prefix"] for group in found["prefixes"]] == ["a/"]
    run("info", path, "--separator", "", status=2)


def test_info_tells_how_old_entries_are(
    make_cache: MakeCache, path: str, run: Run
) -> None:
    cache = make_cache()
    cache["old"] = 1
    with time_travel(3600):
        cache["new"], cache["newer"] = 1, 1
    found = told(run, "info", path)
    assert found["oldest_stored_on"] == pytest.approx(time.time(), abs=100)
    assert found["median_stored_on"] == pytest.approx(time.time() + 3600, abs=100)


def test_info_says_what_is_short_and_advises(
    make_cache: MakeCache, path: str, run: Run
) -> None:
    cache = make_cache(cache_size="256k", enable_stats=True)
    assert told(run, "info", path)["short_of"] == []
    for number in range(20_000):
        cache[f"key {number}"] = b"x" * 300
        cache.get(f"key {number % 5000}")
    found = told(run, "info", path)
    assert found["short_of"] == ["bytes"]
    assert any("cache_size" in text for text in found["advice"])
    text = run("info", path).stdout.decode()
    assert "advice" in text and "hit ratio" in text


def hold_a_page(path: str) -> None:
    with FastMmap(path) as cache, cache.lock("key"):
        say("held")
        heard()


def test_info_tells_the_counters_while_a_page_is_held(
    one_page: FastMmap, path: str, run: Run
) -> None:
    one_page["key"] = 1
    with Scenario(hold_a_page, path) as holder:
        assert holder.hear() == "held"
        found = told(run, "info", path, status=1)
        assert found["stores"] == 1 and "held" in found["problem"]
        holder.tell("go on")


def test_namespaces_are_counted(cache: FastMmap, path: str, run: Run) -> None:
    cache["plain"] = 1
    for number in range(7):
        cache.namespace("seven")[f"key {number}"] = b"x" * 50
    cache.namespace("another")["key"] = 1
    groups = told(run, "namespaces", path, "seven", "none")
    counts = [(group["namespace"], group["entries"]) for group in groups]
    assert counts == [([], 1), (["seven"], 7), (["none"], 0), (None, 1)]
    assert groups[1]["bytes"] > 7 * 50


def test_a_namespace_is_cleared(cache: FastMmap, path: str, run: Run) -> None:
    cache["plain"] = 1
    cache.namespace("n")["key"] = 1
    run("clear-namespace", path, "n", "--yes")
    assert list(cache) == ["plain"] and list(cache.namespace("n")) == []


def test_locks_are_shown_with_their_holder(
    cache: FastMmap, path: str, run: Run
) -> None:
    inside = Lock(cache.namespace("n"), "inside")
    with Lock(cache, "work"), inside, another_computes(cache, "report"):
        held, free = told(run, "locks", path, "work", "other")
        assert held["pid"] == os.getpid() and held["until"] > held["since"]
        assert free["pid"] is None
        (held,) = told(run, "locks", path, "inside", "--namespace", "n")
        assert held["pid"] == os.getpid()
        (held,) = told(run, "locks", path, "report", "--key")
        assert held["pid"] == os.getpid()
        assert str(os.getpid()) in run("locks", path, "work").stdout.decode()
    run("locks", path, "work", status=1)


def test_locks_are_ended_by_whoever_says_so(
    cache: FastMmap, path: str, run: Run
) -> None:
    held = Lock(cache, "work")
    held.acquire()
    run("locks", path, "work", "--break", status=2)
    assert not Lock(cache, "work").acquire(timeout=0)
    run("locks", path, "work", "--break", "--yes", "--key", status=2)
    run("locks", path, "work", "other", "--break", "--yes")
    assert Lock(cache, "work").acquire(timeout=0)
    with pytest.raises(LockLost):
        held.release()
    run("locks", path, "other", "--break", "--yes", status=1)


def test_a_lock_that_changed_hands_is_not_ended(
    cache: FastMmap, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, next_one = Lock(cache, "work"), Lock(cache, "work", lease_time=500)
    shown.acquire()

    def confirm(*_: object) -> bool:
        shown.release()
        return next_one.acquire()

    monkeypatch.setattr(locks, "confirm", confirm)
    assert program.main(["locks", path, "work", "--break"]) == 1
    next_one.release()  # which raises LockLost if it was ended


def test_info_tells_what_each_client_does(cache: FastMmap, path: str, run: Run) -> None:
    cache["key"] = 1
    assert cache.get("key") == 1
    (client,) = told(run, "info", path)["clients"]
    assert (client["pid"], client["stores"], client["hits"]) == (os.getpid(), 1, 1)
    shown = run("info", path).stdout.decode().splitlines()
    assert shown[-2].split()[:3] == ["PID", "AGE", "GETS"]
    assert shown[-1].split()[0] == str(os.getpid())


def test_the_clients_of_a_second_are_those_of_two_looks() -> None:
    before = Client(1, "a", 5.0, 10, 5, 5, 3, 0)
    watch = ClientWatch()
    assert watch.look([before])[0][1] == (0, 0, 0, 0)
    after = before._replace(reads=20, hits=15, stores=4)
    new = before._replace(pid=2)
    ((_, rates), (_, none)) = watch.look([after, new])
    assert rates[0] == rates[1] == pytest.approx(10 * rates[2])
    assert rates[2] > 0 == rates[3]
    assert none == (0, 0, 0, 0)


def test_purge_says_how_many_had_expired(
    make_cache: MakeCache, path: str, run: Run
) -> None:
    cache = make_cache()
    with time_travel(-100):
        cache.set("old", 1, expire_time=10)
    cache["new"] = 1
    assert told(run, "purge", path) == {"dropped": 1}
    assert told(run, "purge", path) == {"dropped": 0}


# ------------------------------------------------------------------ as it goes


def keep_storing(path: str) -> None:
    with FastMmap(path, enable_stats=True) as cache:
        say("busy")
        while True:
            for number in range(100):
                cache[f"key {number}"] = number
                cache.get(f"key {number}")


@pytest.mark.parametrize("name", ["watch", "top"])
def test_rates_are_printed_line_by_line(
    cache: FastMmap, path: str, lines: Lines, name: str
) -> None:
    more = ["--interval", "0.5", "--count", "2"]
    idle = [json.loads(line) for line in lines(name, path, "--json", *more)]
    assert [look["sets"] for look in idle] == [0, 0]
    with Scenario(keep_storing, path) as busy:
        assert busy.hear() == "busy"
        looks = [json.loads(line) for line in lines(name, path, "--json", *more)]
        assert len(looks) == 2
        assert all(look["sets"] > 100 and look["gets"] > 100 for look in looks)
        (line, _) = lines(name, path, *more)
        assert "sets=" in line and "hit_ratio=100.0%" in line


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("name", ["watch", "top"])
def test_a_line_is_there_to_read_at_once(path: str, name: str) -> None:
    given = command(name, path, "--interval", "0.05", "--count", "1000")
    with subprocess.Popen(given, stdout=subprocess.PIPE, env=environment()) as watching:
        assert watching.stdout is not None
        first = b""
        while b"\n" not in first:  # it may come in pieces
            first += os.read(watching.stdout.fileno(), 8192)
        watching.kill()
    assert len(first) < 2048


def test_a_sparkline_is_as_high_as_its_number() -> None:
    assert sparkline([0, 1, 4, 8]) == " ▁▄█"
    assert sparkline([0, 0]) == "  "
    assert sparkline([]) == ""


def read_until(terminal: int, text: bytes) -> bytes:
    """Read what a program draws until a text is there."""
    drawn = b""
    ends = time.monotonic() + 30
    while text not in drawn:
        assert time.monotonic() < ends, drawn
        if select.select([terminal], [], [], 1)[0]:
            drawn += os.read(terminal, 65536)
    return drawn


def test_top_draws_on_a_terminal_and_obeys_keys(cache: FastMmap, path: str) -> None:
    try:
        ours, theirs = pty.openpty()
    except OSError as error:
        pytest.skip(f"no pseudo terminal can be had: {error}")
    process = subprocess.Popen(
        command("top", path, "--interval", "0.2"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(TERM="xterm", LINES="40", COLUMNS="120"),
    )
    os.close(theirs)
    try:
        read_until(ours, str(os.getpid()).encode())
        os.write(ours, b"s")
        read_until(ours, b"age)")
        os.write(ours, b"p")
        read_until(ours, b"paused")
        os.write(ours, b"q")
        with contextlib.suppress(OSError):  # EIO: nobody has the other end
            while os.read(ours, 65536):
                pass
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_bench_leaves_the_cache_and_its_folder_alone(
    cache: FastMmap, path: str, run: Run
) -> None:
    cache["key"] = 1
    found = told(run, "bench", path)
    assert set(found) == {"set_ns", "get_ns", "miss_ns"}
    assert all(cost > 0 for cost in found.values())
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]
    assert list(cache) == ["key"]
