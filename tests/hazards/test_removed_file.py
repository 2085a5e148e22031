"""A file that is removed while it is in use: told once, and the next is followed."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable

import pytest
from support import MakeCache

from fastmmap import FastMmap


def eventually(condition: Callable[[], bool]) -> bool:
    """Wait for what is noticed at most once a second."""
    for _ in range(100):
        if condition():
            return True
        time.sleep(0.05)
    return False


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if (record.name, record.levelno) == ("fastmmap", logging.WARNING)
    ]


def test_a_file_that_lost_its_name_is_told_of_once(
    make_cache: MakeCache, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    user = make_cache()
    user.set("key", "shared")
    os.unlink(path)
    assert eventually(lambda: user.get("key") == "shared" and bool(told(caplog)))
    assert told(caplog)[0].startswith(f"{path} was removed")
    time.sleep(1.1)
    assert user.get("key") == "shared"
    assert len(told(caplog)) == 1


def test_a_new_file_of_the_name_is_followed_and_its_removal_told_again(
    make_cache: MakeCache, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    user = make_cache()
    for turn in range(2):
        os.unlink(path)
        assert eventually(
            lambda n=turn: user.get("x") is None and len(told(caplog)) > n
        )
        with FastMmap(path, cache_size="512k") as other:
            other.set("turn", turn)
        assert eventually(lambda n=turn: user.get("turn") == n)
    assert len(told(caplog)) == 2


class UsesTheCache(logging.Handler):
    def __init__(self, cache: FastMmap) -> None:
        super().__init__()
        self.cache = cache

    def emit(self, record: logging.LogRecord) -> None:
        self.cache.set("log", record.getMessage())


def test_a_handler_of_the_log_may_use_the_cache(
    make_cache: MakeCache, path: str
) -> None:
    user = make_cache()
    handler = UsesTheCache(user)
    logging.getLogger("fastmmap").addHandler(handler)
    try:
        os.unlink(path)
        assert eventually(lambda: "was removed" in user.get("log", ""))
    finally:
        logging.getLogger("fastmmap").removeHandler(handler)


def test_a_handler_of_the_log_may_close_the_cache(
    make_cache: MakeCache, path: str
) -> None:
    user = make_cache()

    class Closes(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            user.close()

    handler = Closes()
    logging.getLogger("fastmmap").addHandler(handler)
    try:
        os.unlink(path)
        with pytest.raises(ValueError, match="closed"):
            eventually(lambda: user.get("key") == "never")
    finally:
        logging.getLogger("fastmmap").removeHandler(handler)
