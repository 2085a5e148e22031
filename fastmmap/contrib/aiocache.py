"""A cache for aiocache 0.12."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any, Optional

from fastmmap.contrib.requirement import require

require("aiocache", "0.12", extra="aiocache")

from aiocache.base import BaseCache
from aiocache.serializers import BaseSerializer, NullSerializer

from fastmmap import _core
from fastmmap.cache import Path
from fastmmap.contrib.absent import AbsentCache
from fastmmap.contrib.shared import (
    OpensAtFirstUse,
    clear_prefix,
    opening,
    store,
    store_many,
)
from fastmmap.errors import PageBusy
from fastmmap.types import KEEP, Lifetime, Store
from fastmmap.waiting import patiently

#: Says what aiocache does, if anybody wants to know.
_logger = logging.getLogger("aiocache.base")
_UNSEEN = object()
_Call = Callable[..., Awaitable[Any]]


def _lifetime(ttl: Optional[float]) -> Lifetime:
    """Return what `FastMmap` calls a ttl of aiocache.

    Nothing and 0 are for ever; what is negative has expired.
    """
    if not ttl:
        return "never"
    return "now" if ttl < 0 else ttl


class FastMmapCache(BaseCache):
    """A cache of aiocache on one shared cache file.

    No call leaves the thread of the event loop: each takes microseconds. While
    somebody else holds a page that it needs, the loop continues.
    Objects with the same path and options share one open `FastMmap`, which
    the first use opens and which stays open until the process ends; ``close()``
    does nothing.

    Args:
        share_file: Path of the file; ``None`` makes a private one, for this
            process and those that it forks.
        serializer: A serializer of aiocache, used before the one of the file.
            By default values go to the file as they are, and are pickled there.
        plugins, namespace, key_builder, timeout, ttl: As in aiocache.
        ignore_exceptions: While the file cannot be opened, all is missing, and an
            error is logged once a minute.
        options: Options of `FastMmap`. With ``server``, a URL of Redis or Valkey, the
            values are there, and the file keeps what this host reads; then options
            of `RedisTier` are taken, too. A thread asks the server.

    Raises:
        ValueError, TypeError, ImportError: As `FastMmap` does for its options.
            The first use raises what else it raises.
    """

    _cache = OpensAtFirstUse()

    NAME = "fastmmap"

    def __init__(
        self,
        share_file: Optional[Path] = None,
        *,
        serializer: Optional[BaseSerializer] = None,
        plugins: Any = None,
        namespace: Optional[str] = None,
        key_builder: Any = None,
        timeout: Optional[float] = 5,
        ttl: Optional[float] = None,
        ignore_exceptions: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(
            serializer=serializer or NullSerializer(),
            plugins=plugins,
            namespace=namespace,
            key_builder=key_builder,
            timeout=timeout,
            ttl=ttl,
        )
        self._opening = opening(
            share_file,
            namespace or "",
            ignore_exceptions=ignore_exceptions,
            **options,
        )
        self._asks: bool = self._opening.asks_a_server
        self._call: _Call = asyncio.to_thread if self._asks else patiently

    def __repr__(self) -> str:
        """Return the path."""
        return f"{type(self).__name__} ({self._opening.share_file})"

    async def get(
        self,
        key: Any,
        default: Any = None,
        loads_fn: Optional[Callable[[Any], Any]] = None,
        namespace: Optional[str] = None,
        _conn: Any = None,
        **timeout: Any,
    ) -> Any:
        """Return the value of a key, or the default; see aiocache.

        What can be seen at once needs no timer for it, and no task, which cost
        ten times as much.
        """
        stored: Any = _UNSEEN
        if self._is_plain():
            space = self.namespace if namespace is None else namespace
            made = self.build_key(key, namespace=space)
            look = self._look if self._asks else self._cache.get
            with suppress(PageBusy):
                stored = _core.attempt(0, look, made)
        if stored is not _UNSEEN:
            value = (loads_fn or self.serializer.loads)(stored)
            return default if value is None else value
        named = {"default": default, "loads_fn": loads_fn, "namespace": namespace}
        return await super().get(key, **named, _conn=_conn, **timeout)

    def _look(self, key: str) -> Any:
        """Return what this host has of a key; ``_UNSEEN`` for nothing."""
        cache: Any = self._cache
        if isinstance(cache, AbsentCache):
            return None
        return cache.at_once(key, _UNSEEN)

    def _is_plain(self) -> bool:
        """Tell whether aiocache itself does nothing at a get."""
        return not (
            self.plugins
            or os.getenv("AIOCACHE_DISABLE") == "1"
            or _logger.isEnabledFor(logging.DEBUG)
        )

    def _get(self, key: str, encoding: Any = None, _conn: Any = None) -> Awaitable[Any]:
        return self._call(self._cache.get, key)

    _gets = _get

    async def _multi_get(
        self, keys: list[str], encoding: Any = None, _conn: Any = None
    ) -> list[Any]:
        found = await self._call(self._cache.get_many, keys)
        return [found.get(key) for key in keys]

    async def _set(
        self,
        key: str,
        value: Any,
        ttl: Optional[float] = None,
        _cas_token: Any = None,
        _conn: Any = None,
    ) -> Any:
        if _cas_token is None:
            return await self._call(store, self._cache, key, value, _lifetime(ttl))
        new = Store(value, _lifetime(ttl))

        def changed(_: Any, current: Any, entry: Any) -> Any:
            return new if current == _cas_token else KEEP

        done = await self._call(self._cache.get_and_set, key, changed)
        return int(done.stored)

    async def _multi_set(
        self,
        pairs: Iterable[tuple[str, Any]],
        ttl: Optional[float] = None,
        _conn: Any = None,
    ) -> bool:
        mapping = dict(pairs)
        return not await self._call(store_many, self._cache, mapping, _lifetime(ttl))

    async def _add(
        self, key: str, value: Any, ttl: Optional[float] = None, _conn: Any = None
    ) -> bool:
        if not await self._call(self._cache.add, key, value, _lifetime(ttl)):
            raise ValueError(f"Key {key} already exists, or its value is too large")
        return True

    async def _exists(self, key: str, _conn: Any = None) -> bool:
        return bool(await self._call(self._cache.exists, key))

    async def _increment(self, key: str, delta: int, _conn: Any = None) -> int:
        def increased(_: Any, value: Any, entry: Any) -> int:
            try:
                return delta if entry is None else int(value) + delta
            except ValueError:
                raise TypeError(f"the value of key {key!r} is not an int") from None

        done = await self._call(self._cache.get_and_set, key, increased)
        return int(done.value)

    async def _expire(self, key: str, ttl: Optional[float], _conn: Any = None) -> bool:
        return bool(await self._call(self._cache.touch, key, _lifetime(ttl)))

    async def _delete(self, key: str, _conn: Any = None) -> int:
        return int(await self._call(self._cache.remove, key))

    async def _clear(self, namespace: Optional[str] = None, _conn: Any = None) -> bool:
        await self._call(clear_prefix, self._cache, namespace or "")
        return True

    async def _raw(
        self,
        command: str,
        *args: Any,
        encoding: Any = None,
        _conn: Any = None,
        **kwargs: Any,
    ) -> Any:
        return await self._call(getattr(self._cache, command), *args, **kwargs)

    async def _redlock_release(self, key: str, value: Any) -> int:
        return int(await self._call(self._remove_own, key, value))

    def _remove_own(self, key: str, value: Any) -> bool:
        gone = Store(value, "now")

        def removed(_: Any, current: Any, entry: Any) -> Any:
            return gone if entry is not None and current == value else KEEP

        return self._cache.get_and_set(key, removed).stored
