"""The WSGI application of bench_web.py: pages that take a while to make.

Which cache it uses comes in environment variables, since gunicorn imports it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterable
from typing import Any

import peers
from runner import Skipped

PAGE_BYTES = 2048
WORK = 1500  # hashes, about a millisecond

StartResponse = Callable[[str, list[tuple[str, str]]], object]


def make_page(path: str) -> bytes:
    """Return the page of a path; takes about a millisecond."""
    digest = path.encode()
    for _ in range(WORK):
        digest = hashlib.sha256(digest).digest()
    return (digest.hex().encode() * PAGE_BYTES)[:PAGE_BYTES]


def open_cache() -> peers.Store | None:
    """Open the cache that the environment names; None for no cache.

    One worker at a time: what warp_cache makes kills those that come meanwhile.
    """
    module = os.environ["BENCH_MODULE"]
    if not module:
        return None
    place = peers.Place(**json.loads(os.environ["BENCH_PLACE"]))
    (peer,) = peers.available(place, Skipped(quiet=True), [module])
    with open(place.file("opening"), "w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        return peer.open(place, "raw")


cache: peers.Store | None = None


def start(worker: Any) -> None:
    """Open the cache; gunicorn calls this in each worker."""
    global cache
    cache = open_cache()


def application(
    environ: dict[str, Any], start_response: StartResponse
) -> Iterable[bytes]:
    """Answer with the page, out of the cache if it is there."""
    path = environ["PATH_INFO"]
    page = cache.get(path) if cache is not None else None
    if page is None:
        page = make_page(path)
        if cache is not None:
            cache.set(path, page)
    start_response("200 OK", [("Content-Length", str(len(page)))])
    return [page]
