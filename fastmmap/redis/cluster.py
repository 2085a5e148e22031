"""The pushes of a cluster: a connection to each primary.

A key changes on the primary that has its slot, and that one tells. So it matters to
know all primaries: with each question every one of them is asked which it knows, and
with which slots. An answer counts only if all have answered, and see the cluster as
it was when the connections began. Otherwise they end, and begin with a new epoch.

Primaries without slots are listened to as well: one that takes a slot over stores
new keys of it before it says that the slot is its own.
"""

import contextlib
import random
import selectors
from binascii import crc_hqx
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple, Optional

from fastmmap.redis.client import client_of_node, is_away
from fastmmap.redis.names import bytes_of
from fastmmap.redis.resp import Push
from fastmmap.redis.stream import Stream, StreamError
from fastmmap.redis.tracking import PROBE, Tracking

_NODES: Final = (b"CLUSTER", b"NODES")
_SLOTS: Final = 16384
#: Keys that are tried to find one for a primary that has a single slot.
_TRIES: Final = 20 * _SLOTS
_NO_PRIMARY: Final = frozenset(("noaddr", "handshake"))


class MapChanged(StreamError):
    """The primaries of the cluster, or their slots, are not what they were."""


class Primary(NamedTuple):
    """One primary, as all others see it."""

    node: str
    epoch: int
    slots: tuple[range, ...]


Address = tuple[str, int]


def primaries_in(answer: bytes) -> dict[Primary, list[Address]]:
    """Return the primaries that ``CLUSTER NODES`` names, and where they may be.

    One that has failed counts while it has slots: nobody knows who changes them.
    """
    found: dict[Primary, list[Address]] = {}
    for line in answer.removeprefix(b"txt:").decode("utf-8", "replace").splitlines():
        words = line.split(" ")
        flags = set(words[2].split(","))
        slots = tuple(_slots_in(words[8:]))
        failed = "fail" in flags and not slots
        if "master" in flags and not failed and not flags & _NO_PRIMARY:
            found[Primary(words[0], int(words[6]), slots)] = _addresses(words[1])
    return found


def _slots_in(words: Iterable[str]) -> Iterator[range]:
    for word in words:
        if word and not word.startswith("["):  # one that moves is not told to all
            first, _, last = word.partition("-")
            yield range(int(first), int(last or first) + 1)


def _addresses(text: str) -> list[Address]:
    """Return the host name, if it has one, and the address: "ip:port@bus,name"."""
    address, *more = text.split(",")
    host, _, port = address.partition("@")[0].rpartition(":")
    names = [name for name in more[:1] if name and "=" not in name]
    return [(name, int(port)) for name in (*names, host)]


class Streams:
    """The connections to all primaries of a cluster.

    Args:
        client: A client of the cluster, not asynchronous.
        patience: Seconds that a server may take for an answer.

    Raises:
        OSError, and what the client does: A primary cannot be reached.
    """

    def __init__(self, client: Any, patience: float) -> None:
        self.by_primary: dict[Primary, Stream] = {}
        try:
            near, found = _ask_for_primaries(client, patience)
            for one, places in found.items():
                host, port = _known_place(client, near, places)
                pool = client_of_node(client, near)
                self.by_primary[one] = Stream(pool, patience, host=host, port=port)
        except BaseException:
            self.close()
            raise

    def interrupt(self) -> None:
        """Wake the thread that waits for messages: all connections ended."""
        for stream in self.by_primary.values():
            stream.interrupt()

    def close(self) -> None:
        """Close all."""
        for stream in self.by_primary.values():
            stream.close()


def _ask_for_primaries(
    client: Any, patience: float
) -> tuple[Any, dict[Primary, list[Address]]]:
    """Return a node that answers, and the primaries that it knows."""
    nodes = client.get_nodes()
    random.shuffle(nodes)
    for node in nodes:
        with contextlib.suppress(OSError, *is_away(client)):
            stream = Stream(client_of_node(client, node), patience)
            try:
                stream.call(b"HELLO", b"3")
                return node, primaries_in(stream.ask(*_NODES))
            finally:
                stream.close()
    client.nodes_manager.initialize()
    raise StreamError("no node of the cluster answers")


def _known_place(client: Any, near: Any, places: list[Address]) -> Address:
    """Return the address that the client uses; otherwise the one that the node told.

    A node that has never met another does not know its own: it is where it answers.
    """
    remap = getattr(client.nodes_manager, "address_remap", None)
    told = [(host or near.host, port) for host, port in places]
    mapped = [remap(place) for place in told] if remap else told
    known = {(node.host, int(node.port)) for node in client.get_nodes()}
    return next((place for place in mapped if place in known), mapped[-1])


class ClusterTracking:
    """`Tracking` of all primaries, which looks like that of one server.

    Raises:
        OSError: As `Tracking` does.
    """

    def __init__(
        self, streams: Streams, prefixes: tuple[str, ...], patience: float
    ) -> None:
        self._primaries = set(streams.by_primary)
        self._streams = streams.by_primary
        self._token, self._asked = b"", False
        self._waiting: set[Primary] = set()
        self._trackings = {
            one: Tracking(stream, prefixes, patience, _probes(prefixes, one))
            for one, stream in self._streams.items()
        }
        self._selector = selectors.PollSelector()
        for one, stream in self._streams.items():
            self._selector.register(stream.fileno(), selectors.EVENT_READ, one)

    def ask(self) -> bytes:
        """Ask all for an answer, and return what it will be."""
        for one, tracking in self._trackings.items():
            self._streams[one].send(*_NODES)
            self._token = tracking.ask()
        self._asked, self._waiting = True, set(self._trackings)
        return self._token

    def receive(self, seconds: float) -> list[Any]:
        """Return messages; the answer when all have answered, and agree.

        Raises OSError, and for an error; `MapChanged`.
        """
        messages: list[Any] = []
        for one in self._ready(seconds):
            for message in self._trackings[one].receive(0):
                if isinstance(message, Push):
                    messages.append(message)
                else:
                    self._take(one, message)
        if self._asked and not self._waiting:
            self._asked = False
            messages.append(self._token)
        return messages

    def _take(self, one: Primary, message: Any) -> None:
        """Take an answer: first the list, then the echo."""
        if message == self._token:
            self._waiting.discard(one)
        elif isinstance(message, bytes):
            self._check(message)

    def _check(self, answer: bytes) -> None:
        if primaries_in(answer).keys() != self._primaries:
            raise MapChanged("the primaries of the cluster, or their slots, changed")

    def _ready(self, seconds: float) -> list[Primary]:
        """Return those that have sent something; TLS may hold bytes already read."""
        held = [one for one, stream in self._streams.items() if stream.holds_more()]
        events = self._selector.select(0 if held else max(seconds, 0.001))
        return [*held, *(key.data for key, _ in events if key.data not in held)]


def _probes(prefixes: tuple[str, ...], one: Primary) -> set[str]:
    """Return keys to write: one for each prefix that has keys on a primary."""
    probes = (_probe(prefix, one) for prefix in prefixes if one.slots)
    return {probe for probe in probes if probe is not None}


def slot_of(key: str) -> int:
    """Return the slot of a key; what is in braces decides, if there is such a part."""
    data = bytes_of(key)
    start = data.find(b"{")
    end = data.find(b"}", start + 1) if start >= 0 else -1
    return crc_hqx(data[start + 1 : end] if end > start + 1 else data, 0) % _SLOTS


def _probe(prefix: str, one: Primary) -> Optional[str]:
    """Return a key that begins so and is in a slot of a primary, if there is one.

    Each time another one: a key whose slot is just moving is refused.
    """
    start = random.randrange(1 << 30)
    all_alike = slot_of(prefix + "1") == slot_of(prefix + "2")  # by braces
    for number in range(start, start + (1 if all_alike else _TRIES)):
        key = f"{prefix}{PROBE}.{number}"
        if any(slot_of(key) in slots for slots in one.slots):
            return key
    return None
