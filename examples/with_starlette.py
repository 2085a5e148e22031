"""A Starlette application whose workers share one cache.

The dependency is five lines: the cache is opened when a worker starts, closed
when it stops, and found in the application's state.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from fastmmap import FastMmap

FOLDER = tempfile.TemporaryDirectory()  # /dev/shm is a good place


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, FastMmap]]:
    """Open the cache for as long as this worker runs."""
    path = f"{FOLDER.name}/app.cache"
    with FastMmap(path, cache_size="16m") as cache:
        yield {"cache": cache}


async def visit(request: Request) -> PlainTextResponse:
    """Count the visits of all workers."""
    visits = request.state.cache.incr("visits")
    return PlainTextResponse(f"visit {visits}")


async def report(request: Request) -> PlainTextResponse:
    """Make a page that takes long, once for all workers."""

    async def make() -> str:
        print("making the report")
        return "the report"

    text = await request.state.cache.get_or_set("report", make, expire_time="1m")
    return PlainTextResponse(text)


app = Starlette(
    routes=[Route("/visit", visit), Route("/report", report)], lifespan=lifespan
)


def main() -> None:
    """Visit two workers, one after the other."""
    for _ in range(2):
        with TestClient(app) as worker:
            print(worker.get("/visit").text)
            print(worker.get("/report").text)


if __name__ == "__main__":
    with FOLDER:
        main()
