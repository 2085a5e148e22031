"""fastmmap list, and a path that is left out."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from commands import Run, command, environment
from support import Scenario, heard, say

from fastmmap import FastMmap
from fastmmap.cli import caches, host, program


def listed(run: Run, path: str) -> dict[str, Any]:
    """Return what the list says of a cache."""
    told = json.loads(run("list", "--json").stdout)
    (found,) = [cache for cache in told["caches"] if cache["path"] == path]
    return dict(found)


@pytest.mark.quick
def test_the_list_has_a_cache_with_its_client(
    cache: FastMmap, path: str, run: Run
) -> None:
    cache["key"] = 1
    found = listed(run, path)
    assert found["entries"] == 1 and found["problem"] is None
    assert found["file_size"] == os.path.getsize(path)
    (client,) = found["clients"]
    assert client["pid"] == os.getpid() and client["command"]
    assert (client["stores"], client["reads"]) == (1, 0)
    text = run("list").stdout.decode()
    assert path in text and str(os.getpid()) in text


def have_open(path: str) -> None:
    with FastMmap(path):
        say("open")
        heard()


def test_every_process_that_has_it_open_is_a_client(
    cache: FastMmap, path: str, run: Run
) -> None:
    with Scenario(have_open, path) as other:
        assert other.hear() == "open"
        pids = {client["pid"] for client in listed(run, path)["clients"]}
        assert pids == {os.getpid(), other.process.pid}
        other.tell("end")


def test_a_cache_that_is_renamed_is_found_by_its_new_name(
    cache: FastMmap, path: str, run: Run
) -> None:
    os.rename(path, path + ".new")
    assert len(listed(run, path + ".new")["clients"]) == 1


def test_a_private_cache_is_found(run: Run) -> None:
    with FastMmap(cache_size="1m") as cache:
        assert listed(run, cache.share_file)["clients"]


def test_a_damaged_file_is_listed_with_what_is_wrong(
    cache: FastMmap, path: str, run: Run
) -> None:
    os.chmod(path, 0o600)
    with open(path, "r+b") as file:
        file.seek(40)
        file.write(b"\xff")
    found = listed(run, path)
    assert "damaged" in found["problem"] and len(found["clients"]) == 1
    with open(path, "r+b") as file:
        file.write(host.MAGIC)


def test_a_copy_that_nobody_has_open_is_not_looked_for(
    cache: FastMmap, path: str, run: Run
) -> None:
    shutil.copy(path, path + ".copy")
    told = json.loads(run("list", "--json").stdout)
    assert path + ".copy" not in [found["path"] for found in told["caches"]]


def alone(monkeypatch: pytest.MonkeyPatch, *paths: str) -> None:
    """Let these be the caches of this host."""
    client = host.Client(1, "user", "command", 0.0)
    places = [host.Place(path, [client]) for path in paths]
    monkeypatch.setattr(host, "survey", lambda: host.Survey(places, 0))


def test_the_only_open_cache_needs_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    alone(monkeypatch, "/one")
    assert host.only_open() == "/one"
    alone(monkeypatch)
    with pytest.raises(ValueError, match="no process"):
        host.only_open()
    alone(monkeypatch, "/one", "/two")
    with pytest.raises(ValueError, match="/one, /two"):
        host.only_open()


def test_a_list_of_nothing_says_how_to_look_at_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    alone(monkeypatch)
    monkeypatch.setattr(caches, "survey", host.survey)
    assert program.main(["list"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "has a cache open" in printed.err and "fastmmap info FILE" in printed.err


def test_the_list_counts_hidden_processes() -> None:
    assert host.Survey([], 0).remark() == ""
    assert host.Survey([], 1).remark().startswith("1 process of other users")
    assert host.Survey([], 2).remark().startswith("2 processes of other users")


def test_without_a_command_the_help_is_printed(run: Run) -> None:
    done = run(status=2)
    assert b"the caches of this host" in done.stderr


def test_a_command_without_a_file_finds_it_or_names_several(
    cache: FastMmap, path: str
) -> None:
    cache["key"] = "value"
    done = subprocess.run(
        command("get", "key"), capture_output=True, timeout=120, env=environment()
    )
    if done.returncode == 0:
        assert done.stdout == b"value\n"
    else:  # other programs that run here have caches open, too
        assert done.returncode == 2 and path.encode() in done.stderr


def test_the_script_of_the_package_is_the_command() -> None:
    project = Path(__file__).resolve().parents[2] / "pyproject.toml"
    found = re.search(
        r'\[project.scripts\]\nfastmmap = "(.+):(.+)"', project.read_text()
    )
    assert found is not None
    assert getattr(import_module(found[1]), found[2]) is program.entry_point


def test_without_proc_only_the_default_places_are_looked_at(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with FastMmap(cache_size="1m", unlink_on_exit=False) as cache:
        path = str(cache.share_file)
    monkeypatch.setattr(host, "_PROC", str(tmp_path / "no-proc"))
    try:
        assert path in [place.path for place in host.survey().places]
    finally:
        os.unlink(path)
