"""Count in four processes at once, and lose nothing.

``incr`` is one atomic step inside the cache: no lock to take, no value to read
and write back.
"""

from __future__ import annotations

from multiprocessing import get_context

from fastmmap import FastMmap

PROCESSES = 4
STEPS = 1000


def count(cache: FastMmap) -> None:
    """Add STEPS to the common counter."""
    for _ in range(STEPS):
        cache.incr("visits")


def main() -> None:
    """Let all processes count, and print the sum."""
    context = get_context("spawn")
    with FastMmap(cache_size="1m") as cache:
        workers = [
            context.Process(target=count, args=(cache,)) for _ in range(PROCESSES)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        print("visits:", cache["visits"])


if __name__ == "__main__":
    main()
