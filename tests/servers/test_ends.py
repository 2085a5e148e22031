"""What is left behind by workers that are recycled, and by servers that stop."""

from __future__ import annotations

import os
import signal
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import pytest
from serving import (
    CLASSES,
    KINDS,
    PRELOADED,
    UWSGI,
    WORKERS,
    Kind,
    Server,
    eventually,
    few,
    serving,
)

from fastmmap import FastMmap, _core
from fastmmap.location import sweep

PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024
GENERATIONS = 2
KEYS = 20
#: Recycling takes time: one of each, and a preloaded one.
RECYCLED = few(
    (*CLASSES, PRELOADED[0], *UWSGI[:2]),
    *("gunicorn-gthread", "gunicorn-sync-preload", "uwsgi-forked"),
)

pytestmark = [pytest.mark.once, pytest.mark.long]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=attrgetter("name"))


class Footprint(NamedTuple):
    """What the master process holds."""

    descriptors: int
    mappings: int
    kib: int

    def exceeds(self, other: Footprint) -> bool:
        return (
            self.descriptors > other.descriptors
            or self.mappings > other.mappings
            or self.kib >= other.kib + 1024
        )


def footprint(server: Server) -> Footprint:
    place = Path(f"/proc/{server.process.pid}")
    maps = (place / "maps").read_text().splitlines()
    return Footprint(
        descriptors=len(os.listdir(place / "fd")),
        mappings=len(maps),
        kib=int((place / "statm").read_text().split()[1]) * PAGE_KIB,
    )


def count_clients(path: str) -> int:
    """Return how many have locked the byte of a client: who has the file open."""
    inode = str(os.stat(path).st_ino)
    lines = Path("/proc/locks").read_text().splitlines()
    ours = [line.split() for line in lines if f":{inode} " in line]
    return sum("OFDLCK" in words and int(words[-2]) >= 4096 for words in ours)


def serve_generations(server: Server, count: int) -> None:
    """Send requests until so many workers have come and gone for each place."""
    seen = set(server.workers())

    def enough() -> bool:
        seen.add(server.ask_other("/get/key", pid=0).pid)
        return len(seen) >= WORKERS * (count + 1)

    eventually(enough, f"{count} generations of workers")


def holds_no_more(server: Server) -> bool:
    """Tell whether the master is as before when some generations have gone."""
    before = footprint(server)
    serve_generations(server, GENERATIONS)
    try:
        eventually(lambda: not footprint(server).exceeds(before), str(before))
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize("kind", RECYCLED, ids=attrgetter("name"))
def test_recycled_workers_leave_nothing_in_the_master_or_the_file(kind: Kind) -> None:
    with serving(kind.with_options("--max-requests", "8")) as server:
        server.ask_other("/put/key/value", pid=0)
        serve_generations(server, 1)
        # A master may grow once, for itself; what grows each time is a leak.
        assert any(holds_no_more(server) for _ in range(4)), footprint(server)
        assert count_clients(server.cache) <= WORKERS + 1
        assert server.ask_other("/get/key", pid=0).result == "value"
        assert _core.sweep(server.cache) == 0  # it is in use
        server.wait_for_workers()
        server.stop()
        assert count_clients(server.cache) == 0
        assert _core.sweep(server.cache) == 1  # nobody has it


@every_kind
def test_changed_values_are_written_when_a_server_stops(kind: Kind) -> None:
    with serving(kind, role="write_back") as server:
        for number in range(KEYS):
            server.ask(f"/put/key{number}/{number}")
        server.stop()
        for number in range(KEYS):
            assert server.noted(f"wrote key{number}={number}")
        with FastMmap(server.cache) as cache:  # and it is warm
            assert cache.check().ok
            assert len(cache) == KEYS
            assert not any(item["flags"] for item in cache.get_keys(1))


@pytest.mark.parametrize("kind", PRELOADED[::3], ids=attrgetter("name"))
def test_a_private_cache_of_gunicorns_master_is_gone_when_it_stops(kind: Kind) -> None:
    with serving(kind, role="private") as server:
        server.ask("/put/key/value")
        server.stop()
        (path,) = server.files()
        assert not os.path.exists(path)


# uWSGI's master runs no exit functions of Python, and so does who is killed.
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_what_uwsgi_leaves_of_a_private_cache_is_gone_after_the_next_start(
    end: signal.Signals,
) -> None:
    with serving(UWSGI[0], role="private") as server:
        server.ask("/put/key/value")
        (left,) = server.files()
        server.end(end)
    with serving(UWSGI[0], role="private") as server:
        (path,) = server.files()
        assert path != left and os.path.exists(path)
        assert not os.path.exists(left)
        server.stop()
    sweep(os.path.dirname(path))  # or whoever came before us
    assert not os.path.exists(path)
