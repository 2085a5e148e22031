"""What the hooks for gunicorn do, without gunicorn; see tests/servers."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from header import CLIENTS_SIZE
from support import run_scenario

from fastmmap import FastMmap
from fastmmap.contrib import shared
from fastmmap.contrib.gunicorn import hooks

NOBODY = 65534
needs_nobody = pytest.mark.usefixtures("nobody")
ALONE = SimpleNamespace(reexec_pid=0, master_pid=0)


def test_the_file_is_there_once_the_server_starts(path: str) -> None:
    on_starting, on_exit = hooks(path, cache_size="512k")
    assert not os.path.exists(path)
    on_starting(ALONE)
    assert os.path.getsize(path) > 512 * 1024 + CLIENTS_SIZE
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


def workers_of(user: int) -> SimpleNamespace:
    """Return a master whose workers are of another user."""
    return SimpleNamespace(
        reexec_pid=0, master_pid=0, cfg=SimpleNamespace(uid=user, gid=user)
    )


def open_as_worker(path: str) -> object:
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    with FastMmap(path) as worker:
        return worker["key"]


def start_for_nobody(path: str, times: int = 2) -> list[object]:
    """Start and stop a master of root, each time with a worker of another user."""
    server = workers_of(NOBODY)
    found: list[object] = []
    for number in range(times):
        on_starting, on_exit = hooks(path, cache_size="512k")
        on_starting(server)
        shared.shared_cache(path, cache_size="512k")["key"] = number
        found.append(run_scenario(open_as_worker, path))
        on_exit(server)
    status = os.stat(path)
    return [*found, status.st_uid, status.st_gid, os.geteuid(), os.getegid()]


@needs_nobody
def test_the_file_belongs_to_the_workers_at_each_start(shared_path: str) -> None:
    assert start_for_nobody(shared_path) == [0, 1, NOBODY, NOBODY, 0, 0]


@needs_nobody
def test_the_file_is_given_to_workers_who_may_make_none(shared_path: str) -> None:
    os.chmod(os.path.dirname(shared_path), 0o755)
    assert start_for_nobody(shared_path) == [0, 1, NOBODY, NOBODY, 0, 0]


@needs_nobody
def test_a_file_of_root_is_named_to_a_master_with_other_workers(
    shared_path: str,
) -> None:
    FastMmap(shared_path, cache_size="512k").close()
    with pytest.raises(PermissionError, match="belongs to root"):
        hooks(shared_path).on_starting(workers_of(NOBODY))
    assert os.geteuid() == 0


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
