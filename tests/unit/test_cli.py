"""python -m fastmmap check FILE [--repair] and info FILE."""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
import subprocess
import sys

import pytest
from header import CLIENTS_SIZE
from support import MakeCache, Scenario, heard, say

import fastmmap
from fastmmap import FastMmap, verify

PAGE = 65536
PAGES = 4
INDEXES_AT = 8192


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line of the package that is under test."""
    home = os.path.dirname(os.path.dirname(os.path.abspath(fastmmap.__file__)))
    return subprocess.run(
        [sys.executable, "-m", "fastmmap", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=home,
    )


@pytest.mark.quick
def test_info_tells_what_a_file_is_like(cache: FastMmap, path: str) -> None:
    cache.set("key", 1)
    done = run("info", path)
    assert done.returncode == 0, done.stderr
    for part in (path, str(cache.num_pages), "pickle"):
        assert part in done.stdout


@pytest.mark.quick
def test_check_of_a_sound_file_succeeds(cache: FastMmap, path: str) -> None:
    cache.set("key", 1)
    done = run("check", path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_check_of_a_damaged_file_fails_and_names_the_page(
    one_page: FastMmap, path: str
) -> None:
    for number in range(100):
        one_page.set(f"key {number}", number)
    with open(path, "r+b") as file:
        file.seek(-CLIENTS_SIZE - 65536, os.SEEK_END)
        file.write(random.Random(1).randbytes(65536))
    done = run("check", path)
    assert done.returncode == 1
    assert "page 0" in done.stdout + done.stderr


@pytest.mark.parametrize("command", ["check", "info"])
def test_a_missing_file_is_an_error_and_is_not_made(path: str, command: str) -> None:
    done = run(command, path)
    assert done.returncode not in (0, 1)
    assert path in done.stderr
    assert "Traceback" not in done.stderr
    assert not os.path.exists(path)


@pytest.mark.parametrize("command", ["check", "info"])
def test_a_file_that_is_none_of_ours_is_an_error(path: str, command: str) -> None:
    with open(path, "wb") as file:
        file.write(b"text" * 5000)
    done = run(command, path)
    assert done.returncode not in (0, 1)
    assert "Traceback" not in done.stderr
    with open(path, "rb") as file:
        assert file.read() == b"text" * 5000


def test_check_leaves_the_values_alone(cache: FastMmap, path: str) -> None:
    cache.set("key", 1)
    run("check", path)
    run("info", path)
    assert cache.get("key") == 1


def test_help_names_both_commands() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert "check" in done.stdout and "info" in done.stdout


def test_no_command_is_a_usage_error() -> None:
    assert run().returncode == 2
    assert run("polish").returncode == 2


# ---------------------------------------------------------------- damage


def contents(path: str) -> bytes:
    """Return the file but for its clients, of which a look makes one."""
    with open(path, "rb") as file:
        return file.read()[:-CLIENTS_SIZE]


def write_at(path: str, offset: int, data: bytes) -> None:
    """Overwrite bytes; a negative offset counts from the end of the pages."""
    if offset < 0:
        offset += os.path.getsize(path) - CLIENTS_SIZE
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


def index_size(path: str) -> int:
    """Return the bytes of the index part of each page, see docs/format.rst."""
    (buckets,) = struct.unpack_from("=I", contents(path), 44)
    return -(-(112 * buckets) // 64) * 64


def damage_slot(path: str, page: int) -> None:
    """Let the first slot in use of a page name something else."""
    data, index_bytes = contents(path), index_size(path)
    (larger,) = struct.unpack_from("=Q", data, 4096 + 256 * page + 16)
    start = INDEXES_AT + page * index_bytes
    if larger:  # it lies in the rings of the page
        start = len(data) - (PAGES - page) * (PAGE - index_bytes)
        start += 64 * (larger >> 32)
    index = data[start : start + 1024]
    slot = next(n for n in range(0, 1024, 8) if index[n : n + 8] != bytes(8))
    word = bytes(byte ^ 0x55 for byte in index[slot : slot + 8])
    write_at(path, start + slot, word)


def damage_page(path: str, page: int) -> None:
    """Overwrite all of a page but its control block."""
    dice = random.Random(1)
    index = index_size(path)
    rings = PAGE - index
    write_at(path, INDEXES_AT + page * index, dice.randbytes(index))
    write_at(path, (page - PAGES) * rings, dice.randbytes(rings))


@pytest.fixture
def full(make_cache: MakeCache) -> dict[object, object]:
    """Make a file of four pages, closed by now; return what is in it."""
    cache = make_cache(page_size=PAGE, num_pages=PAGES, unlink_on_exit=False)
    for number in range(400):
        cache[f"key {number}"] = b"x" * 200
    items = dict(cache)
    cache.close()
    return items


@pytest.mark.quick
def test_repair_empties_only_the_page_that_is_beyond_saving(
    full: dict[object, object], path: str
) -> None:
    damage_page(path, 2)
    done = run("check", path, "--repair")
    assert done.returncode == 0, done.stderr
    assert "page 2: " in done.stdout and "emptied" in done.stdout
    assert "1 pages with problems, 1 repaired" in done.stdout
    with FastMmap(path) as cache:
        kept = dict(cache)
    assert kept.items() < full.items()
    assert len(kept) > 200
    assert run("check", path).returncode == 0


def test_repair_of_a_bad_slot_costs_that_entry_only(
    full: dict[object, object], path: str
) -> None:
    damage_slot(path, 2)
    assert run("check", path).returncode == 1
    done = run("check", path, "--repair")
    assert done.returncode == 0, done.stderr
    assert "page 2: " in done.stdout and "repaired" in done.stdout
    with FastMmap(path) as cache:
        kept = dict(cache)
    assert kept.items() < full.items()
    assert len(kept) == len(full) - 1


def test_repair_leaves_a_sound_file_alone(
    full: dict[object, object], path: str
) -> None:
    before = contents(path)
    assert run("check", path, "--repair").returncode == 0
    assert contents(path) == before


@pytest.mark.parametrize("moved", [False, True])
def test_check_changes_no_byte_of_a_damaged_file(
    full: dict[object, object], path: str, moved: bool
) -> None:
    damage_page(path, 3)
    damage_slot(path, 1)
    if moved:  # another inode: a file of which nobody knows who held its locks
        shutil.copy(path, path + ".copy")
        path += ".copy"
    before = contents(path)
    for _ in range(2):
        done = run("check", path)
        assert done.returncode == 1
        assert "page 1: " in done.stdout and "page 3: " in done.stdout
    run("info", path)
    assert contents(path) == before


def test_repair_of_a_copied_file_says_what_it_did(
    full: dict[object, object], path: str
) -> None:
    damage_page(path, 3)
    shutil.copy(path, path + ".copy")
    done = run("check", path + ".copy", "--repair")
    assert done.returncode == 0
    assert "page 3: " in done.stdout and "emptied" in done.stdout
    assert run("check", path).returncode == 1


def test_json_tells_the_same(full: dict[object, object], path: str) -> None:
    damage_page(path, 3)
    done = run("check", path, "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert report["sound"] is False and report["pages"] == 4
    assert [page["number"] for page in report["problems"]] == [3]
    report = json.loads(run("check", path, "--repair", "--json").stdout)
    assert report["sound"] is True
    assert report["problems"][0]["repaired"] is True
    assert json.loads(run("check", path, "--json").stdout)["problems"] == []


# --------------------------------------------------------- unusable files


def test_a_truncated_file_is_named_as_such(
    full: dict[object, object], path: str
) -> None:
    size = os.path.getsize(path)
    os.truncate(path, size - 10)
    done = run("check", path, "--repair")
    assert done.returncode == 2
    assert str(size) in done.stderr and str(size - 10) in done.stderr
    os.truncate(path, 100)
    done = run("check", path, "--repair")
    assert done.returncode == 2
    assert "truncated" in done.stderr
    assert os.path.getsize(path) == 100


def test_another_format_version_is_named_as_such(
    full: dict[object, object], path: str
) -> None:
    write_at(path, 8, (77).to_bytes(4, "little"))
    done = run("check", path, "--repair")
    assert done.returncode == 2
    assert "version" in done.stderr and "77" in done.stderr
    assert "expected 10" in done.stderr


def test_a_damaged_header_is_named_as_such(
    full: dict[object, object], path: str
) -> None:
    before = contents(path)
    write_at(path, 40, b"\xff")
    done = run("check", path, "--repair")
    assert done.returncode == 2
    assert "header is damaged" in done.stderr
    write_at(path, 40, before[40:41])
    assert contents(path) == before


@pytest.mark.parametrize("options", [["check"], ["check", "--repair"], ["info"]])
def test_an_empty_file_is_no_cache_and_stays_empty(
    path: str, options: list[str]
) -> None:
    open(path, "wb").close()
    done = run(*options, path)
    assert done.returncode == 2
    assert path in done.stderr
    assert os.path.getsize(path) == 0


# ------------------------------------------------------------ files in use


def hold_a_page(path: str) -> None:
    with FastMmap(path) as cache, cache.lock("key 0"):
        say("held")
        heard()


@pytest.mark.parametrize("more", [[], ["--repair"]])
def test_a_page_that_is_held_is_not_waited_for_without_end(
    full: dict[object, object], path: str, more: list[str]
) -> None:
    with Scenario(hold_a_page, path) as holder:
        assert holder.hear() == "held"
        done = run("check", path, "--wait", "0.1", *more)
        assert done.returncode == 1
        assert "not checked" in done.stdout and "1 pages not checked" in done.stdout
        holder.tell("go on")
    assert run("check", path).returncode == 0


def test_a_page_that_came_free_before_its_repair_is_reported_as_it_was(
    full: dict[object, object], path: str
) -> None:
    damage_page(path, 3)
    held = verify.PageCheck(3, "not checked", 0, 0, checked=False)
    (page,) = verify._repair(path, [held], wait_ms=1000)
    assert page.repaired and page.sound and page.slots > page.kept
    assert page.problem and page.problem != held.problem
    assert run("check", path).returncode == 0


def keep_writing(path: str) -> None:
    with FastMmap(path) as cache:
        for number in range(2000):
            cache[f"key {number}"] = b"x" * (number % 500)
        say("busy")
        while True:
            for number in range(500):
                cache[f"key {number}"] = b"x" * (number % 500)


def test_a_file_in_full_use_is_sound(full: dict[object, object], path: str) -> None:
    with Scenario(keep_writing, path) as writer:
        assert writer.hear() == "busy"
        for more in ([], ["--repair"], ["--json"]):
            done = run("check", path, *more)
            assert done.returncode == 0, done.stdout + done.stderr
        assert writer.process.poll() is None


def test_help_of_check_tells_the_exit_codes() -> None:
    done = run("check", "--help")
    assert done.returncode == 0
    assert "exit status" in done.stdout and "--repair" in done.stdout


def test_a_negative_wait_is_a_usage_error(path: str) -> None:
    assert run("check", path, "--wait", "-1").returncode == 2
