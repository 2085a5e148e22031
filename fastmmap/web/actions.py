"""What the page may change, where it may."""

import json
from collections.abc import Callable
from typing import Any

from fastmmap.cli.opening import opened, space_of
from fastmmap.cli.output import from_json_text
from fastmmap.types import Key
from fastmmap.web.messages import Refused

_Said = dict[str, Any]


def _names(said: _Said) -> list[str]:
    names = said.get("namespace", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Refused(400, "a namespace is a list of names")
    return names


def _key(said: _Said) -> Key:
    try:
        return from_json_text(said.get("key"))
    except ValueError as error:
        raise Refused(400, f"no key: {error}") from None


def _delete(path: str, said: _Said) -> bool:
    key, names = _key(said), _names(said)
    with opened(path, change=True) as cache:
        return space_of(cache, names).remove(key)


def _clear(path: str, said: _Said) -> bool:
    with opened(path, change=True) as cache:
        cache.clear()
    return True


def _purge(path: str, said: _Said) -> bool:
    with opened(path, change=True) as cache:
        return cache.purge() > 0


def _clear_namespace(path: str, said: _Said) -> bool:
    names = _names(said)
    if not names:
        raise Refused(400, "no namespace is named")
    with opened(path, change=True) as cache:
        space_of(cache, names).clear()
    return True


def _invalidate_tag(path: str, said: _Said) -> bool:
    tag, names = said.get("tag"), _names(said)
    if not isinstance(tag, str) or not tag:
        raise Refused(400, "no tag is named")
    with opened(path, change=True) as cache:
        return space_of(cache, names).invalidate_tag(tag)


#: By the end of their address. Each opens the file for itself and returns whether
#: there was anything to do.
ACTIONS: dict[str, Callable[[str, _Said], bool]] = {
    "delete": _delete,
    "clear": _clear,
    "purge": _purge,
    "clear-namespace": _clear_namespace,
    "invalidate-tag": _invalidate_tag,
}


def said(body: bytes) -> _Said:
    """Return what a request asks for. Raises Refused."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refused(400, "the action must be a JSON object")
    return found
