"""Redis over a Unix socket, through redis-py."""

from __future__ import annotations

import pickle
from importlib import import_module
from typing import Any

from . import Missing, Peer, Place, Store

NAME = "Redis"


def open_store(place: Place, kind: str) -> Store:
    """Connect to the place's server."""
    client: Any = import_module("redis").Redis(unix_socket_path=place.redis)
    if kind == "typed":
        return Store(
            get=lambda key: pickle.loads(client.get(key)),
            set=lambda key, value: client.set(key, pickle.dumps(value, 5)),
            close=client.close,
        )
    many = (client.mget, client.mset)
    return Store(client.get, client.set, client.incr, *many, client.close)


def find(place: Place) -> Peer:
    """Return this peer; raises ImportError or Missing."""
    redis = import_module("redis")
    if not place.redis:
        raise Missing("apt-get install redis-server")
    info = redis.Redis(unix_socket_path=place.redis).info("server")
    version = f"{info['redis_version']} (redis-py {redis.__version__})"
    return Peer(NAME, version, open_store)
