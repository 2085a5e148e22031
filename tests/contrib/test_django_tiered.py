"""The tiers of Django's backends in a process: forks, files of others, closing."""

from __future__ import annotations

import os
import signal
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from header import rewrite_header

from fastmmap import FastMmap
from fastmmap.contrib.shared import shared_cache

pytest.importorskip("redis")
from fastmmap.contrib import absent, django_tiered, tiered
from fastmmap.redis import RedisTier

#: Where no server answers.
NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    yield
    tiered._opened.clear()


def options(path: str) -> dict[str, Any]:
    return {
        "share_file": path,
        "cache_size": "1m",
        "prefixes": (":",),
        "on_down": "miss",
        "listen": False,
    }


def tier_for(path: str) -> Any:
    return django_tiered._tier_for(NOWHERE, options(path))


def test_a_child_waits_for_no_thread_that_opens_in_its_parent(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, opens, may_end = RedisTier.__init__, threading.Event(), threading.Event()

    def slow(*arguments: Any, **more: Any) -> None:
        opens.set()
        may_end.wait(60)
        begin(*arguments, **more)

    monkeypatch.setattr(RedisTier, "__init__", slow)
    thread = threading.Thread(target=tier_for, args=(path,))
    thread.start()
    assert opens.wait(60)
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        may_end.set()
        os._exit(0 if tier_for(path).get(":1:a") is None else 1)
    status = os.waitpid(child, 0)[1]
    may_end.set()
    thread.join()
    assert status == 0


def test_a_tier_of_a_closed_cache_is_opened_again(path: str) -> None:
    first = tier_for(path)
    assert tier_for(path) is first
    shared_cache(**{"share_file": path, "cache_size": "1m"}).close()
    again = tier_for(path)
    assert again is not first and again.get(":1:a") is None


def test_without_its_file_a_tier_asks_the_server(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    FastMmap(path, cache_size="1m").close()
    rewrite_header(path, 8, struct.pack("=I", 99))  # a version to come
    monkeypatch.setattr(absent, "_RETRY", 3600.0)
    tier = tier_for(path)
    assert tier.get(":1:a") is None and not tier.live
    assert tier.get_or_set(":1:b", lambda: 4) == 4
    assert tier_for(path) is tier
    os.unlink(path)
    monkeypatch.setattr(time, "monotonic", lambda: float("inf"))
    assert tier_for(path) is not tier
