"""A table that many tasks need: one process makes it, the others copy it out."""

from __future__ import annotations

from multiprocessing import Pool

import numpy as np
import pandas as pd

from fastmmap import FastMmap

cache: FastMmap


def begin(shared: FastMmap) -> None:
    """Let the tasks of a worker find the cache."""
    global cache
    cache = shared


def make_table(rows: int) -> pd.DataFrame:
    """Make a table, which takes long."""
    cache.incr("tables made")
    return pd.DataFrame({"day": np.arange(rows) % 7, "sold": np.arange(rows) // 7})


def sold_on(day: int) -> int:
    """Do a task: a third of a million rows, 5 MB, are there already, or made once."""
    table = cache.get_or_set("table", lambda: make_table(333_333))
    return int(table.loc[table["day"] == day, "sold"].sum())


def main() -> None:
    """Ask for each day in two workers."""
    with FastMmap(cache_size="32m") as shared:
        with Pool(2, begin, [shared]) as pool:
            print(pool.map(sold_on, range(3)))
        print(shared["tables made"], "table")


if __name__ == "__main__":
    main()
