"""A backend for requests-cache."""

from collections.abc import Iterable, Iterator, MutableMapping
from typing import Any, Optional, Union

from fastmmap.contrib.requirement import require

require("requests-cache", "1.3", extra="requests-cache")

from requests_cache.backends import BaseCache, BaseStorage
from requests_cache.serializers import pickle_serializer

from fastmmap.cache import FastMmap, Path
from fastmmap.contrib.shared import Opening, OpensAtFirstUse, clear_prefix, store
from fastmmap.single_flight import ABSENT


class FastMmapStorage(BaseStorage, MutableMapping[str, Any]):
    """A mapping of requests-cache: the keys of a file that have a prefix.

    The cache may be one that the first use opens.
    """

    _cache = OpensAtFirstUse()

    def __init__(
        self,
        cache: Union[FastMmap, Opening],
        prefix: str,
        keep_time: float,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._prefix, self._keep_time = prefix, keep_time
        if isinstance(cache, Opening):
            self._opening = cache
        else:
            self._cache = cache

    def __getitem__(self, key: str) -> Any:
        """Return a value; KeyError when there is none."""
        found = self._cache._find(self._prefix + key, ABSENT)
        if found is ABSENT:
            raise KeyError(key)
        return self.deserialize(key, found)

    def __setitem__(self, key: str, value: Any) -> None:
        """Store a value; one that does not fit is logged, and the key is free."""
        left = getattr(value, "expires_delta", None)  # seconds; it may be negative
        lifetime = "never" if left is None else max(0, left) + self._keep_time
        store(self._cache, self._prefix + key, self.serialize(value), lifetime)

    def __delitem__(self, key: str) -> None:
        """Remove a key; KeyError when it is not there."""
        if not self._cache.remove(self._prefix + key):
            raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        """Tell whether a key is there."""
        return isinstance(key, str) and self._cache.exists(self._prefix + key)

    def __iter__(self) -> Iterator[str]:
        """Yield the keys, one page after the other."""
        for key in self._cache:
            if isinstance(key, str) and key.startswith(self._prefix):
                yield key[len(self._prefix) :]

    def __len__(self) -> int:
        """Count the keys, by looking at all of the file."""
        return sum(1 for _ in self)

    def bulk_delete(self, keys: Iterable[str]) -> None:
        """Remove several keys."""
        self._cache.delete_many(self._prefix + key for key in keys)

    def clear(self) -> None:
        """Remove all keys with the prefix."""
        clear_prefix(self._cache, self._prefix)


class FastMmapCache(BaseCache):
    """Responses and redirects in one shared cache file.

    Objects with the same path and options share one open `FastMmap`, which
    the first use opens and which stays open until the process ends.

    Args:
        share_file: Path of the file; ``None`` makes a private one, for this
            process and those that it forks.
        keep_time: Seconds for which a response that has expired is kept, to be
            revalidated or used when the server fails.
        serializer: A serializer of requests-cache, or its name.
        decode_content: As in requests-cache.
        ignore_exceptions: While the file cannot be opened, all is missing, and an
            error is logged once a minute.
        options: Options of `FastMmap`; ``serializer`` of the file stays pickle.

    Raises:
        ValueError, TypeError, ImportError: As `FastMmap` does for its options.
            The first use raises what else it raises.
    """

    def __init__(
        self,
        share_file: Optional[Path] = None,
        *,
        keep_time: float = 3600,
        serializer: Any = None,
        decode_content: bool = False,
        ignore_exceptions: bool = False,
        **options: Any,
    ) -> None:
        super().__init__()
        opening = Opening(share_file, ignore_exceptions=ignore_exceptions, **options)
        self.responses = FastMmapStorage(
            opening,
            "response:",
            keep_time,
            serializer=serializer or pickle_serializer,
            decode_content=decode_content,
        )
        self.redirects = FastMmapStorage(opening, "redirect:", keep_time)
