"""The pushes of the server to a listener: which keys have changed.

``CLIENT TRACKING ON BCAST`` makes it push all keys with certain prefixes, whoever
changes them and whatever was read. A connection that has received the push of a test
key is trusted until it ends or an answer is missing.
"""

import secrets
from collections.abc import Iterable
from typing import Any, Final, Optional

from fastmmap import _core
from fastmmap.redis.names import bytes_of, text_of
from fastmmap.redis.resp import Push, Refusal
from fastmmap.redis.stream import Stream, StreamError

#: The end of the keys that a listener writes to see whether it is told of them.
PROBE: Final = "fastmmap.probe"
_PROBE_MS: Final = b"1000"

#: All keys may have changed: the server was emptied.
ALL: Final = None
Changed = Optional[list[str]]


def changes(messages: Iterable[Any]) -> list[Changed]:
    """Return what the pushes among some messages tell, in their order."""
    pushes = (one for one in messages if isinstance(one, Push) and len(one) == 2)
    told = (one[1] for one in pushes if one[0] == b"invalidate")
    return [ALL if keys is None else [text_of(key) for key in keys] for keys in told]


class Tracking:
    """A stream of changed keys, proven to work.

    Args:
        stream: The connection; it gets no other commands from now on.
        prefixes: Of keys. Their changes are told.
        patience: Seconds that the server may take for the proof.
        probes: Keys to write for it; one for each prefix by default.

    Raises:
        OSError: The server refuses, or tells nothing.
    """

    def __init__(
        self,
        stream: Stream,
        prefixes: tuple[str, ...],
        patience: float,
        probes: Optional[set[str]] = None,
    ) -> None:
        self._stream, self._patience = stream, patience
        self._count = 0
        stream.call(b"HELLO", b"3")
        words = [word for one in prefixes for word in (b"PREFIX", bytes_of(one))]
        stream.call(b"CLIENT", b"TRACKING", b"ON", b"BCAST", *words)
        usual = {one + PROBE for one in prefixes}
        self._prove(usual if probes is None else probes)

    def _prove(self, probes: set[str]) -> None:
        """Write keys, and check that the server pushes them."""
        messages: list[Any] = []
        for probe in probes:
            value = secrets.token_bytes(8)
            words = b"SET", bytes_of(probe), value, b"PX", _PROBE_MS
            messages += self._stream.call(*words)
        end = _core.monotonic() + self._patience
        while True:
            for keys in changes(messages):
                probes = probes - set(keys or ())
            if not probes:
                return
            if _core.monotonic() > end:
                raise StreamError(
                    f"the server does not push changes of {sorted(probes)}: may the "
                    "listener's user read these keys, and does a proxy drop pushes?"
                )
            messages = self._stream.receive(self._patience)

    def ask(self) -> bytes:
        """Ask for an answer, and return what it will be."""
        self._count += 1
        token = b"%d" % self._count
        self._stream.send(b"PING", token)
        return token

    def receive(self, seconds: float) -> list[Any]:
        """Return messages, in their order. Raises OSError, and for an error."""
        messages = self._stream.receive(seconds)
        for one in messages:
            if isinstance(one, Refusal):
                raise StreamError(f"PING: {one.message}")
        return messages

    def close(self) -> None:
        """End it."""
        self._stream.close()
