"""A pool whose workers share a cache, whatever the start method.

The initializer gives it to each worker once; tasks find it in a global. Passing it
as an argument of each task works, too: it is a path and a few options then.
"""

from __future__ import annotations

import time
from multiprocessing import get_context

from fastmmap import FastMmap

TEXTS = ["to be or not to be", "the cake is a lie", "to be", "not to be"]

cache: FastMmap


def begin(given: FastMmap) -> None:
    """Begin a worker."""
    global cache
    cache = given


def length(word: str) -> int:
    """Look a word up, which takes long; one worker does, once."""

    def look_up() -> int:
        cache.incr("looked up")
        time.sleep(0.01)
        return len(word)

    return cache.get_or_set(f"word:{word}", look_up)


def letters(text: str) -> int:
    """Do a task."""
    return sum(length(word) for word in text.split())


def main() -> None:
    """Count with pools of all kinds."""
    for method in ("fork", "spawn", "forkserver"):
        with FastMmap(cache_size="1m") as shared:
            # Workers that are replaced find what others have left.
            with get_context(method).Pool(2, begin, (shared,), 2) as pool:
                print(method, pool.map(letters, TEXTS, chunksize=1), end=", ")
            print(shared["looked up"], "words looked up")


if __name__ == "__main__":
    main()
