"""What a command never does: unpickle, create, replace, or leave a word unasked."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from commands import Run, command, environment
from support import MakeCache

from fastmmap import FastMmap

pytestmark = pytest.mark.once

#: Commands that only look, and their arguments after the path.
LOOKS = [
    ["info"],
    ["info", "--json"],
    ["keys", "--sort", "size"],
    ["keys", "--values", "--json"],
    ["namespaces", "a"],
    ["locks", "a"],
    ["export"],
    ["export", "--pickle"],
    ["watch", "--interval", "0.01", "--count", "1"],
    ["top", "--interval", "0.01", "--count", "1"],
    ["check"],
    ["bench"],
]
CHANGES = [
    ["set", "key", "value"],
    ["delete", "key"],
    ["touch", "key"],
    ["clear", "--yes"],
    ["purge"],
    ["clear-namespace", "a", "--yes"],
    ["invalidate-tag", "a"],
    ["import", "-"],
]


def at(path: str, given: list[str]) -> list[str]:
    """Return a command line with the path in its place."""
    return [given[0], path, *given[1:]]


class Trap:
    """What makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("given", [*LOOKS, ["get", "trap"], ["get", "trap", "--json"]])
def test_no_command_unpickles_unasked(
    cache: FastMmap, path: str, tmp_path: Path, given: list[str]
) -> None:
    sprung = tmp_path / "sprung"
    cache["trap"] = Trap(sprung)
    subprocess.run(
        command(*at(path, given)), env=environment(), capture_output=True, timeout=60
    )
    assert not sprung.exists()


def test_a_pickle_is_read_when_told_so(
    cache: FastMmap, path: str, tmp_path: Path, run: Run
) -> None:
    cache["trap"] = Trap(tmp_path / "sprung")
    run("get", path, "trap", "--pickle")
    assert (tmp_path / "sprung").exists()


def test_a_file_that_strangers_can_write_is_not_unpickled(
    make_cache: MakeCache, path: str, run: Run
) -> None:
    make_cache()["key"] = {"a": 1}
    os.chmod(path, 0o666)
    assert run("get", path, "key").stdout.startswith(b"<pickle")
    assert b"0666" in run("get", path, "key", "--pickle", status=2).stderr


@pytest.mark.parametrize("given", [*LOOKS, *CHANGES])
def test_a_missing_file_is_an_error_and_is_not_made(
    path: str, run: Run, given: list[str]
) -> None:
    done = run(*at(path, given), status=2)
    assert path.encode() in done.stderr
    assert not os.path.exists(path)


@pytest.mark.parametrize("given", [*LOOKS, *CHANGES])
def test_a_file_that_is_none_of_ours_stays_as_it_is(
    path: str, run: Run, given: list[str]
) -> None:
    for text in (b"", b"text" * 5000):
        Path(path).write_bytes(text)
        run(*at(path, given), status=2)
        assert Path(path).read_bytes() == text


@pytest.mark.parametrize("given", LOOKS)
def test_a_look_changes_no_byte_of_the_file(
    make_cache: MakeCache, path: str, given: list[str]
) -> None:
    cache = make_cache(share_file=path + ".made", cache_size="512k")
    cache.set_many({f"key {number}": [number] for number in range(100)})
    shutil.copy(cache.share_file, path)  # of which nobody knows who held its locks
    cache.close()
    os.unlink(path + ".made")
    before = Path(path).read_bytes()
    subprocess.run(command(*at(path, given)), env=environment(), capture_output=True)
    assert Path(path).read_bytes() == before
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]


def test_clear_asks_and_takes_no_answer_for_no(
    cache: FastMmap, path: str, run: Run
) -> None:
    cache["key"] = 1
    assert b"--yes" in run("clear", path, status=2).stderr
    assert b"--yes" in run("clear-namespace", path, "a", status=2).stderr
    assert list(cache) == ["key"]
    run("clear", path, "--yes")
    assert list(cache) == []


def test_who_reads_no_more_ends_a_command_without_a_word(
    cache: FastMmap, path: str
) -> None:
    cache.set_many({f"key {number}": 1 for number in range(3000)})
    process = subprocess.Popen(
        command("keys", path, "--long"),
        env=environment(PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) != 0


def test_what_the_terminal_has_no_letters_for_is_escaped(
    cache: FastMmap, path: str
) -> None:
    cache["ü"] = 1
    done = subprocess.run(
        command("keys", path),
        env=environment(PYTHONIOENCODING="ascii"),
        capture_output=True,
    )
    assert done.stdout == b"\\xfc\n"
