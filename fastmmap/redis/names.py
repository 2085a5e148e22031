"""Keys: text in this host's cache, bytes on the server."""

import hashlib
import itertools
from collections.abc import Iterable
from typing import Any, Union

from fastmmap.types import Key


def text_of(key: Key) -> str:
    """Return a key as the cache has it.

    A key of the server has one form there, whether it is given as str or as bytes.
    Raises TypeError for other types.
    """
    if isinstance(key, str):
        return key
    if isinstance(key, bytes):
        return key.decode("utf-8", "surrogateescape")
    raise TypeError(f"a key must be str or bytes, not {type(key).__name__}")


def bytes_of(name: str) -> bytes:
    """Return what the server calls it. Raises UnicodeEncodeError for no Unicode."""
    return name.encode("utf-8", "surrogateescape")


def prefixes_of(prefixes: Union[str, Iterable[str]]) -> tuple[str, ...]:
    """Return prefixes in their order, each once.

    Raises ValueError for one that begins with another, which no server takes, or
    where there is none.
    """
    names = sorted({prefixes} if isinstance(prefixes, str) else set(prefixes))
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"a prefix must be str, not {type(name).__name__}")
    for one, next_one in itertools.pairwise(names):
        if next_one.startswith(one):
            raise ValueError(f"prefixes: {next_one!r} begins with {one!r}, another one")
    if not names:
        raise ValueError('prefixes: there is none; "" stands for all keys')
    return tuple(names)


def place_of(where: tuple[Any, ...], prefixes: tuple[str, ...]) -> str:
    """Return the name of the part of the cache that is for this server and prefixes.

    Who listens to other prefixes, another server or database has another part.

    Args:
        where: The server, by `fastmmap.redis.client.place_in`.
        prefixes: Of keys.
    """
    text = repr((*where, prefixes))
    return (
        "fastmmap.redis#" + hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    )
