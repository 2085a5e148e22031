"""`RedisTier`: what this host knows, and the server for the rest."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Optional, ParamSpec, TypeVar

from fastmmap import single_flight, waiting
from fastmmap.errors import LockTimeout
from fastmmap.redis import commands
from fastmmap.redis.base import Fills, Tier
from fastmmap.redis.client import client_of
from fastmmap.redis.commands import Answer, Command
from fastmmap.redis.names import text_of
from fastmmap.redis.pulse import moment
from fastmmap.single_flight import ABSENT
from fastmmap.types import Key, Lifetime

_P = ParamSpec("_P")
_R = TypeVar("_R")


class RedisTier(Tier):
    """The cache of this host in front of Redis or Valkey.

    All processes that have the cache open share the values that one has read. One of
    them listens to changes on the server. While it does, a value is at most
    ``max_lag`` old; otherwise the server is asked. Do not use it for locks or money.

    Args:
        cache: An open `FastMmap`.
        server: A URL, or a client of redis-py or valkey-py, ``RedisCluster`` for a
            cluster. With it, Redis 6 or newer.
        prefixes: Only keys that begin with one of these are kept on this host; ""
            stands for all keys.
        max_lag: Seconds that a value of the cache may lag behind the server.
        default_ttl: Lifetime on the server of values stored without one; ``None`` means
            for ever.
        serializer: Of values on the server, as in `FastMmap`; that of the cache by
            default.
        on_down: What to do when the server is down: "raise"; "miss": nothing is found
            and changes are lost; or "stale": the cache's values are returned.
        retry_after: Seconds until a server that was down is asked again.
        listen: Whether this process may listen; if not, another must, see
            ``fastmmap redis-listener``.

    Raises:
        ImportError: redis-py is not installed.
        ValueError, TypeError: An argument is out of its range.
    """

    def __init__(self, cache: Any, server: Any, **options: Any) -> None:
        self._client = client_of(server)
        super().__init__(cache, self._client, **options)

    def get(self, key: Key, default: Any = None) -> Any:
        """Return the value of a key, or the default."""
        until = self._until  # before the value is read, the clock after that
        value = self._find(key, ABSENT)
        if value is not ABSENT and until > moment():
            return default if value is None else value
        value = self._require_readable(self._get(text_of(key)))
        return default if value is ABSENT else value

    def get_many(self, keys: Iterable[Key]) -> dict[Key, Any]:
        """Return the values of the keys that exist."""
        name_of = {key: text_of(key) for key in keys}
        names = dict.fromkeys(name_of.values())
        found = self._local(names)
        missing = [name for name in names if name not in found]
        if missing:
            found.update(self._get_missing(missing))
        there = {name: self._if_readable(name, found[name]) for name in found}
        values = {key: there[name] for key, name in name_of.items()}
        return {key: value for key, value in values.items() if value is not ABSENT}

    def set(self, key: Key, value: Any, ttl: Lifetime = None) -> bool:
        """Store a value on the server; return whether it was stored."""
        return self.set_many({key: value}, ttl)

    def add(self, key: Key, value: Any, ttl: Lifetime = None) -> bool:
        """Store a value if its key is free; return whether it was stored."""
        data = {text_of(key): self._codec.dumps(value)}
        return bool(self._change(commands.store(data, self._ttl(ttl), only_new=True)))

    def set_many(self, values: Mapping[Any, Any], ttl: Lifetime = None) -> bool:
        """Store several values on the server; return whether they were stored."""
        data = {text_of(key): self._codec.dumps(values[key]) for key in values}
        return bool(self._change(commands.store(data, self._ttl(ttl))))

    def delete(self, *keys: Key) -> int:
        """Remove keys; return how many existed."""
        names = [text_of(key) for key in keys]
        return int(self._change(commands.remove(names, self._apart))) if names else 0

    def incr(
        self, key: Key, delta: int = 1, *, initial: int = 0, ttl: Lifetime = None
    ) -> int:
        """Add to an int in one step; return the sum.

        Args:
            key: Key of the int.
            delta: Number to add.
            initial: Number that a missing key starts from.
            ttl: Lifetime of a new int; existing ones keep theirs.

        Raises:
            TypeError: The serializer writes an int in a way the server cannot count.
            Exception: The client's error for a value that is not an int, and, whatever
                ``on_down`` is, when the server is down.
        """
        self._require_counting()
        command = commands.increase(text_of(key), delta, initial, self._ttl(ttl))
        return int(self._change(command))

    def touch(self, key: Key, ttl: Lifetime = None) -> bool:
        """Change the lifetime of a value; return whether there is one."""
        return bool(self._change(commands.touch(text_of(key), self._ttl(ttl))))

    def clear(self) -> bool:
        """Empty the server's database, whatever prefixes its keys have."""
        try:
            return bool(self._change(commands.flush()))
        finally:
            self._values.clear()

    def get_or_set(self, key: Key, default: Any, ttl: Lifetime = None) -> Any:
        """Return the value of a key; if there is none, store the default.

        One caller of this host calls a callable default; the others wait for its
        value.
        """
        name = text_of(key)
        value = self._seek(name)
        if value is not ABSENT:
            return value
        terms = single_flight.terms(single_flight.LEASE_TIME, None)
        lease = single_flight.Lease(self._computing, name, terms)
        with lease:
            single_flight.approach(lease, terms)
            with single_flight.computing(lease):
                return self._find_or_make(lease, default, ttl)

    def memoize(
        self, ttl: Lifetime = None, *, prefix: Optional[str] = None, **naming: Any
    ) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
        """Return a decorator that keeps the results of a function on the server.

        Args:
            ttl: Lifetime of the results on the server.
            prefix: What the keys begin with; the first of the tier's prefixes.
            naming: ``key``, ``ignore``, ``typed``, ``name`` and ``version``, as in
                `FastMmap.memoize`.

        Returns:
            A decorator. What it makes has ``cache_key(...)`` and
            ``invalidate(...)``.

        Raises:
            TypeError: The function is a generator, or ``async def``, for which there
                is `AsyncRedisTier`.
        """
        from fastmmap.redis.memoized import memoized  # not everybody needs it

        start = self._prefixes[0] if prefix is None else prefix
        return memoized(self, self._computing, start, ttl, naming)

    def wait_until_live(self, timeout: Optional[float] = None) -> bool:
        """Wait until this host has a listener; return whether it has one."""
        with waiting.Patience(timeout) as patience:
            while not self.live:
                delay = patience.delay()
                if delay is None:
                    return False
                waiting.pause(delay)
        return True

    # ------------------------------------------------------------- the server

    def _execute(self, command: Command) -> Any:
        """Return the server's answer. Raises what the client does."""
        if not self._circuit.admits():
            raise self._refused()
        try:
            replies = self._replies(command)
        except self._away as error:
            self._failed(error)
            raise
        except self._refusals:
            self._circuit.succeeded()  # it answered
            raise
        self._circuit.succeeded()
        return command.read(replies)

    def _replies(self, command: Command) -> list[Any]:
        """Return what the server, or those of a cluster, answer to a command."""
        if command.everywhere and self._apart:
            return [self._client.flushdb(target_nodes="primaries")]
        with self._client.pipeline(transaction=command.atomic) as pipe:
            command.queue(pipe)
            replies: list[Any] = pipe.execute()
            return replies

    def _change(self, command: Command) -> Any:
        """Change the server first, then forget what this host has.

        In the other order a reader could store the old value again in between. That
        of an outcome that is not known is forgotten, too.
        """
        try:
            return self._execute(command)
        except self._away:
            return self._changed(command)
        finally:
            self._drop(command)

    def _ask(self, names: Sequence[str]) -> list[Answer]:
        answers: list[Answer] = self._execute(commands.fetch(names, self._codec))
        return answers

    def _get(self, name: str) -> Any:
        """Return a value that was not found on this host, or ABSENT."""
        try:
            if self._look() > moment() and self._covers(name):
                return self._fill(name)
            return self._ask((name,))[0].value
        except self._away:
            return self._instead(name)

    def _fill(self, name: str) -> Any:
        """Ask the server, and keep the answer unless the key changes meanwhile."""
        until, asked = self._until, []

        def ask() -> Any:
            asked.extend(self._ask((name,)))
            return asked[0].kept

        def lifetime(_: object) -> Lifetime:
            return asked[0].lifetime()

        kept = ABSENT
        try:
            kept = single_flight.compute(
                self._values, name, ask, lifetime, self._fill_terms
            )
        except LockTimeout:  # the caller that asks takes too long
            until = 0.0
        if asked:
            return asked[0].value
        if until > moment():  # another has asked
            return ABSENT if kept is None else kept
        return self._ask((name,))[0].value

    def _get_missing(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the values of keys that were not found on this host, or ABSENT."""
        live = self._look() > moment()
        kept = [name for name in names if live and self._covers(name)]
        try:
            with Fills(self._values, kept, self._fill_terms) as fills:
                for lease in fills.leases.values():
                    lease.take()
                answers = dict(zip(names, self._ask(names), strict=True))
                for name, answer in answers.items():
                    fills.keep(name, answer)
        except self._away:
            return {name: self._instead(name) for name in names}
        return {name: answer.value for name, answer in answers.items()}

    def _seek(self, name: str) -> Any:
        """Return the value of a key, or ABSENT, also where it cannot be read."""
        until = self._until  # as in get()
        value = self._find_readable(name)
        if value is not ABSENT and until > moment():
            return ABSENT if value is None else value
        return self._if_readable(name, self._get(name))

    def _find_or_make(
        self, lease: single_flight.Lease, default: Any, ttl: Lifetime
    ) -> Any:
        """Return the value of the server, or make it and store it there."""
        name = text_of(lease.key)
        value = self._if_readable(name, self._get(name))
        if value is ABSENT:
            value = default() if callable(default) else default
            single_flight.refuse_awaitable(value, lease)
            self.set(name, value, ttl)
        return value
