"""A cache that gunicorn's master opens and ends, by `fastmmap.contrib.gunicorn`."""

from __future__ import annotations

import os
import signal
from operator import attrgetter

import pytest
from serving import (
    CLASSES,
    HERE,
    LIMIT,
    PRELOADED,
    Kind,
    Server,
    children,
    eventually,
    few,
    serving,
)

KEYS = 20

pytestmark = [pytest.mark.once, pytest.mark.long]
every_class = pytest.mark.parametrize(
    "kind",
    few((*CLASSES, PRELOADED[0]), "gunicorn-sync-preload", "gunicorn-uvicorn"),
    ids=attrgetter("name"),
)


def with_hooks(kind: Kind) -> Kind:
    return kind.with_options("--config", str(HERE / "gunicorn_config.py"))


@every_class
def test_the_master_writes_what_was_changed_and_removes_the_file(kind: Kind) -> None:
    with serving(with_hooks(kind), role="of_the_master") as server:
        for number in range(KEYS):
            server.ask(f"/put/key{number}/{number}")
        server.stop()
        master = server.process.pid
        for number in range(KEYS):
            assert server.noted(f"wrote key{number}={number}") == [master]
        assert not os.path.exists(server.cache)


def test_the_cache_of_the_master_stays_over_a_reload() -> None:
    with serving(with_hooks(CLASSES[0]), role="of_the_master") as server:
        server.ask("/put/key/value")
        server.reload()
        assert server.ask("/get/key").result == "value"
        server.stop()
        assert not os.path.exists(server.cache)


def new_master(server: Server) -> int:
    """Upgrade; return the new master, when it has workers."""
    server.process.send_signal(signal.SIGUSR2)

    def found() -> int | None:
        masters = [pid for pid in server.workers() if children(pid)]
        return masters[0] if masters else None

    master: int = eventually(found, "a new master has workers")
    eventually(lambda: len(children(master)) > 1, "it has several")
    return master


def test_an_upgrade_hands_the_cache_of_the_master_on() -> None:
    with serving(with_hooks(CLASSES[0]), role="of_the_master") as server:
        server.ask("/put/key/value")
        master = new_master(server)
        server.process.terminate()
        assert server.process.wait(LIMIT) == 0
        assert server.noted("wrote key=value")
        answer = server.ask("/get/key")
        assert answer.result == "value"
        assert answer.pid in children(master)
        os.kill(master, signal.SIGTERM)
        eventually(lambda: not os.path.exists(server.cache), "the file is removed")
