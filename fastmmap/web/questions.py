"""What the page asks to show: each question is answered in a moment."""

import math
from collections.abc import Callable
from typing import Any, Optional

from fastmmap import _core
from fastmmap.cli import records
from fastmmap.cli.opening import space_of
from fastmmap.cli.output import printable
from fastmmap.sync import naming
from fastmmap.web import show
from fastmmap.web.messages import Refused
from fastmmap.web.watched import Caches, Watched

Parameters = dict[str, list[str]]


def _one(given: Parameters, name: str) -> Optional[str]:
    return given[name][0] if given.get(name) else None


def _cache(caches: Caches, given: Parameters) -> Watched:
    return caches.get(_one(given, "cache") or "")


def _list(caches: Caches, given: Parameters) -> Any:
    return {"caches": caches.summaries()}


def _live(caches: Caches, given: Parameters) -> Any:
    since = float(_one(given, "since") or 0)
    if not math.isfinite(since):
        raise Refused(400, "since is not a time")
    return _cache(caches, given).live(since)


def _facts(caches: Caches, given: Parameters) -> Any:
    return _cache(caches, given).facts()


def _contents(caches: Caches, given: Parameters) -> Any:
    return _cache(caches, given).contents(given.get("namespace", []))


def _keys(caches: Caches, given: Parameters) -> Any:
    order = _one(given, "sort") or None
    if order is not None and order not in records.ORDERS:
        raise Refused(400, "there is no such order")
    text = _one(given, "text") or ""
    return _cache(caches, given).search(text, order, given.get("namespace", []))


def _value(caches: Caches, given: Parameters) -> Any:
    cache = _cache(caches, given).cache
    key = show.key_of(_one(given, "key"))
    found = space_of(cache, given.get("namespace", [])).get_entry(key)
    if found is None:
        raise Refused(404, "the value is gone")
    return show.entry(key, found)


def _lock(caches: Caches, given: Parameters) -> Any:
    """Tell who has a lock by name, and who computes the key of that name."""
    cache, names = _cache(caches, given).cache, given.get("namespace", [])
    name = _one(given, "lock") or ""
    space = space_of(cache, names)
    return {
        "name": printable(name),
        "lock": _holder(cache, naming.key_of("lock", name, *names)),
        "computing": _holder(space, name),
    }


def _holder(space: _core.Keyspace, key: Any) -> Optional[dict[str, Any]]:
    found = space._lease_peek(key)
    if found is None:
        return None
    return dict(zip(("pid", "since", "until"), found, strict=True))


#: By the end of their address.
QUESTIONS: dict[str, Callable[[Caches, Parameters], Any]] = {
    "caches": _list,
    "live": _live,
    "facts": _facts,
    "contents": _contents,
    "keys": _keys,
    "value": _value,
    "lock": _lock,
}
