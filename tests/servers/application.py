"""What the servers of these tests run: one cache, as WSGI and as ASGI.

A path names an action and its arguments; the answer is JSON, of the worker's
process and the result. The environment says where the cache is, and how.
"""

from __future__ import annotations

import asyncio
import atexit
import fcntl
import inspect
import json
import os
import time
from collections.abc import Callable, Iterable
from typing import Any

from fastmmap import FastMmap

FOLDER = os.environ["SERVED_FOLDER"]
ROLE = os.environ.get("SERVED_ROLE", "shared")
STEPS = 20


def note(what: str) -> None:
    """Write a line where the test sees it, at once."""
    with open(f"{FOLDER}/notes", "a") as file:
        file.write(f"{what} {os.getpid()}\n")


def wait_at_the_door() -> None:
    """Wait until the test opens the door: the whole thread, gevent or not."""
    with open(f"{FOLDER}/door", "a") as door:
        fcntl.flock(door, fcntl.LOCK_SH)


def write(context: None, key: str, value: object, expire_on: object) -> None:
    note(f"wrote {key}={value}")


def open_cache() -> FastMmap:
    """Open the cache as the test wants it."""
    path = f"{FOLDER}/cache"
    if ROLE == "private":
        return FastMmap(cache_size="64k")
    options: dict[str, Any] = {"cache_size": "1m", "unlink_on_exit": False}
    if ROLE in ("write_back", "of_the_master"):
        options.update(write_action="write_back", write_cb=write)
    opened = FastMmap(path, **options)
    if ROLE == "write_back":
        atexit.register(opened.flush)
    return opened


cache = open_cache()
note(f"opened {cache.share_file}")


def meet() -> None:
    """Be one of the workers that meet at the door."""
    note("meets")
    wait_at_the_door()


def compute() -> str:
    note("computes")
    wait_at_the_door()
    return "computed"


async def compute_async() -> str:
    return await asyncio.to_thread(compute)


def once() -> object:
    note("asks")
    return cache.get_or_set("once", compute)


async def once_async() -> object:
    note("asks")
    return await cache.get_or_set("once", compute_async)


def hang() -> object:
    """Hang in the first computation of this key, and never again."""

    def never_ready() -> str:
        if cache.incr("hangs") == 1:
            note("hangs")
            wait_at_the_door()
        return "second"

    return cache.get_or_set("hung", never_ready)


def hold() -> None:
    """Hold the page of the key "held"."""
    with cache.lock("held") as item:
        item.value = "half"
        note("holds")
        wait_at_the_door()


def get(key: str) -> object:
    return cache.get(key)


def put(key: str, value: str) -> object:
    return cache.set(key, value)


def count() -> list[int]:
    """Count slowly, so that other workers count meanwhile."""
    numbers = []
    for _ in range(STEPS):
        numbers.append(cache.incr("count"))
        time.sleep(0.001)
    return numbers


ACTIONS: dict[str, Callable[..., Any]] = {
    action.__name__: action for action in (meet, once, hang, hold, get, put, count)
}


def act(path: str, actions: dict[str, Callable[..., Any]]) -> Any:
    """Do what a path says."""
    name, *arguments = path.strip("/").split("/")
    return actions[name](*arguments)


def told(result: object) -> bytes:
    return json.dumps([os.getpid(), result]).encode()


def wsgi(
    environ: dict[str, Any], start_response: Callable[..., object]
) -> Iterable[bytes]:
    """Answer a request under gunicorn or uWSGI."""
    body = told(act(environ["PATH_INFO"], ACTIONS))
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


application = wsgi  # uWSGI looks for this name


async def live(receive: Any, send: Any) -> None:
    """Begin and end with a worker; uvicorn's run no exit functions of Python."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    if ROLE == "write_back":
        cache.flush()
    await send({"type": "lifespan.shutdown.complete"})


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer a request under uvicorn."""
    if scope["type"] == "lifespan":
        return await live(receive, send)
    result = act(scope["path"], {**ACTIONS, "once": once_async})
    body = told(await result if inspect.isawaitable(result) else result)
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
