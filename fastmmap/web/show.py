"""Keys and values for the page: text that nothing obeys, never more than a screen."""

import json
from typing import Any, Optional

from fastmmap.cli import records
from fastmmap.cli.output import from_json_text, harmless, json_text, printable
from fastmmap.cli.records import Record
from fastmmap.cli.values import Stored
from fastmmap.types import Entry, Key

#: Characters of a key and of a value that are shown; keys that are longer have no
#: name in JSON, so that nothing can be done with them.
KEY_MAX, VALUE_MAX = 1000, 20_000


def record(found: Record) -> dict[str, Any]:
    """Return the properties of an entry."""
    told = records.as_json(found)
    key = found[records.KEY]
    return {
        **told,
        "key": json_text(key) if len(key) <= KEY_MAX else None,
        **_name(key),
    }


def _name(key: Key) -> dict[str, str]:
    return {"shown": printable(key[:KEY_MAX])}


def key_of(text: Optional[str]) -> Key:
    """Return the key that a page sent. Raises ValueError."""
    try:
        return from_json_text(json.loads(text or ""))
    except RecursionError:
        raise ValueError("that is nested too deep for a key") from None


def entry(key: Key, found: Entry) -> dict[str, Any]:
    """Return a value and the properties of its entry; nothing is unpickled."""
    kind, text = _text_of(found.value)
    return {
        "key": json_text(key),
        **_name(key),
        "kind": kind,
        "text": "\n".join(map(harmless, text[:VALUE_MAX].split("\n"))),
        "whole": len(text) <= VALUE_MAX,
        "size": found.size,
        "expire_on": found.expire_on,
        "stored_on": found.stored_on,
        "last_access": found.last_access,
        "dirty": found.dirty,
        "modseq": found.modseq,
    }


def _text_of(value: Any) -> tuple[str, str]:
    """Return of which kind a value is, and a text for it."""
    if isinstance(value, Stored):
        return _unread(value)
    if isinstance(value, str):
        return "text", value
    if isinstance(value, bytes):
        return f"{len(value)} bytes", repr(value[:VALUE_MAX])
    if isinstance(value, int) and value.bit_length() > 4096:
        return "int", hex(value)  # where decimal digits would take for ever
    return type(value).__name__, repr(value)


def _unread(value: Stored) -> tuple[str, str]:
    """Return what a serializer made: JSON is text, all else is not looked into."""
    if value.serializer != "json":
        return value.serializer, str(value)
    data = value.data
    text = data if isinstance(data, str) else data.decode("utf-8", "replace")
    return "json", _indented(text) if len(text) <= VALUE_MAX else text


def _indented(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
