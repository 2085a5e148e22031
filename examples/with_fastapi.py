"""A FastAPI application of several workers that compute once and limit together.

Each worker opens the same file. However many requests arrive at once, the database
is asked once; the others wait without blocking their event loop.
"""

from __future__ import annotations

import asyncio
import tempfile
from multiprocessing import get_context

import httpx
from fastapi import FastAPI, HTTPException

from fastmmap import FastMmap
from fastmmap.sync import Counter, RateLimiter

WORKERS = 2
REQUESTS = 60


def make_app(path: str) -> FastAPI:
    """Make the application, as each worker does; the path may be a setting."""
    app = FastAPI()
    cache = FastMmap(path, cache_size="16m")
    limiter = RateLimiter(cache, "reports", 100, "1h")
    queries = Counter(cache, "queries")

    @cache.memoize("10m", stale="1m", name="sales")
    async def sales(year: int) -> int:
        queries.add()
        await asyncio.sleep(0.3)  # the database
        return year * 7

    @app.get("/sales/{year}")
    async def show_sales(year: int) -> dict[str, int]:
        if not limiter.take():
            raise HTTPException(429)
        return {"sales": await sales(year), "queries": queries.value()}

    return app


async def ask(path: str) -> list[str]:
    """Ask one worker many times at once."""
    transport = httpx.ASGITransport(make_app(path))
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        asked = (client.get("/sales/2024") for _ in range(REQUESTS))
        return [
            f"{each.status_code} {each.text}" for each in await asyncio.gather(*asked)
        ]


def work(path: str) -> list[str]:
    """Be one worker, such as ``uvicorn --workers 2`` starts."""
    return asyncio.run(ask(path))


def main() -> None:
    """Ask all workers at once, and count the answers."""
    with tempfile.TemporaryDirectory() as folder:  # /dev/shm is a good place
        with get_context("spawn").Pool(WORKERS) as pool:
            paths = [f"{folder}/app.cache"] * WORKERS
            parts = pool.map(work, paths, chunksize=1)
    answers = [answer for part in parts for answer in part]
    for answer in sorted(set(answers)):
        print(answers.count(answer), "x", answer)


if __name__ == "__main__":
    main()
