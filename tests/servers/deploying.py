"""A worker of a site, of whatever version: it imports fastmmap from where it is told.

So nothing here may import that before, `support` included.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any


def backend(path: str, size: str) -> Any:
    """Make the backend of a site, as Django does."""
    from django.conf import settings

    if not settings.configured:
        settings.configure()
    from fastmmap.contrib.django import FastMmapCache

    return FastMmapCache(path, {"OPTIONS": {"cache_size": size}})


def request(cache: Any, name: str, number: int) -> bool:
    """Serve a request; return whether the cache had what it needed."""
    found = cache.get("page")
    assert found in (None, "the page"), found
    if found is None:
        cache.set("page", "the page")
    assert cache.get_or_set("shared", lambda: "computed") == "computed"
    cache.set(name, number)
    assert cache.get(name) in (None, number)
    cache.add("counter", 0)
    try:
        cache.incr("counter")
    except ValueError:  # Django's word for a key that is not there
        pass
    assert set(cache.get_many(["page", "shared"]).values()) <= {"the page", "computed"}
    cache.delete(name)
    return found is not None


def log_to(told: list[str]) -> None:
    """Keep what fastmmap logs."""
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("fastmmap").addHandler(handler)


def wait_for_word(stop: threading.Event) -> None:
    """Wait until the test says something."""
    sys.stdin.readline()
    stop.set()


def serve(place: str, path: str, size: str) -> list[object]:
    """Serve requests until told to stop; report how it went.

    Returns how many requests there were, how many found the page, and what was
    logged. A request that fails ends the worker with its error.
    """
    sys.path.insert(0, place)
    import fastmmap

    assert os.path.samefile(place, Path(fastmmap.__file__).parents[1])
    told: list[str] = []
    log_to(told)
    stop = threading.Event()
    threading.Thread(target=wait_for_word, args=(stop,)).start()
    cache = backend(path, size)
    number = hits = 0
    while not stop.is_set():
        hits += request(cache, f"own-{os.getpid()}", number)
        number += 1
        if number == 1:
            print("serving", flush=True)
        time.sleep(0.002)
    return [number, hits, told]
