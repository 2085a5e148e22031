"""Values as a command sees them: plain types as they are, all else unread."""

import base64
import json
import pickle
from collections.abc import Callable
from typing import Any, NamedTuple, Optional, Union

from fastmmap.cli.output import harmless, printable
from fastmmap.compressors import compressor_named
from fastmmap.serializers import dump_json, load_json, serializer_named

Function = Optional[Callable[..., Any]]
_PLAIN = (str, int, float, bool, type(None), list, dict)


class Stored(NamedTuple):
    """What a serializer made of a value, which was not read."""

    serializer: str
    data: Union[bytes, str]

    def __str__(self) -> str:
        """Return what it is, and its size."""
        return f"<{self.serializer}, {len(self.data)} bytes>"


def codec(serializer: str, decode: bool) -> tuple[Function, Function]:
    """Return the functions to give to a cache that was opened with a serializer.

    Without `decode` they run none but that of JSON: what they read is `Stored`.
    Raises ValueError when the file does not say how it is to be decoded.
    """
    if serializer == "raw":
        return None, None
    if serializer == "json":
        return _dumps(dump_json), load_json
    if not decode:
        return _dumps(_pickle if serializer == "pickle" else _refuse), (
            lambda data: Stored(serializer, data)
        )
    try:
        return serializer_named(serializer)[1:]
    except LookupError:
        raise ValueError(
            "the file's serializer is a pair of functions, known only to its "
            "application"
        ) from None


def unread(serializer: str) -> tuple[Function, Function]:
    """Return the functions that run no serializer at all: its values are `Stored`."""
    if serializer == "raw":
        return None, None
    return _refuse, lambda data: Stored(serializer, data)


def _dumps(dump: Callable[[Any], bytes]) -> Callable[[Any], Union[bytes, str]]:
    """Return a function that stores what was `Stored` as it is."""
    return lambda value: value.data if isinstance(value, Stored) else dump(value)


def _pickle(value: object) -> bytes:
    return pickle.dumps(value)


def _refuse(value: object) -> bytes:
    raise ValueError("only the application can store values with its serializer")


def packing(compressor: Optional[str]) -> tuple[Function, Function]:
    """Return the functions of a compressor; what they lack is said when it is used."""
    try:
        return compressor_named(compressor or "")[1:]
    except (LookupError, ImportError) as error:
        cause = error if isinstance(error, ImportError) else None

    def refuse(*_: object) -> bytes:
        raise ValueError(
            f"the file's compressor is {compressor!r}: {cause or 'not known here'}"
        )

    return refuse, refuse


def show(value: object) -> str:
    """Return a value on one line, whatever is in it."""
    if isinstance(value, Stored):
        return str(value)
    return printable(value) if isinstance(value, str) else harmless(repr(value))


def to_json(value: object) -> dict[str, Any]:
    """Return a value for JSON, and how it is encoded there."""
    if isinstance(value, bytes):
        return {"encoding": "base64", "value": base64.b64encode(value).decode()}
    if isinstance(value, Stored):
        data = value.data
        if isinstance(data, str):
            return {"encoding": f"{value.serializer} text", "value": data}
        text = base64.b64encode(data).decode()
        return {"encoding": value.serializer, "value": text}
    if type(value) in _PLAIN and _survives(value):
        return {"encoding": "json", "value": value}
    return {"encoding": "repr", "value": repr(value)}


def _survives(value: object) -> bool:
    """Tell whether JSON gives a value back as it is."""
    if not isinstance(value, (list, dict)):
        return True
    try:
        return bool(json.loads(json.dumps(value)) == value)
    except (TypeError, ValueError):
        return False


def from_json(record: dict[str, Any]) -> Any:
    """Return the value that `to_json` described. Raises ValueError, KeyError."""
    encoding, value = record["encoding"], record["value"]
    if encoding == "json":
        return value
    if encoding == "base64":
        return base64.b64decode(value, validate=True)
    if encoding == "repr":
        raise ValueError("a value that was only shown cannot be stored")
    serializer, _, text = encoding.partition(" ")
    data = value if text else base64.b64decode(value, validate=True)
    return Stored(serializer, data)
