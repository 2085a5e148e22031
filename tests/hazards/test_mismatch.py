"""A file that is another than was asked for: other settings, another version."""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from header import (
    BYTE_ORDER_AT,
    UNWRITTEN_AT,
    VERSION_AT,
    make_of_version,
    put_word,
    word_at,
)
from support import MakeCache, Scenario, heard, run_scenario, say
from test_full_disk import in_small_space, why_not_mounted

from fastmmap import FastMmap, FormatError, VersionError, _core

GOLDEN = Path(__file__).parents[1] / "golden"


# ------------------------------------------------------------ other settings


@pytest.mark.quick
def test_replace_makes_an_empty_file_of_the_new_size(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with FastMmap(path, cache_size="512k") as old:
        old.set("key", 1)
    with FastMmap(path, cache_size="1m", on_mismatch="replace") as new:
        assert new.cache_size == 1 << 20
        assert len(new) == 0
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        f"{path}: the file has cache_size 524288, but 1048576 was asked for: "
        "replaced by an empty file"
    )


def test_replace_keeps_a_file_that_agrees(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with FastMmap(path, cache_size="512k") as old:
        old.set("key", 1)
    with FastMmap(path, cache_size="512k", on_mismatch="replace") as same:
        assert same.get("key") == 1
    assert not caplog.records


@pytest.mark.parametrize(
    ("options", "attribute", "value"),
    [
        ({"serializer": "json"}, "serializer", "json"),
        ({"compressor": "zlib"}, "compressor", "zlib"),
        ({"num_pages": 3}, "num_pages", 3),
        ({"page_size": "16k"}, "page_size", 16384),
    ],
)
def test_every_setting_of_the_file_is_replaced(
    path: str, options: dict[str, Any], attribute: str, value: object
) -> None:
    FastMmap(path, cache_size="512k").close()
    with FastMmap(path, on_mismatch="replace", **options) as new:
        assert getattr(new, attribute) == value
        new.set("key", ["value"])
        assert new.get("key") == ["value"]


def test_error_is_the_default_and_names_both_and_a_way_out(path: str) -> None:
    FastMmap(path, cache_size="512k").close()
    with pytest.raises(FormatError, match=r"524288, but 1048576 .*on_mismatch"):
        FastMmap(path, cache_size="1m")
    assert os.path.getsize(path) < 2 << 20


def test_follow_takes_the_file_as_it_is(path: str) -> None:
    with FastMmap(path, cache_size="512k", serializer="json") as old:
        old.set("key", [1])
    with FastMmap(
        path, cache_size="1m", serializer="pickle", on_mismatch="follow"
    ) as same:
        assert (same.cache_size, same.serializer) == (512 << 10, "json")
        assert same.get("key") == [1]


def test_another_word_is_a_value_error(path: str) -> None:
    with pytest.raises(ValueError, match=r'on_mismatch is .*"error", "follow"'):
        FastMmap(path, on_mismatch="ignore")
    assert not os.path.exists(path)


def test_a_file_that_others_have_open_is_followed_and_that_is_said(
    make_cache: MakeCache, caplog: pytest.LogCaptureFixture
) -> None:
    make_cache(cache_size="512k").set("key", 1)
    other = make_cache(cache_size="1m", serializer="json", on_mismatch="replace")
    assert (other.cache_size, other.get("key")) == (512 << 10, 1)
    other.set("shared", {"a": 1})
    (record,) = caplog.records
    assert "stays as it is, because others have it open" in record.getMessage()


def hold(path: str, size: str) -> None:
    """Have the file open with a size, as a service does."""
    with FastMmap(path, cache_size=size, on_mismatch="replace") as cache:
        say(cache.cache_size)
        heard()


def test_two_services_with_two_sizes_do_not_replace_each_others_file(
    path: str,
) -> None:
    with Scenario(hold, path, "512k") as one, Scenario(hold, path, "1m") as other:
        first, second = one.hear(), other.hear()
        assert first == second
        inode = os.stat(path).st_ino
        for size in ("512k", "1m", "2m"):
            with FastMmap(path, cache_size=size, on_mismatch="replace") as cache:
                assert str(cache.cache_size) == first
        assert os.stat(path).st_ino == inode


def test_a_forked_child_counts_as_having_it_open(path: str) -> None:
    with FastMmap(path, cache_size="512k"):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:  # until it is told to go, it has not used the cache
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
        os.close(reader)
    with FastMmap(path, cache_size="1m", on_mismatch="replace") as cache:
        assert cache.cache_size == 512 << 10
    os.close(writer)
    os.waitpid(child, 0)
    with FastMmap(path, cache_size="1m", on_mismatch="replace") as cache:
        assert cache.cache_size == 1 << 20


def start(path: str) -> object:
    """Open the file with a new size when told to; say what was logged."""
    told: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("fastmmap").addHandler(handler)
    say("ready")
    heard()
    cache = FastMmap(path, cache_size="1m", on_mismatch="replace")
    say(f"{os.stat(path).st_ino} {cache.cache_size} {len(told)}")
    heard()
    cache.close()
    return None


def test_of_many_that_start_together_one_replaces(path: str) -> None:
    FastMmap(path, cache_size="512k").close()
    with ExitStack() as stack:
        workers = [stack.enter_context(Scenario(start, path)) for _ in range(12)]
        for worker in workers:
            assert worker.hear() == "ready"
        for worker in workers:
            worker.tell("go")
        told = [worker.hear().split() for worker in workers]
    assert {(inode, size) for inode, size, _ in told} == {
        (str(os.stat(path).st_ino), str(1 << 20))
    }
    assert sorted(logged for *_, logged in told) == ["0"] * 11 + ["1"]


def test_changed_values_are_not_replaced_until_they_are_written(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    written: dict[Any, Any] = {}

    def write(_: object, key: Any, value: Any, expire_on: object) -> None:
        written[key] = value

    late: dict[str, Any] = {"write_cb": write, "write_action": "write_back"}
    with FastMmap(path, cache_size="512k", **late) as old:
        old.set("key", 1)
    with FastMmap(path, cache_size="1m", on_mismatch="replace", **late) as same:
        assert same.cache_size == 512 << 10
        assert "changed values" in caplog.text
        same.flush()
    assert written == {"key": 1}
    with FastMmap(path, cache_size="1m", on_mismatch="replace", **late) as new:
        assert new.cache_size == 1 << 20


def test_a_copy_by_pickle_follows_what_the_original_follows(
    make_cache: MakeCache,
) -> None:
    make_cache(cache_size="512k", serializer="json").set("key", [1])
    other = make_cache(cache_size="1m", serializer="pickle", on_mismatch="replace")
    with pickle.loads(pickle.dumps(other)) as copy:
        assert copy.get("key") == [1]


def test_a_copy_by_pickle_replaces_nothing(path: str) -> None:
    with FastMmap(path, serializer="pickle", on_mismatch="replace") as made:
        pickled = pickle.dumps(made)
    FastMmap(path, serializer="json", cache_size="512k", init_file=True).close()
    inode = os.stat(path).st_ino
    with pickle.loads(pickled) as copy:
        assert copy.serializer == "json"
    assert os.stat(path).st_ino == inode


def test_no_replacement_would_let_strangers_run_code(path: str) -> None:
    FastMmap(path, cache_size="512k", serializer="json").close()
    with FastMmap(
        path, cache_size="1m", allow_shared=True, on_mismatch="replace"
    ) as cache:
        assert (cache.serializer, cache.cache_size) == ("json", 512 << 10)


# --------------------------------------------------------- room for two files


def open_in_turn(folder: str, old: str, new: str, in_use: bool) -> list[object]:
    """On a small disk: make one file, then ask for another size."""
    path = os.path.join(folder, "cache")
    first = FastMmap(path, cache_size=old)
    first.set("key", 1)
    if not in_use:
        first.close()
    told: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("fastmmap").addHandler(handler)
    with FastMmap(path, cache_size=new, on_mismatch="replace") as cache:
        found = [cache.cache_size, cache.get("key"), os.listdir(folder), told]
    first.close()
    return found


def run_in_1_mib(tmp_path: Path, *arguments: object) -> Any:
    if why_not_mounted():
        pytest.skip(why_not_mounted())
    with Scenario(
        open_in_turn, str(tmp_path), *arguments, prefix=in_small_space(tmp_path)
    ) as running:
        return running.result()


def test_without_room_for_two_the_old_space_is_given_up(tmp_path: Path) -> None:
    size, value, files, told = run_in_1_mib(tmp_path, "512k", "640k", False)
    assert (size, value, files) == (640 << 10, None, ["cache"])
    assert "replaced by an empty file" in told[0]


def test_a_file_that_does_not_fit_at_all_leaves_the_old_one(tmp_path: Path) -> None:
    size, value, files, told = run_in_1_mib(tmp_path, "512k", "2m", False)
    assert (size, value, files) == (512 << 10, 1, ["cache"])
    assert "stays as it is, because cannot reserve" in told[0]


# ------------------------------------------------------------ other versions


@pytest.mark.parametrize("version", range(1, 8))
def test_a_file_of_an_earlier_version_is_replaced(
    path: str, version: int, caplog: pytest.LogCaptureFixture
) -> None:
    make_of_version(path, version)
    with FastMmap(path, cache_size="64k") as cache:
        cache.set("key", 1)
        assert cache.get("key") == 1
    assert f"the format version was {version}, and is" in caplog.text
    assert len(caplog.records) == 1


@pytest.mark.parametrize("golden", sorted(GOLDEN.glob("version*.fmm")), ids=str)
def test_every_file_that_was_kept_is_read_or_replaced(path: str, golden: Path) -> None:
    version = make_of_version(path)
    Path(path).write_bytes(golden.read_bytes())
    older = word_at(path, VERSION_AT) < version
    with FastMmap(path) as cache:
        assert (len(cache) == 0) == older


def test_an_earlier_version_that_may_hold_changes_is_refused(path: str) -> None:
    make_of_version(path, 7, unwritten=1)
    before = Path(path).read_bytes()
    with pytest.raises(FormatError, match=r"changed values .* call flush\(\)"):
        FastMmap(path, on_mismatch="replace")
    assert Path(path).read_bytes() == before
    with FastMmap(path, init_file=True) as cache:
        assert len(cache) == 0


@pytest.mark.parametrize("how", ["error", "follow", "replace"])
def test_a_newer_version_is_refused_and_left_alone(path: str, how: str) -> None:
    newer = make_of_version(path) + 1
    make_of_version(path, newer)
    before = Path(path).read_bytes()
    with pytest.raises(VersionError, match=rf"is {newer}, .* newer fastmmap"):
        FastMmap(path, on_mismatch=how)
    assert Path(path).read_bytes() == before


@pytest.mark.parametrize("at", [BYTE_ORDER_AT, 0])
def test_what_another_machine_or_program_wrote_is_left_alone(
    path: str, at: int
) -> None:
    make_of_version(path, 7)
    put_word(path, at, 0x04030201)
    before = Path(path).read_bytes()
    with pytest.raises(FormatError):
        FastMmap(path, on_mismatch="replace")
    assert Path(path).read_bytes() == before


@pytest.mark.parametrize("change", [True, False])
def test_tools_replace_nothing(path: str, change: bool) -> None:
    make_of_version(path, 7)
    before = Path(path).read_bytes()
    with pytest.raises(FormatError, match="the format version is 7"):
        _core.Cache(path, must_exist=True, inspect=not change)
    assert Path(path).read_bytes() == before


@pytest.mark.parametrize(
    "command", ["info", "check", "check --repair", "keys", "clear"]
)
def test_commands_replace_nothing(path: str, command: str) -> None:
    make_of_version(path, 7)
    before = Path(path).read_bytes()
    words = [sys.executable, "-m", "fastmmap", *command.split(), path]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "the format version is 7" in done.stderr
    assert Path(path).read_bytes() == before


def test_a_file_of_another_version_does_not_stop_who_has_the_old_one(
    make_cache: MakeCache, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    user = make_cache()
    user.set("key", 1)
    make_of_version(path + "2", 99)
    os.replace(path + "2", path)
    deadline = time.monotonic() + 2.5
    while time.monotonic() < deadline:
        assert user.get("key") == 1
        user.set("other", 2)
        time.sleep(0.1)
    (record,) = caplog.records
    assert "the format version is 99" in record.getMessage()
    os.unlink(path)
    FastMmap(path, cache_size="64k").close()
    time.sleep(1.1)
    assert user.get("key") is None
    assert user.cache_size == 64 << 10


def test_a_replaced_file_whose_successor_is_newer_is_used_on(
    make_cache: MakeCache, path: str
) -> None:
    user = make_cache()
    user.set("key", 1)
    FastMmap(path, init_file=True).close()
    make_of_version(path + "2", 99)
    os.replace(path + "2", path)
    assert user.get("key") == 1
    assert user.set("key", 2)


# ------------------------------------------------- what is not written back


def unwritten(path: str) -> bool:
    """Tell whether the file says that it may hold changed values."""
    return word_at(path, UNWRITTEN_AT) != 0


@pytest.mark.parametrize(
    "change",
    [
        lambda cache: cache.set("key", 1),
        lambda cache: cache.incr("number"),
        lambda cache: cache.remove("number"),
        lambda cache: cache.get_and_set("key", lambda *_: 1),
        lambda cache: cache.remove("number", modseq=5),
    ],
)
def test_the_file_says_that_it_holds_changes(
    make_cache: MakeCache, path: str, change: Any
) -> None:
    make_cache().set("number", 1)
    assert not unwritten(path)
    cache = make_cache(
        write_cb=lambda *_: None,
        delete_cb=lambda *_: None,
        write_action="write_back",
    )
    change(cache)
    assert unwritten(path)
    cache.flush()
    assert not unwritten(path)
    change(cache)
    assert unwritten(path)
    cache.empty()
    assert not unwritten(path)


def test_a_write_cb_that_fails_leaves_the_word_as_it_is(
    make_cache: MakeCache, path: str
) -> None:
    fail = True

    def write(*_: object) -> None:
        if fail:
            raise OSError("no connection")

    cache = make_cache(write_cb=write, write_action="write_back")
    cache.set("key", 1)
    cache.flush()
    assert unwritten(path)
    fail = False
    cache.flush()
    assert not unwritten(path)


def change_and_flush(path: str, seconds: float) -> None:
    """Change values and write them back, in two threads at once, then stop."""
    ended = time.monotonic() + seconds
    with FastMmap(
        path, write_cb=lambda *_: None, write_action="write_back", num_pages=4
    ) as cache:

        def flush() -> None:
            while time.monotonic() < ended:
                cache.flush()

        other = threading.Thread(target=flush)
        other.start()
        while time.monotonic() < ended:
            cache.set(os.urandom(4), b"")
        other.join()
        cache.set("last", 1)
        assert unwritten(path)


def test_a_change_beside_a_flush_is_never_forgotten(path: str) -> None:
    """The word is set whenever something dirty is there, whoever flushes."""
    FastMmap(path, num_pages=4, page_size="64k").close()
    run_scenario(change_and_flush, path, 1.0)
    with FastMmap(path) as cache:
        dirty = [key for key in cache if cache.get_entry(key).dirty]  # type: ignore[union-attr]
    assert dirty
    assert unwritten(path)
