"""Groups that many processes use: what one drops is gone for all."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import pytest
from support import MakeCache, Scenario, heard, say

from fastmmap import FastMmap

PROCESSES = 8


def space_of(path: str) -> Any:
    return FastMmap(path).namespace("space")


def see_it_go(path: str) -> list[bool]:
    """Return whether the values were there before and after the word."""
    cache = FastMmap(path)
    space = cache.namespace("space")

    def seen() -> list[bool]:
        return ["key" in space, "tagged" in cache]

    before = seen()
    say("seen")
    heard()
    return before + seen()


@pytest.mark.quick
def test_what_one_process_drops_is_gone_for_all(cache: FastMmap, path: str) -> None:
    space = cache.namespace("space")
    space["key"] = 1
    cache.set("tagged", 1, tags=["tag"])
    others = [Scenario(see_it_go, path) for _ in range(4)]
    for other in others:
        assert other.hear() == "seen"
    space.clear()
    cache.invalidate_tag("tag")
    for other in others:
        with other:
            other.tell("now")
            assert other.result() == [True, True, False, False]


def store_late(path: str) -> list[Any]:
    """Compute in a namespace and under a tag, slowly."""
    cache = FastMmap(path)
    space = cache.namespace("space")

    def compute() -> str:
        say("computing")
        heard()
        return "stale"

    return [
        space.get_or_set("key", compute),
        cache.get_or_set("tagged", compute, tags=["tag"]),
    ]


@pytest.mark.quick
def test_what_was_computed_before_it_was_dropped_is_never_seen(
    cache: FastMmap, path: str
) -> None:
    space = cache.namespace("space")
    with Scenario(store_late, path) as running:
        assert running.hear() == "computing"
        space.clear()
        running.tell("go on")
        assert running.hear() == "computing"
        cache.invalidate_tag("tag")
        running.tell("go on")
        assert running.result() == ["stale", "stale"]
    assert "key" not in space and "tagged" not in cache
    assert space.get_or_set("key", "new") == "new"
    assert cache.get_or_set("tagged", "new", tags=["tag"]) == "new"


def make_all_at_once(path: str) -> int:
    """Use the same new groups in many processes; return how many agree."""
    ready, go = os.pipe()
    children = []
    for number in range(PROCESSES):
        child = os.fork()
        if child == 0:
            os.close(go)
            cache = FastMmap(path)
            os.read(ready, 1)  # until the parent closes its end
            for name in map(str, range(200)):
                cache.namespace(name)[str(number)] = number
                cache.set(f"{name} {number}", number, tags=[name])
            os._exit(0)
        children.append(child)
    os.close(ready)
    os.close(go)
    return sum(os.waitpid(child, 0)[1] == 0 for child in children)


def test_a_group_that_many_make_at_once_is_one(
    make_cache: MakeCache, path: str
) -> None:
    cache = make_cache(cache_size="4m")
    with Scenario(make_all_at_once, path, timeout=60) as running:
        assert running.result() == PROCESSES
    for name in map(str, range(200)):
        wanted = {str(number): number for number in range(PROCESSES)}
        space = cache.namespace(name)
        assert space.get_many(wanted) == wanted
        space.clear()
        assert space.get_many(wanted) == {}
        cache.invalidate_tag(name)
    assert len(cache) == 0


def test_groups_in_use_survive_what_is_stored_beside_them(
    make_cache: MakeCache,
) -> None:
    cache = make_cache(page_size="64k", num_pages=4)
    space = cache.namespace("space")
    space["key"] = "value"
    cache.set("tagged", "value", tags=["tag"])
    for number in range(20_000):
        cache[f"key {number}"] = "x" * 100
        if number % 100 == 0:
            assert space["key"] == cache["tagged"] == "value"
    assert cache.stats().evictions > 15_000


def test_a_group_that_lost_its_record_reads_as_dropped(make_cache: MakeCache) -> None:
    cache = make_cache(page_size=4096, num_pages=2)
    names = [f"group {number}" for number in range(300)]
    for name in names:
        cache.namespace(name)["key"] = name
        cache.set(name, name, tags=[name])
    lost = 0
    for name in names:
        value = cache.namespace(name).get("key")
        assert value in (None, name)
        assert cache.get(name) in (None, name)
        lost += value is None
    assert lost > 200 and cache.check().ok


def test_clears_beside_readers_and_writers_leave_nothing_old(
    make_cache: MakeCache,
) -> None:
    space = make_cache(page_size="64k", num_pages=2).namespace("space")
    source = [0, 0]  # what it is now, and what every reader must see by now
    stop, stale = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            least = source[1]
            if space.get_or_set("key", lambda: source[0]) < least:
                stale.append(1)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for _ in range(40):
        source[0] += 1
        space.clear()
        source[1] = source[0]
        time.sleep(0.0003)
    stop.set()
    for reader in readers:
        reader.join(30)
    assert not stale


def use_in_a_fork(path: str) -> list[Any]:
    """A child that was forked uses the namespaces of its parent."""
    space = space_of(path)
    space["key"] = "of the parent"
    child = os.fork()
    if child == 0:
        space["of the child"] = 1
        space.namespace("inner")["key"] = 1
        os._exit(0 if space["key"] == "of the parent" else 1)
    _, status = os.waitpid(child, 0)
    return [status, space["of the child"], space.namespace("inner")["key"]]


def test_namespaces_go_on_in_a_forked_child(cache: FastMmap, path: str) -> None:
    with Scenario(use_in_a_fork, path) as running:
        assert running.result() == [0, 1, 1]


def use_while_it_is_closed(path: str) -> str:
    """Threads that use a namespace while its cache is closed get ClosedError."""
    from fastmmap import ClosedError

    for _ in range(50):
        cache = FastMmap(path)
        space = cache.namespace("a").namespace("b")
        ended: list[str] = []

        def use(space: Any = space, ended: list[str] = ended) -> None:
            try:
                while True:
                    space["key"] = 1
                    space.set("tagged", 1, tags=["tag"])
                    list(space)
                    space.clear()
            except ClosedError:
                ended.append("closed")

        threads = [threading.Thread(target=use) for _ in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(0.005)
        cache.close()
        for thread in threads:
            thread.join()
        assert ended == ["closed"] * 3
    return "done"


def test_a_namespace_may_be_used_while_its_cache_is_closed(
    cache: FastMmap, path: str
) -> None:
    with Scenario(use_while_it_is_closed, path, timeout=60) as running:
        assert running.result() == "done"
