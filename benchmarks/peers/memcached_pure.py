"""memcached over a Unix socket, through pymemcache."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from . import Missing, Peer, Place, Store

NAME = "memcached, pymemcache"


def open_store(place: Place, kind: str) -> Store:
    """Connect to the place's server; objects go through pymemcache's pickles."""
    base = import_module("pymemcache.client.base")
    options: dict[str, Any] = {"default_noreply": False, "key_prefix": b"p-"}
    if kind == "typed":
        options["serde"] = import_module("pymemcache.serde").pickle_serde
    client: Any = base.Client("unix:" + place.memcached, **options)

    def increment(key: str) -> None:
        if client.incr(key, 1) is None:
            client.set(key, b"1")

    count = increment if kind == "raw" else None
    many = (client.get_many, client.set_many)
    return Store(client.get, client.set, count, *many, client.close)


def find(place: Place) -> Peer:
    """Return this peer; raises ImportError or Missing."""
    version: str = import_module("pymemcache").__version__
    if not place.memcached:
        raise Missing("apt-get install memcached")
    return Peer(NAME, version, open_store, largest=1_000_000)
