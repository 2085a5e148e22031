"""gunicorn and uWSGI for real: what workers share, through reloads and kills."""

from __future__ import annotations

import os
import signal
import threading
import time
from operator import attrgetter
from pathlib import Path

import pytest
from serving import (
    KINDS,
    LIMIT,
    UWSGI,
    WORKERS,
    Answer,
    Kind,
    Server,
    eventually,
    serving,
)

from fastmmap import FastMmap

CLIENTS = 4

pytestmark = pytest.mark.once
every_kind = pytest.mark.parametrize("kind", KINDS, ids=attrgetter("name"))


def kill_at_the_door(server: Server, path: str, noted: str, meanwhile: str) -> int:
    """Kill a worker in the middle of a request, after another has read a value."""
    with server.closed_door():
        client, answers = server.in_background(path)
        (pid,) = eventually(lambda: server.noted(noted), f"a worker has {path}")
        assert server.ask_other(meanwhile, pid).result is not None
        os.kill(pid, signal.SIGKILL)
        client.join()
    assert isinstance(answers[0], Exception)
    return pid


@every_kind
def test_all_workers_want_a_value_and_one_computes_it(kind: Kind) -> None:
    with serving(kind) as server:
        answers = server.ask_all("/once", "asks")
        assert {answer.result for answer in answers} == {"computed"}
        assert len(server.noted("computes")) == 1
        assert len(set(server.noted("asks"))) == WORKERS
        server.stop()


@every_kind
def test_a_counter_is_exact_over_all_workers(kind: Kind) -> None:
    with serving(kind) as server:
        answers: list[Answer] = []

        def all_have_counted() -> bool:
            return {answer.pid for answer in answers} == server.workers()

        def count() -> None:
            end = time.monotonic() + LIMIT
            while not all_have_counted() and time.monotonic() < end:
                answers.append(server.ask("/count"))

        clients = [threading.Thread(target=count) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        assert all_have_counted()
        numbers = [number for answer in answers for number in answer.result]
        assert sorted(numbers) == list(range(1, len(numbers) + 1))
        server.stop()


@every_kind
def test_a_graceful_reload_finds_the_cache_warm(kind: Kind) -> None:
    with serving(kind) as server:
        old = server.ask("/put/key/value").pid
        (*_, counted) = server.ask("/count").result
        server.reload()
        answer = server.ask("/get/key")
        assert answer.result == "value"
        assert answer.pid != old
        assert server.ask("/count").result[0] == counted + 1
        server.stop()


def test_a_touched_file_reloads_uwsgi_and_the_cache_is_warm(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    touched.touch()
    kind = UWSGI[1].with_options("--touch-reload", str(touched))
    with serving(kind) as server:
        server.ask("/put/key/value")
        before = frozenset(server.workers())
        later = time.time() + 10
        os.utime(touched, (later, later))
        server.wait_for_workers(besides=before)
        assert server.ask("/get/key").result == "value"
        server.stop()


@every_kind
def test_a_worker_killed_while_it_computes_is_replaced_by_another(kind: Kind) -> None:
    with serving(kind) as server:
        server.ask("/put/key/value")
        hung = kill_at_the_door(server, "/hang", "hangs", "/get/key")
        assert server.ask_other("/hang", hung).result == "second"
        workers = server.wait_for_workers(besides=frozenset({hung}))
        assert server.ask("/get/key").pid in workers
        server.stop()


@every_kind
def test_a_worker_killed_while_it_holds_a_page_stops_nobody(kind: Kind) -> None:
    with serving(kind) as server:
        server.ask("/put/held/whole")
        holder = kill_at_the_door(server, "/hold", "holds", "/get/held")
        assert server.ask_other("/get/held", holder).result == "whole"
        assert server.ask_other("/put/held/new", holder).result is True
        server.wait_for_workers(besides=frozenset({holder}))
        assert server.ask("/get/held").result == "new"
        server.stop()
        with FastMmap(server.cache) as cache:
            assert cache.check().ok
