"""Opening a cache file for a command: never made, never replaced, nothing unpickled."""

import ast
import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Union

from fastmmap import _core
from fastmmap.cache import default_options
from fastmmap.cli import values
from fastmmap.errors import FormatError
from fastmmap.options import use_options
from fastmmap.types import Key

#: A page that is held for longer makes a command fail.
PATIENCE = 5.0


@contextmanager
def opened(
    path: str, *, change: bool = False, decode: bool = False
) -> Iterator[_core.Cache]:
    """Open a file that is there, and close it.

    Args:
        path: That of the file, whoever it belongs to.
        change: Whether it is to be changed. If not, not even a file that was left
            by a killed process is put in order.
        decode: Whether its serializer may be run: a file that strangers can write
            is refused then.

    Raises:
        FormatError: It is not a complete cache file.
        OSError: There is none, or it cannot be opened.
    """
    _refuse_empty(path)
    cache = _open(
        path,
        must_exist=True,
        allow_shared=not decode,
        sigbus_guard=True,
        inspect=not change,
    )
    try:
        _configure(cache, decode)
        yield cache
    finally:
        cache.close()


def open_to_look(path: str) -> _core.Cache:
    """Open a file that is there to look at it, and nothing else.

    It is mapped without the right to write: no page of it is ever taken, and nobody
    sees this process among those who have it open. What a serializer made is not
    read. Closing it is the caller's.

    Raises:
        FormatError: It is not a complete cache file.
        OSError: There is none, or it cannot be opened.
    """
    _refuse_empty(path)
    cache = _core.Cache(
        path,
        must_exist=True,
        allow_shared=True,
        sigbus_guard=True,
        inspect=True,
        read_only=True,
    )
    use = use_options({**default_options(), "lock_timeout": PATIENCE})
    codec = values.unread(cache.serializer)
    cache._configure(*codec, *values.packing(cache.compressor), **use)
    return cache


def _refuse_empty(path: str) -> None:
    if os.path.getsize(path) == 0:  # which would become a new cache
        raise FormatError(f"{path}: the file is empty: it is not a cache")


def _open(path: str, **options: Any) -> _core.Cache:
    """Open a file; one that may be inspected and not be written, to read it."""
    try:
        return _core.Cache(path, **options)
    except OSError as error:
        if not options["inspect"] or error.errno not in (errno.EACCES, errno.EROFS):
            raise
    return _core.Cache(path, read_only=True, **options)


def _configure(cache: _core.Cache, decode: bool) -> None:
    use = use_options({**default_options(), "lock_timeout": PATIENCE})
    codec = values.codec(cache.serializer, decode)
    cache._configure(*codec, *values.packing(cache.compressor), **use)


def space_of(cache: _core.Cache, names: Sequence[str]) -> _core.Keyspace:
    """Return a namespace of a cache, or the cache where no name was given."""
    space: _core.Keyspace = cache
    for name in names:
        space = _core.Keyspace(space, name)
    return space


def key_of(text: str, escaped: bool) -> Key:
    """Return the key that an argument names.

    With `escaped` it is read as `output.printable` wrote it. Raises ValueError.
    """
    if not escaped:
        return text
    if text.startswith(("b'", 'b"')):
        return _literal(text)
    return text.encode("latin-1", "backslashreplace").decode("unicode_escape")


def _literal(text: str) -> Key:
    try:
        value: Union[Key, object] = ast.literal_eval(text)
    except SyntaxError:
        value = None
    if not isinstance(value, bytes):
        raise ValueError(f"{text!r} is not a bytes literal of Python")
    return value
