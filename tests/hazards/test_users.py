"""Several users and one file: root makes files, another user runs the site."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import subprocess
import sys
import time
from typing import Any

import pytest
from support import run_scenario

from fastmmap import FastMmap
from fastmmap.cli import program

NOBODY = 65534

needs_nobody = pytest.mark.usefixtures("nobody")


def become_nobody() -> None:
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def refusal(path: str, as_root: bool) -> str:
    """Return the message of the PermissionError that a user gets."""
    if not as_root:
        become_nobody()
    try:
        FastMmap(path, cache_size="512k").close()
    except PermissionError as error:
        return str(error)
    return "opened"


@needs_nobody
def test_a_file_of_root_names_root_and_the_user_of_the_site(shared_path: str) -> None:
    FastMmap(shared_path, cache_size="512k").close()
    message = run_scenario(refusal, shared_path, False)
    assert shared_path in message
    assert "belongs to root (0), mode 0600" in message
    assert "runs as nobody (65534)" in message
    assert "chown 65534" in message


def refusal_of_the_command(path: str) -> str:
    become_nobody()
    told = io.StringIO()
    with contextlib.redirect_stderr(told):
        status = program.main(["info", path])
    return f"{status} {told.getvalue()}"


@needs_nobody
def test_the_command_says_whose_file_it_may_not_open(shared_path: str) -> None:
    FastMmap(shared_path, cache_size="512k").close()
    message = run_scenario(refusal_of_the_command, shared_path)
    assert message.startswith("2 fastmmap: [Errno 13] ") and shared_path in message
    assert "belongs to root (0), mode 0600" in message
    assert "runs as nobody (65534): run the command as its owner" in message


def test_a_missing_directory_is_to_be_made_first(path: str) -> None:
    inside = os.path.join(os.path.dirname(path), "nowhere", "cache")
    with pytest.raises(FileNotFoundError, match="make its directory first"):
        FastMmap(inside, cache_size="512k")
    with pytest.raises(FileNotFoundError) as caught:
        FastMmap(path, read_only=True)
    assert "directory first" not in str(caught.value)


def test_a_file_of_ours_is_refused_without_advice_on_its_owner(path: str) -> None:
    FastMmap(path, cache_size="512k").close()
    os.chmod(path, 0o666)
    with pytest.raises(PermissionError, match="chmod go-w") as caught:
        FastMmap(path)
    assert "belongs to" not in str(caught.value)


@needs_nobody
def test_a_file_of_the_site_names_its_user_to_root(shared_path: str) -> None:
    FastMmap(shared_path, cache_size="512k").close()
    os.chown(shared_path, NOBODY, NOBODY)
    message = run_scenario(refusal, shared_path, True)
    assert "belongs to nobody (65534)" in message
    assert "runs as root (0)" in message
    assert "run this as the owner of the file" in message


@needs_nobody
def test_a_user_without_a_name_is_a_number(shared_path: str) -> None:
    FastMmap(shared_path, cache_size="512k").close()
    os.chown(shared_path, 54321, 54321)
    assert "belongs to user 54321" in run_scenario(refusal, shared_path, True)


@needs_nobody
def test_a_directory_in_the_way_is_named_with_its_owner(shared_path: str) -> None:
    os.chmod(os.path.dirname(shared_path), 0o755)
    message = run_scenario(refusal, shared_path, False)
    assert (
        f"the directory {os.path.dirname(shared_path)} belongs to root (0)" in message
    )
    assert "let nobody (65534) write there" in message


@needs_nobody
def test_a_directory_that_cannot_be_entered_is_named(shared_path: str) -> None:
    locked = os.path.dirname(shared_path)
    os.chmod(locked, 0o700)
    path = os.path.join(locked, "below", "cache.fmm")
    assert f"the directory {locked} belongs to root" in run_scenario(
        refusal, path, False
    )


def replaced_by_root(path: str) -> list[object]:
    """Use a cache as nobody before, while and after root has its name."""
    answer, ask = os.pipe()
    child = os.fork()
    if child == 0:  # root, who waits for the word
        os.read(answer, 1)
        os.unlink(path)
        FastMmap(path, cache_size="512k").close()
        os._exit(0)
    become_nobody()
    records: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())  # type: ignore
    logging.getLogger("fastmmap").addHandler(handler)
    cache = FastMmap(path, cache_size="512k")
    cache["key"] = "old"
    os.write(ask, b"x")
    os.waitpid(child, 0)
    found: list[object] = []
    for _ in range(3):
        time.sleep(1.1)
        found.append(cache.get("key"))
    return [found, cache.set("key", "new"), cache.get("key"), records]


@needs_nobody
def test_workers_keep_a_file_that_another_user_replaced(shared_path: str) -> None:
    os.chmod(os.path.dirname(shared_path), 0o777)
    found, stored, new, records = run_scenario(replaced_by_root, shared_path)
    assert found == ["old"] * 3
    assert stored and new == "new"
    assert len(records) == 1
    assert "belongs to root (0)" in records[0] and "nobody (65534)" in records[0]


@needs_nobody
def test_the_new_file_is_used_once_it_is_ours(path: str) -> None:
    cache = FastMmap(path, cache_size="512k")
    cache["key"] = "old"
    os.unlink(path)
    with FastMmap(path, cache_size="512k") as other:
        other["key"] = "new"
    os.chown(path, NOBODY, NOBODY)
    time.sleep(1.1)
    assert cache["key"] == "old"
    os.chown(path, 0, 0)
    time.sleep(1.1)
    assert cache["key"] == "new"


def emptied_by_its_owner(path: str) -> list[object]:
    """Use a shared cache that another emptied for itself alone."""
    options: dict[str, Any] = {"serializer": "json", "allow_shared": True}
    cache = FastMmap(path, cache_size="512k", permissions=0o666, **options)
    os.chown(path, NOBODY, NOBODY)
    become_nobody()
    cache["key"] = "old"
    child = os.fork()
    if child == 0:
        FastMmap(path, init_file=True, cache_size="512k", **options).close()
        os._exit(0)
    os.waitpid(child, 0)
    return [cache.get("key"), os.stat(path).st_uid]


@needs_nobody
def test_emptying_a_shared_file_is_followed_at_once(shared_path: str) -> None:
    os.chmod(os.path.dirname(shared_path), 0o777)
    assert run_scenario(emptied_by_its_owner, shared_path) == [None, NOBODY]


def emptied_by_root(path: str) -> object:
    """Let root empty a shared cache, by a file for root alone; use the old one."""
    options: dict[str, Any] = {"serializer": "json", "allow_shared": True}
    FastMmap(path, cache_size="512k", permissions=0o666, **options).close()
    answer, ask = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(answer, 1)
        FastMmap(path, init_file=True, cache_size="512k", **options).close()
        os._exit(0)
    become_nobody()
    cache = FastMmap(path, **options)
    cache["key"] = "old"
    os.write(ask, b"x")
    os.waitpid(child, 0)
    return [cache.get("key"), cache.set("key", "new"), cache.get("key")]


@needs_nobody
def test_a_shared_file_that_root_emptied_for_itself_is_kept(shared_path: str) -> None:
    os.chmod(os.path.dirname(shared_path), 0o777)
    assert run_scenario(emptied_by_root, shared_path) == ["old", True, "new"]


def looked_at(path: str) -> str:
    """Return what the command line says to a user who may read a file only."""
    become_nobody()
    command = [sys.executable, "-m", "fastmmap", "info", path]
    return subprocess.run(command, capture_output=True, text=True).stdout


@needs_nobody
def test_info_looks_at_a_file_of_another_user(shared_path: str) -> None:
    with FastMmap(shared_path, cache_size="512k", permissions=0o644) as cache:
        cache["key"] = "value"
    said = run_scenario(looked_at, shared_path)
    assert "pickle" in said and shared_path in said
