"""A server behind a cache: what adapters open when ``server`` is among their options.

`TierCache` has the methods of a `FastMmap` that adapters call. So one adapter does for
both: with a server, each value comes from there, and is kept in the file of the host.
"""

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from fastmmap.cache import FastMmap
from fastmmap.contrib.absent import AbsentCache
from fastmmap.contrib.shared import Opening
from fastmmap.redis import commands
from fastmmap.redis.names import bytes_of, text_of
from fastmmap.redis.pulse import moment
from fastmmap.redis.tier import RedisTier
from fastmmap.single_flight import ABSENT
from fastmmap.types import KEEP, GetAndSetResult, Key, Lifetime, Store

#: Keys that are removed in one round trip.
_BATCH: Final = 1000
#: What a pattern of the server gives a meaning to.
_SPECIAL: Final = str.maketrans({letter: f"\\{letter}" for letter in "\\*?["})

#: The tiers of this process: the cache, what else was asked for, and the tier.
_opened: list[tuple[FastMmap, Any, RedisTier]] = []
_lock = threading.Lock()


def _renew_lock() -> None:
    """Let no child wait for a thread that it has not got."""
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


class ServerOnly(RedisTier):
    """A tier while the file is of a newer version: it asks the server for all.

    A tier needs a cache to compute values once: this has a small private one, for
    which nobody listens, so that no value of it is believed.
    """


def tier_for(
    cache: FastMmap,
    server: Any,
    options: Mapping[str, Any],
    kind: type[RedisTier] = RedisTier,
) -> RedisTier:
    """Return this process's tier for a cache, a server and options of `RedisTier`."""
    wanted = (server, dict(options))
    with _lock:
        _opened[:] = [known for known in _opened if not known[0].closed]
        for known, of_it, tier in _opened:
            if known is cache and of_it == wanted:
                return tier
        tier = kind(cache, server, **options)
        _opened.append((cache, wanted, tier))
        return tier


class TierCache(FastMmap):
    """A `RedisTier` with the methods of a cache; others are a ``ClosedError``.

    A value that cannot be read is logged, and missing.

    Args:
        tier: The tier.
        file: The cache of this host that it uses.
    """

    def __init__(self, tier: RedisTier, file: FastMmap) -> None:
        self.tier, self.file = tier, file

    @property
    def share_file(self) -> str:
        """Path of the file of this host."""
        return self.file.share_file

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self.file.closed

    def get(self, key: Key, default: Any = None, **terms: Any) -> Any:
        """Return the value of a key, or the default."""
        value = self.tier._seek(text_of(key))
        return default if value is ABSENT else value

    _find = get

    def at_once(self, key: Key, unknown: Any) -> Any:
        """Return what this host knows of a key, ``None`` for no value.

        ``unknown`` when the server would have to be asked.
        """
        until = self.tier._until  # as in RedisTier.get()
        value = self.tier._find_readable(text_of(key))
        return value if value is not ABSENT and until > moment() else unknown

    def get_many(self, keys: Iterable[Key]) -> dict[Any, Any]:
        """Return the values of those keys that are there."""
        return self.tier.get_many(keys)

    def set(
        self, key: Key, value: Any, expire_time: Lifetime = None, **terms: Any
    ) -> bool:
        """Store a value; return whether the server has it."""
        return self.tier.set(key, value, expire_time)

    def set_many(
        self, mapping: Any, expire_time: Lifetime = None, **terms: Any
    ) -> list[Any]:
        """Store several values; return the keys that the server has not got."""
        if not mapping or self.tier.set_many(mapping, expire_time):
            return []
        return list(mapping)

    def add(
        self, key: Key, value: Any, expire_time: Lifetime = None, **terms: Any
    ) -> bool:
        """Store a value if the key is not there; return whether it was stored."""
        return self.tier.add(key, value, expire_time)

    def incr(
        self,
        key: Key,
        delta: int = 1,
        *,
        initial: int = 0,
        expire_time: Lifetime = None,
    ) -> int:
        """Add to an int in one step; return the sum. TypeError for another value."""
        try:
            return self.tier.incr(key, delta, initial=initial, ttl=expire_time)
        except Exception as error:
            if type(error).__name__ != "ResponseError":  # of either library
                raise
            raise TypeError(f"the value of key {key!r} is not an int") from error

    def get_and_set(self, key: Key, func: Callable[..., Any]) -> GetAndSetResult:
        """Change a value by a function, called again if another was quicker.

        It has the key, the value and its bytes, each ``None`` for none. Raises what the
        client does when the server is down.
        """
        name = text_of(key)

        def change(pipe: Any) -> GetAndSetResult:
            data = pipe.get(bytes_of(name))
            value = None if data is None else self.tier._codec.loads(data)
            made = func(key, value, data)
            if made is KEEP:
                return GetAndSetResult(value, False)
            pipe.multi()
            self._queue(pipe, name, made)
            return GetAndSetResult(getattr(made, "value", made), True)

        try:
            done: GetAndSetResult = self.tier._client.transaction(
                change, bytes_of(name), value_from_callable=True
            )
            return done
        finally:
            self.tier._values.delete_many((name,))

    def _queue(self, pipe: Any, name: str, made: Any) -> None:
        """Queue storing a value, for as long as before unless a `Store` says so."""
        if isinstance(made, Store):
            data = {name: self.tier._codec.dumps(made.value)}
            commands.store(data, made.expire_time).queue(pipe)
        else:
            pipe.set(bytes_of(name), self.tier._codec.dumps(made), keepttl=True)

    def touch(self, key: Key, expire_time: Lifetime = None, **terms: Any) -> bool:
        """Change the lifetime of a value; return whether there is one."""
        return self.tier.touch(key, expire_time)

    def exists(self, key: Key) -> bool:
        """Tell whether a key has a value."""
        return self.get(key, ABSENT) is not ABSENT

    def remove(self, key: Key, **terms: Any) -> bool:
        """Remove a key; return whether it was there."""
        return bool(self.tier.delete(key))

    def delete_many(self, keys: Iterable[Key]) -> int:
        """Remove several keys; return how many were there."""
        return self.tier.delete(*keys)

    def delete_prefix(self, prefix: Key) -> int:
        """Remove the keys of the server that begin so; return how many were there."""
        pattern = bytes_of(text_of(prefix).translate(_SPECIAL) + "*")
        found, count = [], 0
        for key in self.tier._client.scan_iter(pattern, count=_BATCH):
            found.append(key)
            if len(found) == _BATCH:
                count += self.tier.delete(*found)
                found = []
        return count + self.tier.delete(*found)

    def clear(self) -> None:
        """Empty the server's database."""
        self.tier.clear()


class TierOpening(Opening):
    """The opening of a cache with a server behind it.

    Args:
        share_file: Path of the file of this host.
        prefix: What the adapter's keys begin with; they are kept on this host.
        server: A URL, or a client.
        of_tier: Options of `RedisTier`. ``prefixes`` are used instead of the prefix.
        options: As in `Opening`.

    Raises:
        ValueError: There is no path: each process would have its own tier.
    """

    asks_a_server = True

    def __init__(
        self,
        share_file: Any,
        prefix: str,
        server: Any,
        of_tier: Mapping[str, Any],
        **options: Any,
    ) -> None:
        if not share_file:
            raise ValueError("share_file is missing: with a server, a path is needed")
        super().__init__(share_file, **options)
        self._server, self._of_tier = server, {"prefixes": prefix, **of_tier}

    def open(self) -> FastMmap:
        """Return the cache, or a stand-in for a file that cannot be opened."""
        file = super().open()
        if isinstance(file, AbsentCache):
            return file
        return TierCache(tier_for(file, self._server, self._of_tier), file)
