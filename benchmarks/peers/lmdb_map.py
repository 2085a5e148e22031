"""lmdb: a transaction for each call, no sync. It keeps data and never evicts."""

from __future__ import annotations

import pickle
from importlib import import_module
from typing import Any

from . import Peer, Place, Store

NAME = "lmdb"


class Database:
    """An open database and the calls of a cache on it."""

    def __init__(self, path: str, size: int) -> None:
        lmdb = import_module("lmdb")
        options = {"map_size": size, "writemap": True, "sync": False}
        self.database = lmdb.open(path, metasync=False, max_readers=512, **options)

    def get(self, key: str) -> Any:
        with self.database.begin() as transaction:
            return transaction.get(key.encode())

    def set(self, key: str, value: bytes) -> None:
        with self.database.begin(write=True) as transaction:
            transaction.put(key.encode(), value)

    def get_object(self, key: str) -> Any:
        return pickle.loads(self.get(key))

    def set_object(self, key: str, value: Any) -> None:
        self.set(key, pickle.dumps(value, 5))

    def incr(self, key: str) -> None:
        name = key.encode()
        with self.database.begin(write=True) as transaction:
            transaction.put(name, b"%d" % (int(transaction.get(name, b"0")) + 1))

    def get_many(self, keys: list[str]) -> Any:
        with self.database.begin() as transaction, transaction.cursor() as cursor:
            return cursor.getmulti([key.encode() for key in keys])

    def set_many(self, items: dict[str, bytes]) -> None:
        with self.database.begin(write=True) as transaction:
            for key, value in items.items():
                transaction.put(key.encode(), value)


def open_store(place: Place, kind: str) -> Store:
    """Open a directory of the place, as large as will be needed."""
    base = Database(place.file(f"lmdb-{kind}"), max(4 * place.size, 1 << 28))
    if kind == "typed":
        return Store(base.get_object, base.set_object, close=base.database.close)
    many = (base.get_many, base.set_many)
    return Store(base.get, base.set, base.incr, *many, base.database.close)


def find(place: Place) -> Peer:
    """Return this peer; raises ImportError."""
    return Peer(NAME, import_module("lmdb").__version__, open_store, evicts=False)
