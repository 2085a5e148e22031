"""The processes that have a cache open, and what they do, from the table in the file.

It counts the operations of each client since it opened the file. Reading it takes no
lock.
"""

import os
import time
from collections.abc import Sequence

from fastmmap import _core
from fastmmap.cli.output import age_text, percent_text, printable
from fastmmap.types import Client

#: What of a client is counted, in the order in which it is shown.
COUNTED = ("reads", "hits", "stores", "waits")
HEAD = ("PID", "AGE", "GETS", "HITS", "SETS", "WAITS", "COMMAND")


def clients_of(cache: _core.Cache) -> list[Client]:
    """Return all clients of a cache, this program aside."""
    found = map(Client._make, cache._clients())
    return [client for client in found if client.pid != os.getpid()]


def counts_of(client: Client) -> tuple[int, ...]:
    """Return the counts of a client, in the order of `COUNTED`."""
    return client.reads, client.hits, client.stores, client.waits


def row(client: Client, counts: Sequence[float]) -> tuple[str, ...]:
    """Return a line about a client: `counts` since it came, or a second."""
    gets, hits, sets, waits = counts
    return (
        str(client.pid),
        age_text(time.time() - client.since),
        f"{gets:.0f}",
        percent_text(hits, gets),
        f"{sets:.0f}",
        f"{waits:.0f}",
        printable(client.command),
    )


def by_process(clients: Sequence[Client]) -> dict[int, tuple[int, ...]]:
    """Return the counts of each process; one may have a file open twice."""
    sums: dict[int, tuple[int, ...]] = {}
    for client in clients:
        counts = counts_of(client)
        before = sums.get(client.pid, (0,) * len(counts))
        sums[client.pid] = tuple(map(sum, zip(before, counts, strict=True)))
    return sums
