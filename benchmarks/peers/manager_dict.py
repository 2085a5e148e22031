"""multiprocessing.Manager().dict(): a dict in a process that serves it."""

from __future__ import annotations

import platform
from multiprocessing.managers import BaseManager, DictProxy
from typing import Any

from . import Missing, Peer, Place, Store

NAME = "Manager().dict()"
KEY = b"benchmark"


class Manager(BaseManager):
    """A manager with one dict, which whoever connects gets."""


_data: dict[str, Any] = {}


def shared_dict() -> dict[str, Any]:
    """Return the one dict; runs in the manager's process."""
    return _data


Manager.register("shared", callable=shared_dict, proxytype=DictProxy)


def open_store(place: Place, kind: str) -> Store:
    """Connect to the place's manager."""
    manager = Manager(address=place.manager, authkey=KEY)
    manager.connect()
    data: Any = manager.shared()  # type: ignore[attr-defined]  # made by register()
    return Store(data.get, data.__setitem__, set_many=data.update)


def find(place: Place) -> Peer:
    """Return this peer."""
    if not place.manager:
        raise Missing("its process was not started")
    return Peer(NAME, platform.python_version(), open_store, evicts=False)
