"""Values to the server's bytes and back."""

import pickle
import re
from typing import Any, Optional

from fastmmap.serializers import CUSTOM, Serializer, resolve, serializer_named

#: What INCR makes and takes.
_INTEGER = re.compile(rb"-?(0|[1-9][0-9]{0,18})")
_INTEGERS = range(-(2**63), 2**63)


class Codec:
    """A serializer, and what counters look like.

    An int is a row of digits with "pickle", "json" and "raw": that is what the
    server can count with. The others write it in their own way.

    Args:
        serializer: As in `FastMmap`: a name, or a pair of functions.
    """

    def __init__(self, serializer: Any) -> None:
        found = resolve(serializer)
        self.counts = found.name in ("pickle", "json", "raw")
        self._is_raw = found.name == "raw"
        self._dumps = found.dumps or pickle.dumps
        self._loads = found.loads or pickle.loads

    def dumps(self, value: Any) -> bytes:
        """Return the bytes of a value. Raises what the serializer does."""
        if self.counts and type(value) is int and value in _INTEGERS:
            return b"%d" % value
        if self._is_raw:
            return _raw(value)
        data = self._dumps(value)
        return data.encode() if isinstance(data, str) else bytes(data)

    def loads(self, data: bytes) -> Any:
        """Return the value of such bytes. Raises what the serializer does."""
        if self._is_raw:
            return data
        if self.counts and _INTEGER.fullmatch(data):
            return int(data)
        return self._loads(data)


def _raw(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise TypeError(f'serializer "raw" takes bytes, str and int, not {type(value)!r}')


def codec_of(name: str, serializer: Optional[Any]) -> Codec:
    """Return the codec that was asked for, or that of a cache.

    Raises ValueError when the cache has functions of its user's.
    """
    if serializer is not None:
        return Codec(serializer)
    if name == CUSTOM:
        raise ValueError(
            "the cache has a serializer without a name: give RedisTier its own, "
            "serializer=(dumps, loads)"
        )
    known: Serializer = serializer_named(name)
    return Codec(known.name)
