"""Values to bytes and back, by the name that a cache file records.

"pickle" and "raw" are done in C; the others are two functions.
"""

import json
import pickle
from collections.abc import Callable
from typing import Any, NamedTuple, Optional, Union

Dumps = Callable[[Any], Union[bytes, bytearray, memoryview, str]]
Loads = Callable[[Any], Any]

BUILT_IN = ("pickle", "raw", "json", "msgpack")
#: Those whose values may be read from a file that strangers can write.
SAFE = ("raw", "json", "msgpack")
CUSTOM = "custom"


class Serializer(NamedTuple):
    """A name and its functions; ``None`` where the C code needs none."""

    name: str
    dumps: Optional[Dumps] = None
    loads: Optional[Loads] = None


_encode_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def dump_json(value: object) -> bytes:
    """Return `value` as compact JSON in UTF-8."""
    return _encode_json(value).encode("utf-8", "surrogatepass")


def load_json(data: bytes) -> Any:
    """Return the value of a JSON text in UTF-8."""
    return json.loads(data.decode("utf-8", "surrogatepass"))


def _msgpack() -> Serializer:
    try:
        import msgpack
    except ImportError as error:
        raise ImportError(
            'serializer="msgpack" needs the package "msgpack": '
            "pip install fastmmap[msgpack]"
        ) from error

    def load_msgpack(data: bytes) -> Any:
        return msgpack.unpackb(data, strict_map_key=False)

    return Serializer("msgpack", msgpack.packb, load_msgpack)


def load_joined(data: bytes, buffers: list[Any]) -> Any:
    """Return the object of a pickle whose buffers are beside it."""
    return pickle.loads(data, buffers=buffers)


class _Joined:
    """What pickles as a call of `load_joined`."""

    def __init__(self, data: bytes, buffers: list[bytearray]) -> None:
        self.parts = data, buffers

    def __reduce__(self) -> tuple[Any, ...]:
        return load_joined, self.parts


def join_pickle(data: memoryview, buffers: list[memoryview]) -> bytes:
    """Return one pickle of a pickle and the buffers beside it."""
    return pickle.dumps(_Joined(bytes(data), [*map(bytearray, buffers)]), 5)


def serializer_named(name: str) -> Serializer:
    """Return the serializer that a file records as `name`.

    Raises LookupError for a name that is none of ours, ImportError when its
    package is missing.
    """
    if name in ("pickle", "raw"):
        return Serializer(name)
    if name == "json":
        return Serializer("json", dump_json, load_json)
    if name == "msgpack":
        return _msgpack()
    raise LookupError(name)


def resolve(value: object) -> Serializer:
    """Turn the option ``serializer`` into functions.

    Accepts a name, ``""`` or ``None`` for raw, or a pair ``(dumps, loads)``.
    Raises ValueError for anything else.
    """
    if value is None or value == "":
        return Serializer("raw")
    if isinstance(value, str) and value in BUILT_IN:
        return serializer_named(str(value))
    if isinstance(value, (tuple, list)) and len(value) == 2:
        dumps, loads = value
        if callable(dumps) and callable(loads):
            return Serializer(CUSTOM, dumps, loads)
    raise ValueError(
        f"serializer is {value!r}: expected one of {', '.join(map(repr, BUILT_IN))}, "
        "None, or a pair of functions (dumps, loads)"
    )


def dump_int(value: int) -> bytes:
    """Return `value`, of any size, as little-endian two's complement."""
    return value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)


def load_int(data: bytes) -> int:
    """Return the int that `dump_int` made `data` of."""
    return int.from_bytes(data, "little", signed=True)
