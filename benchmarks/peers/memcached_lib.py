"""memcached over a Unix socket, through pylibmc (in C)."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from . import Missing, Peer, Place, Store

NAME = "memcached, pylibmc"


def open_store(place: Place, kind: str) -> Store:
    """Connect to the place's server; pylibmc pickles what is no bytes."""
    pylibmc = import_module("pylibmc")
    client: Any = pylibmc.Client([place.memcached], binary=False)

    def increment(key: str) -> None:
        try:
            client.incr(key)
        except pylibmc.NotFound:
            client.set(key, 1)

    count = increment if kind == "raw" else None
    many = (client.get_multi, client.set_multi)
    return Store(client.get, client.set, count, *many, client.disconnect_all)


def find(place: Place) -> Peer:
    """Return this peer; raises ImportError or Missing."""
    version: str = import_module("pylibmc").__version__
    if not place.memcached:
        raise Missing("apt-get install memcached")
    return Peer(NAME, version, open_store, largest=1_000_000)
