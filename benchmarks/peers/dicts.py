"""A dict: private to a process, hands out references, never evicts.

It holds pickles where the others hold copies of objects.
"""

from __future__ import annotations

import pickle
from typing import Any

from . import Missing, Peer, Place, Store

NAME = "dict"


def typed_store(data: dict[str, Any]) -> Store:
    """Return calls that pickle and unpickle."""
    loads, dumps = pickle.loads, pickle.dumps

    def get(key: str) -> Any:
        return loads(data[key])

    def store(key: str, value: Any) -> None:
        data[key] = dumps(value, 5)

    return Store(get, store)


def open_store(place: Place, kind: str) -> Store:
    """Return a new dict."""
    data: dict[str, Any] = {}

    def increment(key: str) -> None:
        data[key] = data.get(key, 0) + 1

    def get_many(keys: list[str]) -> dict[str, Any]:
        return {key: data[key] for key in keys if key in data}

    if kind == "typed":
        return typed_store(data)
    if kind != "raw":
        raise Missing(f"no {kind} values")
    return Store(data.get, data.__setitem__, increment, get_many, data.update)


def find(place: Place) -> Peer:
    """Return this peer."""
    return Peer(NAME, "", open_store, shared=False, evicts=False)
