"""A cache for aiocache 0.12."""

from collections.abc import Iterable
from typing import Any, Optional

from fastmmap.contrib.requirement import require

require("aiocache", "0.12", extra="aiocache")

from aiocache.base import BaseCache
from aiocache.serializers import BaseSerializer, NullSerializer

from fastmmap.cache import Path
from fastmmap.contrib.shared import clear_prefix, shared_cache, store, store_many
from fastmmap.types import KEEP, Lifetime, Store


def _lifetime(ttl: Optional[float]) -> Lifetime:
    """Return what `FastMmap` calls a ttl of aiocache.

    Nothing and 0 are for ever; what is negative has expired.
    """
    if not ttl:
        return "never"
    return "now" if ttl < 0 else ttl


class FastMmapCache(BaseCache):
    """A cache of aiocache on one shared cache file.

    No call leaves the thread of the event loop: each takes microseconds.
    Objects with the same path and options share one open `FastMmap`, which
    stays open until the process ends; ``close()`` does nothing.

    Args:
        share_file: Path of the file; ``None`` makes a private one, for this
            process and those that it forks.
        serializer: A serializer of aiocache, used before the one of the file.
            By default values go to the file as they are, and are pickled there.
        plugins, namespace, key_builder, timeout, ttl: As in aiocache.
        options: Options of `FastMmap`.

    Raises:
        FormatError, OSError, ValueError, TypeError: As `FastMmap` does.
    """

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
        self._cache = shared_cache(share_file, **options)

    def __repr__(self) -> str:
        """Return the path."""
        return f"{type(self).__name__} ({self._cache.share_file})"

    async def _get(self, key: str, encoding: Any = None, _conn: Any = None) -> Any:
        return self._cache.get(key)

    async def _gets(self, key: str, encoding: Any = None, _conn: Any = None) -> Any:
        return self._cache.get(key)

    async def _multi_get(
        self, keys: list[str], encoding: Any = None, _conn: Any = None
    ) -> list[Any]:
        found = self._cache.get_many(keys)
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
            return store(self._cache, key, value, _lifetime(ttl))
        new = Store(value, _lifetime(ttl))

        def changed(_: Any, current: Any, entry: Any) -> Any:
            return new if current == _cas_token else KEEP

        return int(self._cache.get_and_set(key, changed).stored)

    async def _multi_set(
        self,
        pairs: Iterable[tuple[str, Any]],
        ttl: Optional[float] = None,
        _conn: Any = None,
    ) -> bool:
        return not store_many(self._cache, dict(pairs), _lifetime(ttl))

    async def _add(
        self, key: str, value: Any, ttl: Optional[float] = None, _conn: Any = None
    ) -> bool:
        if not self._cache.add(key, value, _lifetime(ttl)):
            raise ValueError(f"Key {key} already exists, or its value is too large")
        return True

    async def _exists(self, key: str, _conn: Any = None) -> bool:
        return self._cache.exists(key)

    async def _increment(self, key: str, delta: int, _conn: Any = None) -> int:
        def increased(_: Any, value: Any, entry: Any) -> int:
            try:
                return delta if entry is None else int(value) + delta
            except ValueError:
                raise TypeError(f"the value of key {key!r} is no int") from None

        return int(self._cache.get_and_set(key, increased).value)

    async def _expire(self, key: str, ttl: Optional[float], _conn: Any = None) -> bool:
        return self._cache.touch(key, _lifetime(ttl))

    async def _delete(self, key: str, _conn: Any = None) -> int:
        return int(self._cache.remove(key))

    async def _clear(self, namespace: Optional[str] = None, _conn: Any = None) -> bool:
        clear_prefix(self._cache, namespace or "")
        return True

    async def _raw(
        self,
        command: str,
        *args: Any,
        encoding: Any = None,
        _conn: Any = None,
        **kwargs: Any,
    ) -> Any:
        return getattr(self._cache, command)(*args, **kwargs)

    async def _redlock_release(self, key: str, value: Any) -> int:
        with self._cache.lock(key) as item:
            ours = item.exists and item.value == value
            if ours:
                item.remove()
        return int(ours)
