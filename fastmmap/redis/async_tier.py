"""`AsyncRedisTier`: the same for event loops."""

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Optional, ParamSpec, TypeVar

from fastmmap import single_flight
from fastmmap.errors import LockTimeout
from fastmmap.redis import commands
from fastmmap.redis.base import Fills, Tier
from fastmmap.redis.client import client_of, is_cluster
from fastmmap.redis.commands import Answer, Command
from fastmmap.redis.names import text_of
from fastmmap.redis.pulse import moment
from fastmmap.single_flight import ABSENT
from fastmmap.types import Key, Lifetime
from fastmmap.waiting import Patience, patiently, pause_async

_P = ParamSpec("_P")
_R = TypeVar("_R")
_Async = Callable[_P, Awaitable[_R]]


class AsyncRedisTier(Tier):
    """`RedisTier` with asynchronous methods.

    Values in the cache are returned without waiting; the event loop continues while the
    server is asked. Both kinds of tiers share one cache.

    Args:
        cache: An open `FastMmap`.
        server: A URL; or a client of redis-py or valkey-py that is not asynchronous,
            for the listener.
        client: An asynchronous client of the same server; it can be left out with a
            URL. Like that, a tier belongs to one event loop.
        options: As in `RedisTier`.

    Raises:
        ImportError, ValueError, TypeError: As `RedisTier` does.
    """

    def __init__(
        self, cache: Any, server: Any, *, client: Any = None, **options: Any
    ) -> None:
        if client is None and not isinstance(server, str):
            raise TypeError("give a URL, or client= as well: an asynchronous client")
        self._client = client_of(server if client is None else client, ".asyncio")
        super().__init__(cache, server, **options)
        if is_cluster(self._client) != self._apart:
            raise TypeError("one of the clients is of a cluster, the other is not")

    async def get(self, key: Key, default: Any = None) -> Any:
        """Return the value of a key, or the default."""
        until = self._until
        value = await patiently(self._find, key, ABSENT)
        if value is not ABSENT and until > moment():
            return default if value is None else value
        value = self._require_readable(await self._get(text_of(key)))
        return default if value is ABSENT else value

    async def get_many(self, keys: Iterable[Key]) -> dict[Key, Any]:
        """Return the values of those keys that there are."""
        name_of = {key: text_of(key) for key in keys}
        names = dict.fromkeys(name_of.values())
        found = await patiently(self._local, names)
        missing = [name for name in names if name not in found]
        if missing:
            found.update(await self._get_missing(missing))
        there = {name: self._if_readable(name, found[name]) for name in found}
        values = {key: there[name] for key, name in name_of.items()}
        return {key: value for key, value in values.items() if value is not ABSENT}

    async def set(self, key: Key, value: Any, ttl: Lifetime = None) -> bool:
        """Store a value on the server; return whether it was stored."""
        return await self.set_many({key: value}, ttl)

    async def add(self, key: Key, value: Any, ttl: Lifetime = None) -> bool:
        """Store a value if its key is free; return whether it was stored."""
        data = {text_of(key): self._codec.dumps(value)}
        command = commands.store(data, self._ttl(ttl), only_new=True)
        return bool(await self._change(command))

    async def set_many(self, values: Mapping[Any, Any], ttl: Lifetime = None) -> bool:
        """Store several values on the server; return whether they were stored."""
        data = {text_of(key): self._codec.dumps(values[key]) for key in values}
        return bool(await self._change(commands.store(data, self._ttl(ttl))))

    async def delete(self, *keys: Key) -> int:
        """Remove keys; return how many there were."""
        names = [text_of(key) for key in keys]
        return (
            int(await self._change(commands.remove(names, self._apart))) if names else 0
        )

    async def incr(
        self, key: Key, delta: int = 1, *, initial: int = 0, ttl: Lifetime = None
    ) -> int:
        """Add to an int in one step, and return the sum; see `RedisTier.incr`."""
        self._require_counting()
        command = commands.increase(text_of(key), delta, initial, self._ttl(ttl))
        return int(await self._change(command))

    async def touch(self, key: Key, ttl: Lifetime = None) -> bool:
        """Change the lifetime of a value; return whether there is one."""
        return bool(await self._change(commands.touch(text_of(key), self._ttl(ttl))))

    async def clear(self) -> bool:
        """Empty the server's database, whatever prefixes its keys have."""
        try:
            return bool(await self._change(commands.flush()))
        finally:
            await patiently(self._values.clear)

    async def get_or_set(self, key: Key, default: Any, ttl: Lifetime = None) -> Any:
        """Return the value of a key; where there is none, store the default.

        A default that is callable is called, by one caller of this host; what it
        returns may have to be awaited. The others wait for its value.
        """
        name = text_of(key)
        value = await self._seek(name)
        if value is not ABSENT:
            return value
        terms = single_flight.terms(single_flight.LEASE_TIME, None)
        lease = single_flight.Lease(self._computing, name, terms)
        with lease:
            await single_flight.approach_async(lease, terms)
            with single_flight.computing(lease):
                return await self._find_or_make(name, default, ttl)

    def memoize(
        self, ttl: Lifetime = None, *, prefix: Optional[str] = None, **naming: Any
    ) -> "Callable[[_Async[_P, _R]], _Async[_P, _R]]":
        """Return a decorator of ``async def`` functions; see `RedisTier.memoize`.

        Await ``invalidate(...)`` as well.
        """
        from fastmmap.redis.memoized import memoized  # not everybody needs it

        start = self._prefixes[0] if prefix is None else prefix
        return memoized(self, self._computing, start, ttl, naming)

    async def wait_until_live(self, timeout: Optional[float] = None) -> bool:
        """Wait until this host has a listener; return whether it has one."""
        with Patience(timeout) as patience:
            while not self.live:
                delay = patience.delay()
                if delay is None:
                    return False
                await pause_async(delay)
        return True

    # ------------------------------------------------------------- the server

    async def _execute(self, command: Command) -> Any:
        """Return the server's answer. Raises what the client does."""
        if not self._circuit.admits():
            raise self._refused()
        try:
            replies = await self._replies(command)
        except self._away as error:
            self._failed(error)
            raise
        except self._refusals:
            self._circuit.succeeded()  # it answered
            raise
        self._circuit.succeeded()
        return command.read(replies)

    async def _replies(self, command: Command) -> list[Any]:
        """Return what the server, or those of a cluster, answer to a command."""
        if command.everywhere and self._apart:
            return [await self._client.flushdb(target_nodes="primaries")]
        async with self._client.pipeline(transaction=command.atomic) as pipe:
            command.queue(pipe)
            replies: list[Any] = await pipe.execute()
            return replies

    async def _change(self, command: Command) -> Any:
        """Change the server first, then forget what this host has."""
        try:
            return await self._execute(command)
        except self._away:
            return self._changed(command)
        finally:
            await patiently(self._drop, command)

    async def _ask(self, names: Sequence[str]) -> list[Answer]:
        answers: list[Answer] = await self._execute(commands.fetch(names, self._codec))
        return answers

    async def _get(self, name: str) -> Any:
        """Return a value that was not found on this host, or ABSENT."""
        try:
            if self._look() > moment() and self._covers(name):
                return await self._fill(name)
            return (await self._ask((name,)))[0].value
        except self._away:
            return self._instead(name)

    async def _fill(self, name: str) -> Any:
        """Ask the server, and keep the answer unless the key changes meanwhile."""
        until, asked = self._until, []

        async def ask() -> Any:
            asked.extend(await self._ask((name,)))
            return asked[0].kept

        def lifetime(_: object) -> Lifetime:
            return asked[0].lifetime()

        kept = ABSENT
        try:
            kept = await single_flight.compute_async(
                self._values, name, ask, lifetime, self._fill_terms
            )
        except LockTimeout:  # the caller that asks takes too long
            until = 0.0
        if asked:
            return asked[0].value
        if until > moment():  # another has asked
            return ABSENT if kept is None else kept
        return (await self._ask((name,)))[0].value

    async def _get_missing(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the values of keys that were not found on this host, or ABSENT."""
        live = self._look() > moment()
        kept = [name for name in names if live and self._covers(name)]
        try:
            with Fills(self._values, kept, self._fill_terms) as fills:
                for lease in fills.leases.values():
                    await patiently(lease.take)
                answers = dict(zip(names, await self._ask(names), strict=True))
                for name, answer in answers.items():
                    await patiently(fills.keep, name, answer)
        except self._away:
            return {name: self._instead(name) for name in names}
        return {name: answer.value for name, answer in answers.items()}

    async def _seek(self, name: str) -> Any:
        """Return the value of a key, or ABSENT, also where it cannot be read."""
        until = self._until
        value = await patiently(self._find_readable, name)
        if value is not ABSENT and until > moment():
            return ABSENT if value is None else value
        return self._if_readable(name, await self._get(name))

    async def _find_or_make(self, name: str, default: Any, ttl: Lifetime) -> Any:
        """Return the value of the server, or make it and store it there."""
        value = self._if_readable(name, await self._get(name))
        if value is ABSENT:
            value = default() if callable(default) else default
            if inspect.isawaitable(value):
                value = await value
            await self.set(name, value, ttl)
        return value
