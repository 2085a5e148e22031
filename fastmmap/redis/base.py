"""What the tiers have in common, whether their calls wait or are awaited."""

import contextlib
import logging
import math
import sys
from collections.abc import Iterable
from typing import Any, Final, Union

from fastmmap import durations, single_flight, unreadable
from fastmmap.keyspace import Keyspace
from fastmmap.redis.circuit import Circuit
from fastmmap.redis.client import client_of, is_away, is_cluster, misuse_of, refusals_of
from fastmmap.redis.codec import codec_of
from fastmmap.redis.commands import Answer, Command, Unreadable
from fastmmap.redis.listener import Listener, Space
from fastmmap.redis.names import prefixes_of
from fastmmap.redis.pulse import Pulse, moment
from fastmmap.single_flight import ABSENT
from fastmmap.types import Lifetime

_logger = logging.getLogger("fastmmap")

#: Seconds that one round trip has until another process may make it, too.
_LEASE: Final = 5
_ON_DOWN: Final = ("raise", "miss", "stale")


def _check_seconds(name: str, value: object, least: float) -> None:
    """Raise TypeError or ValueError unless an option is a number of seconds."""
    text = f"{name} is {value!r}: expected seconds, {least} or more"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(text)
    if not least <= value < math.inf:
        raise ValueError(text)


class Tier:
    """The part of a tier that does not talk to the server; see `RedisTier`."""

    def __init__(
        self,
        cache: Keyspace,
        server: Any,
        *,
        prefixes: Union[str, Iterable[str]],
        max_lag: float = 1.0,
        default_ttl: Lifetime = None,
        serializer: Any = None,
        on_down: str = "raise",
        retry_after: float = 1.0,
        listen: bool = True,
    ) -> None:
        _check_seconds("max_lag", max_lag, 0.01)
        _check_seconds("retry_after", retry_after, 0)
        if on_down not in _ON_DOWN:
            raise ValueError(f"on_down is {on_down!r}: expected one of {_ON_DOWN}")
        if default_ttl is not None:
            durations.lifetime_ms(default_ttl)
        self._default_ttl, self._on_down = default_ttl, on_down
        self._prefixes = prefixes_of(prefixes)
        self._listens = listen
        listened = client_of(server)
        self._away = is_away(listened)
        self._refusals = refusals_of(listened)
        self._is_misuse = misuse_of(listened)
        self._apart = is_cluster(listened)
        self._codec = codec_of(cache.serializer, serializer)
        self._circuit = Circuit(retry_after)
        self._open(cache, listened, max_lag)

    def _open(self, cache: Keyspace, client: Any, max_lag: float) -> None:
        """Make the parts in the cache."""
        space = Space(cache, client, self._prefixes)
        self._values, self._computing = space.values, space.computing
        self._pulse = Pulse(space.state, max_lag)
        self._listener = Listener(client, space, self._prefixes, max_lag)
        self._fill_terms = single_flight.terms(_LEASE, max_lag)
        self._until = 0.0  #: as the pulse said when it was looked at
        self._find = self._values._find

    @property
    def live(self) -> bool:
        """Whether the listener of this host was heard within ``max_lag``."""
        return self._look() > moment()

    def _look(self) -> float:
        """Return until when the cache may be believed; see to it that one listens."""
        if self._listens:
            self._listener.ensure()
        self._until = self._pulse.until()
        return self._until

    def _covers(self, name: str) -> bool:
        """Tell whether the listener learns of changes of a key."""
        return name.startswith(self._prefixes)

    def _ttl(self, ttl: Lifetime) -> Lifetime:
        return self._default_ttl if ttl is None else ttl

    def _require_counting(self) -> None:
        """Raise TypeError when the server cannot count what the serializer writes."""
        if not self._codec.counts:
            raise TypeError("incr() needs one of the serializers pickle, json and raw")

    def _refused(self) -> Exception:
        """Return the error of a call that the circuit refuses."""
        return self._away[0]("the server was down a moment ago: not asked again yet")

    def _failed(self, error: Exception) -> None:
        """Note that the server was away; log it when calls were let through before."""
        if isinstance(error, self._refusals) and self._is_misuse(error):
            self._circuit.succeeded()  # it answered
        elif not self._is_misuse(error) and self._circuit.failed():
            path = self._values.share_file
            text = f"{type(error).__name__}: {error}"
            _logger.warning("%s: the server is down: %s", path, text)

    def _must_raise(self) -> bool:
        """Tell whether the error that is being handled is for the caller."""
        error = sys.exc_info()[1]
        assert error is not None
        return self._on_down == "raise" or self._is_misuse(error)

    def _instead(self, name: str) -> Any:
        """Return a substitute for the answer of a server that is down.

        It is called while that error is handled, and raises it on.
        """
        if self._must_raise():
            raise
        value = self._find(name, None) if self._on_down == "stale" else None
        return ABSENT if value is None else value

    def _changed(self, command: Command) -> Any:
        """Return a substitute for the answer to a change; raise like `_instead`."""
        if self._must_raise() or command.away is ABSENT:
            raise
        return command.away

    def _drop(self, command: Command) -> None:
        """Forget the changed key: the next reader asks the server, and sees the change.

        Whoever is asking just now stores nothing.
        """
        self._values.delete_many(command.names)

    def _require_readable(self, value: Any) -> Any:
        """Return a value; raise what kept it from being read."""
        if isinstance(value, Unreadable):
            raise value.error
        return value

    def _if_readable(self, name: str, value: Any) -> Any:
        """Return a value; ABSENT for one that cannot be read, which is logged."""
        if not isinstance(value, Unreadable):
            return value
        unreadable.tell("taken for missing", name, self._values.share_file, value.error)
        return ABSENT

    def _find_readable(self, name: str) -> Any:
        """Return what this host has of a key; ABSENT, too, if it cannot be read."""
        try:
            return self._find(name, ABSENT)
        except Exception as error:
            path = self._values.share_file
            if not unreadable.tell("asked for again", name, path, error):
                raise
            return ABSENT

    def _local(self, names: Iterable[str]) -> dict[str, Any]:
        """Return what may be believed of some keys; ABSENT where there is nothing."""
        until = self._until
        found = self._values.get_many(names)
        if not until > moment():
            return {}
        return {
            str(name): ABSENT if value is None else value
            for name, value in found.items()
        }

    def close(self) -> None:
        """End the thread of this process; the cache and the client stay open."""
        self._listener.stop()


class Fills(contextlib.ExitStack):
    """The leases of several keys that are asked for in one round trip.

    Who has begun the block takes them, ``take()`` of each; keys that others ask for
    just now are left to them.
    """

    def __init__(
        self, values: Keyspace, names: Iterable[str], terms: single_flight.Terms
    ) -> None:
        super().__init__()
        self.leases = {name: single_flight.Lease(values, name, terms) for name in names}
        for lease in self.leases.values():
            self.enter_context(lease)

    def keep(self, name: str, answer: Answer) -> None:
        """Store an answer, if its lease is still there."""
        lease = self.leases.get(name)
        if lease is not None and lease.token is not None:
            lease.keep(answer.kept, answer.lifetime())
