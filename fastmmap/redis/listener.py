"""One listener per host: it drops what has changed on the server.

Every process with a tier has a thread that would listen. The one that has the lock
does; when it dies or is stopped, another takes over, and begins a new epoch.
"""

import logging
import os
import re
import threading
import weakref
from contextlib import suppress
from typing import Any, Final, Optional, Union

from fastmmap.errors import ClosedError, LockError, LockLost
from fastmmap.keyspace import Keyspace
from fastmmap.redis.client import is_cluster, place_in
from fastmmap.redis.cluster import ClusterTracking, MapChanged, Streams
from fastmmap.redis.names import place_of
from fastmmap.redis.pulse import Pulse, moment
from fastmmap.redis.stream import Stream, StreamError
from fastmmap.redis.tracking import ALL, Tracking, changes
from fastmmap.sync.lock import Lock

_logger = logging.getLogger("fastmmap")

#: Pulses, and looks whether the listener lives, in one ``max_lag``.
_BEATS: Final = 4
#: Seconds at least until a connection without an answer is given up, or the place of
#: a listener without a sign of life.
_PATIENCE: Final = 1.0
#: Seconds at most until a thread that is stopped is left to end by itself: nothing
#: interrupts one that is still connecting.
_FAREWELL: Final = 2.0

#: Ports and probes differ from one try to the next.
_NUMBER: Final = re.compile(r"\d+")

_all: "weakref.WeakSet[Listener]" = weakref.WeakSet()


class Space:
    """The parts of a cache that are for one server and prefixes.

    The values are in no other namespace: each one makes a hit slower.
    """

    def __init__(self, cache: Keyspace, client: Any, prefixes: tuple[str, ...]) -> None:
        place = place_of(place_in(client), prefixes)
        self.state = cache.namespace(place)
        #: What the server had; clearing it is a new epoch.
        self.values = cache.namespace(f"{place}.values")
        self.computing = self.state.namespace("computing")


class Listener:
    """A thread that listens whenever nobody else of the host does.

    Args:
        client: A client of redis-py or valkey-py, for its options.
        space: The parts of the cache for this server and these prefixes.
        prefixes: Of keys to listen to.
        max_lag: Seconds that a pulse is good for.
    """

    def __init__(
        self,
        client: Any,
        space: Space,
        prefixes: tuple[str, ...],
        max_lag: float,
    ) -> None:
        self._client, self._prefixes = client, prefixes
        self._values = space.values
        self._pulse = Pulse(space.state, max_lag)
        self._patience = max(_PATIENCE, 2 * max_lag)
        self._lock = Lock(space.state, "listener", lease_time=self._patience)
        self._interval = max_lag / _BEATS
        self._kinds: Any = (Stream, Tracking)
        if is_cluster(client):
            self._kinds = Streams, ClusterTracking
        self._stream: Union[Stream, Streams, None] = None
        self._told = ""
        self.forget()
        _all.add(self)

    def forget(self) -> None:
        """Begin without a thread; a forked child has none, and no connection."""
        self._stopping = threading.Event()
        self._starting = threading.Lock()
        self._thread: Optional[threading.Thread] = None
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def ensure(self) -> None:
        """Start the thread if there is none."""
        thread = self._thread
        if thread is not None and (thread.is_alive() or self._stopping.is_set()):
            return
        with self._starting:
            if self._thread is thread:
                self._thread = threading.Thread(
                    target=self.run, name="fastmmap.redis", daemon=True
                )
                self._thread.start()

    def stop(self) -> None:
        """End the thread, and wait for that, but not until it gives up connecting."""
        self._stopping.set()
        if self._stream is not None:
            self._stream.interrupt()
        if self._thread is not None:
            self._thread.join(_FAREWELL)

    def run(self) -> None:
        """Listen whenever nobody else does, until `stop`, or the cache is closed."""
        while not self._stopping.is_set():
            try:
                self._try()
            except ClosedError:
                return
            except MapChanged as error:
                _logger.info("%s: %s", self._values.share_file, error)
            except LockLost:
                _logger.info("%s: another listens now", self._values.share_file)
            except Exception as error:
                if not self._stopping.is_set():
                    self._tell(error)
            self._stopping.wait(self._interval)

    def _try(self) -> None:
        """Listen, if nobody else does, until that fails."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            self._listen()
        finally:
            with suppress(LockError):
                self._lock.release()

    def _listen(self) -> None:
        """Connect, begin an epoch, and drop what changes.

        The order matters. Values read before the server pushes changes may have changed
        unnoticed: the epoch begins after that.
        """
        connect, track = self._kinds
        self._stream = connect(self._client, self._patience)
        try:
            if self._stopping.is_set():  # `stop` found no stream to interrupt
                return
            tracking = track(self._stream, self._prefixes, self._patience)
            self._begin_epoch()
            self._told = ""
            self._serve(tracking)
        finally:
            self._stream.close()

    def _begin_epoch(self) -> None:
        """Let nobody see what came from the server before, nor store it."""
        self._values.clear()

    def _serve(self, tracking: Union[Tracking, ClusterTracking]) -> None:
        asked, token = moment(), tracking.ask()
        answered = False
        while not self._stopping.is_set():
            messages = tracking.receive(self._interval)
            self._drop(messages)
            if token in messages:
                self._confirm(asked)
                answered = True
            elif not answered and moment() > asked + self._patience:
                raise StreamError(f"PING: no answer within {self._patience} s")
            if answered and moment() >= asked + self._interval:
                asked, token = moment(), tracking.ask()
                answered = False

    def _confirm(self, asked: float) -> None:
        """Say that whatever changed before a moment was dropped by now.

        Raises LockLost when this listener was stopped, and replaced.
        """
        self._lock.extend()
        self._pulse.beat(asked)

    def _drop(self, messages: list[Any]) -> None:
        """Drop what has changed; whoever is reading it stores nothing."""
        told = changes(messages)
        if ALL in told:
            self._begin_epoch()
        names = [name for names in told for name in names or ()]
        if names:
            self._values.delete_many(names)

    def _tell(self, error: Exception) -> None:
        """Log why nobody listens, once for each reason, whatever numbers it has."""
        text = f"{type(error).__name__}: {error}"
        reason = _NUMBER.sub("", text)
        if reason != self._told:
            path = self._values.share_file
            _logger.warning("%s: no listener to the server: %s", path, text)
        self._told = reason


def listener_for(
    cache: Keyspace, client: Any, prefixes: tuple[str, ...], max_lag: float
) -> Listener:
    """Return the listener of a host's cache to a server."""
    return Listener(client, Space(cache, client, prefixes), prefixes, max_lag)


def _forget_all() -> None:
    for listener in list(_all):
        listener.forget()


os.register_at_fork(after_in_child=_forget_all)
