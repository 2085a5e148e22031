"""Opening a file that is verified for a while: what is logged, what ends it."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support import Scenario, heard, say

from fastmmap import FastMmap, LockError, callbacks

SEALED_AT = 136
MANY = 1_000_000  # of small values; looking after them takes half a second


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with many values."""
    path = tmp_path_factory.mktemp("large") / "cache.fmm"
    with FastMmap(path, cache_size="256m", num_pages=64) as cache:
        for number in range(MANY):
            cache.set(f"key {number}", b"a value of some 100 bytes" * 4)
    with path.open("rb") as file:
        if not file.read(SEALED_AT + 1)[SEALED_AT]:
            pytest.skip("the files of tests are on tmpfs")
    return path


@pytest.fixture
def copied(large: Path, tmp_path: Path) -> Path:
    """Return a copy of it, which is verified when it is opened first."""
    return Path(shutil.copy(large, tmp_path / "copy.fmm"))


class Meanwhile(logging.Handler):
    """Does something when the log says how far the verification is."""

    def __init__(self, what: Callable[[], object]) -> None:
        super().__init__()
        self.what = what
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        self.what()


def open_meanwhile(path: object, what: Callable[[], object]) -> list[str]:
    """Open and close a file, and log how far that is from the first moment on."""
    handler, logger = Meanwhile(what), logging.getLogger("fastmmap")
    before, callbacks.PROGRESS_AFTER = callbacks.PROGRESS_AFTER, 0.0
    logger.addHandler(handler)
    try:
        FastMmap(os.fspath(path)).close()  # type: ignore[call-overload]
    finally:
        logger.removeHandler(handler)
        callbacks.PROGRESS_AFTER = before
    return handler.lines


def test_the_log_says_how_far_the_verification_is(copied: Path) -> None:
    lines = open_meanwhile(copied, lambda: None)
    assert lines and len(lines) < 12  # after 1/8 s, 1/4, 1/2, ...
    assert all(f"{copied} is from before the last boot" in line for line in lines)
    assert " % done after " in lines[0]
    assert open_meanwhile(copied, lambda: None) == []


def test_a_second_passes_before_the_log_says_anything() -> None:
    assert callbacks.PROGRESS_AFTER == 1.0


def fail() -> None:
    raise KeyboardInterrupt


def test_who_gives_up_verifying_leaves_all_to_the_next(
    copied: Path, large: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        open_meanwhile(copied, fail)
    with FastMmap(large) as before, FastMmap(copied) as cache:
        assert len(cache) == len(before)
        assert cache["key 999999"] == before["key 999999"]


def open_from_the_log(path: str, name: str) -> str:
    """Open the file by a name while the log is told how far its verification is."""
    told: list[str] = []

    def again() -> None:
        try:
            FastMmap(name)
        except LockError as error:
            told.append(str(error))

    open_meanwhile(path, again)
    return told[0]


@pytest.mark.parametrize("linked", [False, True], ids=["same name", "hard link"])
def test_a_handler_that_opens_the_file_does_not_wait_for_itself(
    copied: Path, linked: bool
) -> None:
    name = copied.with_name("linked") if linked else copied
    if linked:
        name.hardlink_to(copied)
    with Scenario(open_from_the_log, str(copied), str(name)) as running:
        assert "this thread is opening the file" in running.result()
    FastMmap(copied).close()


def interrupt_itself(path: str) -> bool:
    """Let a signal come while it verifies; tell whether that ended it."""

    def ring(*_: object) -> None:
        raise TimeoutError("time is over")

    signal.signal(signal.SIGUSR1, ring)
    alarm = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1))
    try:
        alarm.start()
        FastMmap(path).close()
    except TimeoutError:
        return True
    finally:
        alarm.join()
    return False


def test_a_signal_ends_a_verification(copied: Path) -> None:
    with Scenario(interrupt_itself, str(copied)) as running:
        assert running.result() is True
    FastMmap(copied).close()


def verify_slowly(path: str) -> None:
    def wait() -> None:
        say("verifying")
        heard()

    open_meanwhile(path, wait)


def wait_for_another(path: str) -> bool:
    try:
        say("waiting")
        FastMmap(path).close()
    except KeyboardInterrupt:
        return True
    return False


def test_who_waits_for_a_verification_can_be_interrupted(copied: Path) -> None:
    with Scenario(verify_slowly, str(copied)) as verifying:
        assert verifying.hear() == "verifying"
        with Scenario(wait_for_another, str(copied)) as waiting:
            assert waiting.hear() == "waiting"
            time.sleep(0.3)
            began = time.monotonic()
            waiting.send(signal.SIGINT)
            assert waiting.result() is True
            assert time.monotonic() - began < 5
        verifying.kill()
    FastMmap(copied).close()
