"""What the fixtures of the pytest plugin do; the plugin is `pytest_fastmmap`."""

import hashlib
import os
import pickle
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Optional, TypeVar

import pytest

from fastmmap.cache import FastMmap
from fastmmap.options import Size
from fastmmap.sync import Lock

_Value = TypeVar("_Value")

#: The file of `shared_cache`, in the directory of the run.
_SHARED = "shared.cache"
#: What a test may end with beside an error. None of them pickles.
_ENDS = {getattr(pytest, end).Exception: end for end in ("skip", "fail", "xfail")}


def _own(directory: str) -> str:
    """Make the directory of the run; whoever needs it first does."""
    os.makedirs(directory, 0o700, exist_ok=True)
    return directory


def open_shared(directory: str, size: Size) -> FastMmap:
    """Open the cache of the run, which whoever is first creates."""
    path = os.path.join(_own(directory), _SHARED)
    return FastMmap(path, cache_size=size)


def report(directory: str) -> Iterator[str]:
    """Yield lines about the use of the cache of the run, by all workers together."""
    path = os.path.join(directory, _SHARED)
    if not os.path.exists(path):
        yield "shared_cache was not used"
        return
    with FastMmap(path, read_only=True) as cache:
        stats = cache.stats()
    share = f"{100 * stats.hit_ratio:.0f} %" if stats.reads else "none"
    yield f"shared_cache: {stats.reads} reads, {stats.hits} hits ({share})"
    kept = f"{stats.entries} there, {stats.evictions} evicted"
    yield f"{stats.stores} values stored, {kept}"
    yield f"{stats.bytes_live} of {stats.bytes_total} bytes in use"
    yield from stats.advice


class FactoryError(Exception):
    """Where a factory failed, in another worker maybe: its traceback, as text."""

    def __str__(self) -> str:
        """Return the traceback on separate lines."""
        return f"\n{self.args[0]}"


class _Outcome(NamedTuple):
    """What became of a factory: a value, an error, or one of `_ENDS`.

    ``where`` is the traceback of an error, or the reason of an end.
    """

    value: Any = None
    error: Optional[Exception] = None
    end: str = ""
    where: str = ""

    def result(self) -> Any:
        """Return the value, raise the error, or end the test."""
        if self.end:
            getattr(pytest, self.end)(self.where)
        if self.error is not None:
            raise self.error from FactoryError(self.where)
        return self.value


def _dump_error(error: Exception) -> bytes:
    """Return a failure as bytes; an error that does not pickle is told in words."""
    where = "".join(traceback.format_exception(error))
    try:
        data = pickle.dumps(_Outcome(error=error, where=where))
        pickle.loads(data)
    except Exception:
        told = RuntimeError(f"{type(error).__name__}: {error}")
        return pickle.dumps(_Outcome(error=told, where=where))
    return data


def _run(key: str, factory: Callable[[], Any]) -> bytes:
    """Call a factory; return what became of it as bytes."""
    try:
        value = factory()
    except tuple(_ENDS) as end:
        return pickle.dumps(_Outcome(end=_ENDS[type(end)], where=str(end)))
    except Exception as error:
        return _dump_error(error)
    try:
        return pickle.dumps(_Outcome(value))
    except Exception as error:
        text = f"the result of the factory of {key!r} does not pickle: {error}"
        return _dump_error(TypeError(text))


class Once:
    """Values that are made once in a run of pytest, for all workers of xdist.

    They are files in a directory of the run, not entries of a cache: none may
    be evicted, and none is too large.

    Args:
        directory: Where they are; removed at the end of the run.
    """

    def __init__(self, directory: str) -> None:
        self._directory = _own(directory)
        self._making: set[tuple[int, str]] = set()
        self._locks = FastMmap(
            os.path.join(directory, "locks"),
            cache_size="256k",
            allow_network_fs=True,  # all workers are on this host
        )

    def close(self) -> None:
        """Close the file of the locks."""
        self._locks.close()

    def __call__(self, key: str, factory: Callable[[], _Value]) -> _Value:
        """Return what ``factory()`` made; the first who asks for the key calls it.

        The others wait. If its worker dies, another calls its own factory.
        Each call returns a separate copy, by pickle.

        Args:
            key: The name of the value, for all workers.
            factory: Makes it, in one of them.

        Returns:
            The value.

        Raises:
            TypeError: The key is not a str, or the value does not pickle.
            RuntimeError: The factory asks for its own key.
            Whatever the factory raised: in every worker that asks, a skip too.
        """
        if not isinstance(key, str):
            raise TypeError(f"the key of once() must be str, not {type(key).__name__}")
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        path = os.path.join(self._directory, digest)
        if not os.path.exists(path):
            self._make(key, factory, path)
        with open(path, "rb") as file:
            outcome: _Outcome = pickle.load(file)
        result: _Value = outcome.result()
        return result

    def _make(self, key: str, factory: Callable[[], Any], path: str) -> None:
        """Write the file of a key, unless another does meanwhile."""
        me = (threading.get_ident(), key)
        if me in self._making:
            raise RuntimeError(f"the factory of {key!r} asks for {key!r} itself")
        with Lock(self._locks, key):
            if os.path.exists(path):
                return
            self._making.add(me)
            try:
                data = _run(key, factory)
            finally:
                self._making.discard(me)
            with open(path + ".new", "wb") as file:
                file.write(data)
            os.replace(path + ".new", path)
