"""An async web handler, without the web: many requests, one query.

As in FastAPI or Starlette: a handler awaits a memoized query. However many
requests come at once, in however many workers, the database is asked once; the
others wait without blocking their event loop. ``stale`` spares them even that.
"""

from __future__ import annotations

import asyncio
from multiprocessing import get_context

from fastmmap import FastMmap

WORKERS = 3
REQUESTS = 100


async def serve(cache: FastMmap) -> int:
    """Answer many requests at once; return how many queries that took here."""
    queries = 0

    @cache.memoize("1m", stale="10s", name="top_products")
    async def top_products(category: str) -> list[str]:
        nonlocal queries
        queries += 1
        await asyncio.sleep(0.2)  # the database
        return [f"{category} {number}" for number in range(3)]

    async def handler(category: str) -> dict[str, list[str]]:
        return {"products": await top_products(category)}

    answers = await asyncio.gather(*(handler("tea") for _ in range(REQUESTS)))
    assert all(answer["products"][0] == "tea 0" for answer in answers)
    return queries


def work(cache: FastMmap) -> int:
    """Be one worker process."""
    return asyncio.run(serve(cache))


def main() -> None:
    """Serve in several workers, and count the queries."""
    with FastMmap(cache_size="1m") as cache:
        with get_context("spawn").Pool(WORKERS) as pool:
            queries = pool.map(work, [cache] * WORKERS, chunksize=1)
    print("requests:", WORKERS * REQUESTS)
    print("queries:", sum(queries))


if __name__ == "__main__":
    main()
