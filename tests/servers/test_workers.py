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

pytestmark = [pytest.mark.once, pytest.mark.long]
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


def check_that_one_computes_what_all_want(server: Server) -> None:
    answers = server.ask_all("/once", "asks")
    assert {answer.result for answer in answers} == {"computed"}
    assert len(server.noted("computes")) == 1
    assert len(set(server.noted("asks"))) == WORKERS


def check_that_a_counter_is_exact(server: Server) -> None:
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


def check_that_a_reload_finds_the_cache_warm(server: Server) -> None:
    old = server.ask("/put/key/value").pid
    (*_, counted) = server.ask("/count").result
    server.reload()
    answer = server.ask("/get/key")
    assert answer.result == "value"
    assert answer.pid != old
    assert server.ask("/count").result[0] == counted + 1


# A server takes a second to start, so one is asked several things.
@every_kind
def test_workers_share_computations_and_counters_through_a_reload(kind: Kind) -> None:
    with serving(kind) as server:
        check_that_one_computes_what_all_want(server)
        check_that_a_counter_is_exact(server)
        check_that_a_reload_finds_the_cache_warm(server)
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


def check_that_another_computes_for_one_that_was_killed(server: Server) -> None:
    server.ask("/put/key/value")
    hung = kill_at_the_door(server, "/hang", "hangs", "/get/key")
    assert server.ask_other("/hang", hung).result == "second"
    workers = server.wait_for_workers(besides=frozenset({hung}))
    assert server.ask("/get/key").pid in workers


def check_that_the_page_of_one_that_was_killed_is_free(server: Server) -> None:
    server.ask("/put/held/whole")
    holder = kill_at_the_door(server, "/hold", "holds", "/get/held")
    assert server.ask_other("/get/held", holder).result == "whole"
    assert server.ask_other("/put/held/new", holder).result is True
    server.wait_for_workers(besides=frozenset({holder}))
    assert server.ask("/get/held").result == "new"


@every_kind
def test_workers_killed_while_they_compute_or_hold_a_page_stop_nobody(
    kind: Kind,
) -> None:
    with serving(kind) as server:
        check_that_another_computes_for_one_that_was_killed(server)
        check_that_the_page_of_one_that_was_killed_is_free(server)
        server.stop()
        with FastMmap(server.cache) as cache:
            assert cache.check().ok
