"""A simulation in parallel, whose tasks share what is expensive and the same."""

from __future__ import annotations

import time

from joblib import Parallel, delayed

from fastmmap import FastMmap


def table(cache: FastMmap, size: int) -> list[int]:
    """Make a table, which takes long; one worker does, once."""

    def make() -> list[int]:
        cache.incr("tables made")
        time.sleep(0.1)
        return [number * number for number in range(size)]

    return cache.get_or_set(f"table:{size}", make)


def simulate(cache: FastMmap, start: int) -> int:
    """Do a task."""
    cache.incr("tasks done")
    return sum(table(cache, 10)[start:])


def main() -> None:
    """Simulate in two workers."""
    with FastMmap(cache_size="1m") as cache:
        tasks = (delayed(simulate)(cache, start) for start in range(8))
        print(Parallel(n_jobs=2)(tasks))
        print(cache["tasks done"], "tasks,", cache["tables made"], "table")


if __name__ == "__main__":
    main()
