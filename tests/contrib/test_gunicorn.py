"""What the hooks for gunicorn do, without gunicorn; see tests/servers."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from fastmmap import FastMmap
from fastmmap.contrib import shared
from fastmmap.contrib.gunicorn import hooks

ALONE = SimpleNamespace(reexec_pid=0, master_pid=0)


def test_the_file_is_there_once_the_server_starts(path: str) -> None:
    on_starting, on_exit = hooks(path, cache_size="512k")
    assert not os.path.exists(path)
    on_starting(ALONE)
    assert os.path.getsize(path) > 512 * 1024
    on_exit(ALONE)


def test_the_file_stays_for_the_next_start(path: str) -> None:
    on_starting, on_exit = hooks(path, cache_size="512k")
    on_starting(ALONE)
    with FastMmap(path) as worker:
        worker["key"] = "value"
    on_exit(ALONE)
    with FastMmap(path) as worker:
        assert worker["key"] == "value"


def test_the_file_is_removed_at_the_end_if_that_is_asked_for(path: str) -> None:
    on_starting, on_exit = hooks(path, cache_size="512k", unlink_on_exit=True)
    on_starting(ALONE)
    on_exit(ALONE)
    assert not os.path.exists(path)


@pytest.mark.parametrize(
    "server",
    [
        SimpleNamespace(reexec_pid=1, master_pid=0),
        SimpleNamespace(reexec_pid=0, master_pid=os.getppid()),
    ],
    ids=["its child", "its parent"],
)
def test_the_file_stays_while_another_master_serves(
    path: str, server: SimpleNamespace
) -> None:
    on_starting, on_exit = hooks(path, cache_size="512k", unlink_on_exit=True)
    on_starting(ALONE)
    on_exit(server)
    assert os.path.exists(path)


def test_the_end_closes_what_the_start_has_opened_with_other_options(path: str) -> None:
    hooks(path, cache_size="512k", unlink_on_exit=True).on_starting(ALONE)
    (opened,) = (cache for _, cache in shared._opened if cache.share_file == path)
    # A reload reads the configuration anew.
    hooks(path, cache_size="2m").on_exit(ALONE)
    assert opened.closed
    assert not os.path.exists(path)


def test_what_was_changed_is_written_at_the_end(path: str) -> None:
    written = {}

    def write(context: None, key: str, value: object, expire_on: object) -> None:
        written[key] = value

    on_starting, on_exit = hooks(
        path, cache_size="512k", write_action="write_back", write_cb=write
    )
    on_starting(ALONE)
    with FastMmap(path, write_action="write_back", write_cb=write) as worker:
        worker["key"] = "value"
    assert not written
    on_exit(ALONE)
    assert written == {"key": "value"}
