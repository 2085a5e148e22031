"""fastmmap monitor: what cooperating processes do, as they do it."""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from commands import Run, command, environment
from support import run_scenario

from fastmmap import FastMmap, monitor
from fastmmap.cli.monitor import Histogram, line, told_of

CALLS = 6


@contextmanager
def monitoring(path: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command until the block ends; it listens by the time that begins."""
    process = subprocess.Popen(
        command("monitor", *options, path),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        end = time.monotonic() + 30
        while not os.path.exists(path + monitor.SUFFIX):
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def shown(path: str) -> Iterator[FastMmap]:
    with monitor.MonitoredFastMmap(path, cache_size="1m") as cache:
        yield cache


def use(cache: FastMmap) -> None:
    """Make six calls."""
    cache.set("a\x1b[31m", 1)
    cache.get("a\x1b[31m")
    cache.get("none")
    cache[b"bytes"] = "secret"
    cache.get_many(["a", "b"])
    with suppress(KeyError):
        cache["none"]


def test_each_call_is_a_line_and_the_end_is_a_histogram(
    shown: FastMmap, path: str
) -> None:
    with monitoring(path, f"--count={CALLS}") as process:
        use(shown)
        output, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    text = output.decode()
    lines = text.splitlines()[:CALLS]
    assert [told.split()[2] for told in lines] == [
        *("set", "get", "get", "__setitem__", "get_many", "__getitem__"),
    ]
    assert [told.split("  ")[-2] for told in lines] == [
        *("True", "value", "None", "None", "value", "KeyError"),
    ]
    assert all(f"  {os.getpid()}  " in told for told in lines)
    assert "a\\x1b[31m" in lines[0] and "\x1b" not in text
    assert "secret" not in text
    assert "BELOW" in text and "█" in text
    assert not os.path.exists(path + monitor.SUFFIX)


def test_json_has_an_object_for_each_call(shown: FastMmap, path: str) -> None:
    with monitoring(path, f"--count={CALLS}", "--json") as process:
        use(shown)
        output, _ = process.communicate(timeout=30)
    lines = output.decode().splitlines()
    first = json.loads(lines[0])
    assert (first["call"], first["pid"]) == ("set", os.getpid())
    ending = json.loads("\n".join(lines[CALLS:]))
    assert sum(ending["histogram_ns"]["get"].values()) == 2


def test_an_interrupt_ends_it_with_the_histogram(shown: FastMmap, path: str) -> None:
    with monitoring(path, "--quiet") as process:
        use(shown)
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert "BELOW" in output.decode() and "secret" not in output.decode()


def test_where_nobody_shows_anything_it_says_so(
    cache: FastMmap, path: str, run: Run
) -> None:
    done = run("monitor", "--seconds", "0.1", path, status=1)
    assert b"fastmmap.monitor.show(cache)" in done.stderr


def test_two_cannot_monitor_one_file(cache: FastMmap, path: str, run: Run) -> None:
    with monitoring(path):
        done = run("monitor", "--seconds", "0.1", path, status=2)
    assert b"somebody monitors this file already" in done.stderr


def test_a_killed_monitor_is_in_nobodys_way(
    shown: FastMmap, path: str, run: Run
) -> None:
    with monitoring(path):
        pass  # it is killed
    assert os.path.exists(path + monitor.SUFFIX)
    use(shown)
    run("monitor", "--seconds", "0.1", path, status=1)


def test_a_cache_that_is_open_can_begin_and_end_to_show(
    cache: FastMmap, path: str
) -> None:
    with monitoring(path, "--count=1", "--json") as process:
        cache.set("before", 1)
        monitor.show(cache)
        monitor.hide(cache)
        cache.set("hidden", 1)
        monitor.show(cache)
        cache.set("shown", 1)
        output, _ = process.communicate(timeout=30)
    assert json.loads(output.decode().splitlines()[0])["key"] == "shown"


def test_namespaces_of_a_shown_cache_are_shown(shown: FastMmap, path: str) -> None:
    with monitoring(path, "--count=1", "--json") as process:
        shown.namespace("users").set("ada", 1)
        output, _ = process.communicate(timeout=30)
    assert json.loads(output.decode().splitlines()[0])["key"] == "ada"
    assert shown.namespace("users").get("ada") == 1


def test_namespaces_in_namespaces_are_shown(shown: FastMmap, path: str) -> None:
    with monitor.listen(path) as ear:
        shown.namespace("users").namespace("old").set("ada", 1)
        told = told_of(ear.recv(monitor.LARGEST, socket.MSG_DONTWAIT))
    assert told is not None and told.key == "ada"


@pytest.mark.parametrize("key", ["\U0001f600" * 500, "k" * 3000, b"\xff" * 3000])
def test_a_long_key_is_cut(shown: FastMmap, path: str, key: Any) -> None:
    with monitor.listen(path) as ear:
        shown.get(key)
        told = told_of(ear.recv(monitor.LARGEST, socket.MSG_DONTWAIT))
    start = key if isinstance(key, str) else repr(key)
    assert told is not None and len(told.key) > 100
    assert start.startswith(told.key.rstrip("'"))


def test_closed_caches_that_were_shown_leave_no_descriptors() -> None:
    def use_one() -> None:
        with FastMmap(cache_size="64k") as cache:
            monitor.show(cache)
            cache.get("key")

    use_one()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(8):
        use_one()
    assert len(os.listdir("/proc/self/fd")) < before + 8


def test_results_arguments_and_errors_are_those_of_the_cache(shown: FastMmap) -> None:
    assert shown.set("key", 1, expire_time=60)
    assert shown.get("key", default=2) == 1
    assert shown.get("none", 2) == 2
    assert "key" in shown
    with pytest.raises(KeyError):
        shown["none"]
    copy = pickle.loads(pickle.dumps(shown))
    assert copy["key"] == 1 and isinstance(copy, monitor.MonitoredFastMmap)
    copy.close()


def test_a_class_of_ones_own_is_refused(path: str) -> None:
    class Own(FastMmap):
        pass

    with (
        Own(path, cache_size="1m") as cache,
        pytest.raises(TypeError, match="MonitoredFastMmap"),
    ):
        monitor.show(cache)


def write_without_a_reader(path: str) -> int:
    """Fill the socket of somebody who reads nothing; return how many calls went on."""
    ear = monitor.listen(path)
    with monitor.MonitoredFastMmap(path) as cache:
        for number in range(5000):
            cache.set("key", number)
    ear.close()
    return number + 1


def test_nobody_waits_for_a_monitor_that_is_stopped(cache: FastMmap, path: str) -> None:
    assert run_scenario(write_without_a_reader, path) == 5000


def test_a_socket_of_another_user_is_told_nothing(
    shown: FastMmap, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monitor.listen(path) as ear:
        monkeypatch.setattr(os, "lstat", lambda _: _OfAnother())
        shown.set("key", 1)
        ear.setblocking(False)
        with pytest.raises(BlockingIOError):
            ear.recv(monitor.LARGEST)


class _OfAnother:
    st_uid, st_mode = os.geteuid() + 1, 0o140600


def test_threads_may_show_at_once(shown: FastMmap, path: str) -> None:
    with monitor.listen(path) as ear:
        threads = [threading.Thread(target=use, args=(shown,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert told_of(ear.recv(monitor.LARGEST)) is not None


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xff",
        b"{}",
        b"[1,2,3]",
        b"1",
        b'["a",1,"get","k","v",1]',
        b"[[],1,2,3,4,5]",
    ],
)
def test_what_is_no_call_is_left_out(message: bytes) -> None:
    assert told_of(message) is None


def test_a_hostile_call_is_harmless() -> None:
    message: list[Any] = [1e9, 1, "\x1b[2J", "key\r\n", "\x07", -5]
    told = told_of(json.dumps(message).encode())
    assert told is not None
    assert line(told).isprintable()
    histogram = Histogram()
    histogram.add(told)
    assert histogram.total == 1


def test_a_socket_is_for_its_owner_alone(cache: FastMmap, path: str) -> None:
    with monitor.listen(path) as ear:
        assert ear.family == socket.AF_UNIX
        assert os.stat(path + monitor.SUFFIX).st_mode & 0o777 == 0o600


@pytest.mark.parametrize("kind", ["link", "file", "socket"])
def test_only_the_new_socket_is_given_to_the_owner(
    path: str, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The owner of the directory puts something else there as soon as it is bound."""
    FastMmap(path, cache_size="1m").close()
    place, given = path + monitor.SUFFIX, []
    monkeypatch.setattr(monitor.socket, "socket", _replaced_by(place, kind))
    monkeypatch.setattr(os, "stat", lambda *_, **__: _OfAnother())
    for name in ("chown", "chmod"):
        monkeypatch.setattr(os, name, lambda where, *_, **__: given.append(where))
    if kind == "socket":  # nobody has touched it
        monitor.listen(path).close()
        assert len(given) == 1
        return
    with pytest.raises(FileExistsError):
        monitor.listen(path)
    assert given == [] and not os.path.lexists(place)


def _replaced_by(place: str, kind: str) -> type[socket.socket]:
    class Replaced(socket.socket):
        def bind(self, where: Any) -> None:
            super().bind(where)
            if kind != "socket":
                os.unlink(place)
            if kind == "link":
                os.symlink("/etc/hostname", place)
            elif kind == "file":
                open(place, "x").close()

    return Replaced
