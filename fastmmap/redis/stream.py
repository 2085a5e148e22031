"""The connection of a listener: commands go out, messages come in."""

import contextlib
import socket
from typing import Any

from fastmmap import _core
from fastmmap.redis.resp import Parser, Push, Refusal, encode

_AT_ONCE = 1 << 20  #: bytes, read in one step


class StreamError(ConnectionError):
    """The server refused what the listener needs, or ended the connection."""


class Stream:
    """One connection, made as the client makes its own: TLS, user, database.

    Args:
        client: A client of redis-py or valkey-py, for its options.
        patience: Seconds that the server may take for an answer.
        where: ``host`` and ``port``, when they are not the client's.
    """

    def __init__(self, client: Any, patience: float, **where: Any) -> None:
        pool = client.connection_pool
        options = _hurried({**pool.connection_kwargs, **where}, patience)
        self._connection = pool.connection_class(**options)
        self._connection.connect()
        self._socket = self._connection._sock
        self._parser = Parser()
        self._patience = patience

    def send(self, *words: bytes) -> None:
        """Send a command. Raises OSError."""
        self._socket.settimeout(self._patience)
        self._socket.sendall(encode(*words))

    def receive(self, seconds: float) -> list[Any]:
        """Return the messages that are there, or come within that time.

        Raises OSError when the connection ended, ValueError for other than RESP3.
        """
        self._socket.settimeout(max(seconds, 0.001))
        try:
            data = self._socket.recv(_AT_ONCE)
        except TimeoutError:
            return []
        if not data:
            raise StreamError("the server ended the connection")
        return self._parser.feed(data)

    def fileno(self) -> int:
        """Return the number of its file."""
        number: int = self._socket.fileno()
        return number

    def holds_more(self) -> bool:
        """Tell whether TLS has read more than was received."""
        return bool(getattr(self._socket, "pending", int)())

    def call(self, *words: bytes) -> list[Any]:
        """Send a command, and return the pushes that came up to its answer.

        Raises OSError; `StreamError` for an error that the server answers.
        """
        return self._exchange(*words)[1]

    def ask(self, *words: bytes) -> Any:
        """Send a command, and return its answer; raise as `call` does."""
        return self._exchange(*words)[0]

    def _exchange(self, *words: bytes) -> tuple[Any, list[Any]]:
        self.send(*words)
        pushes: list[Any] = []
        end = _core.monotonic() + self._patience
        while _core.monotonic() < end:
            messages = self.receive(self._patience)
            pushes += (one for one in messages if isinstance(one, Push))
            answers = [one for one in messages if not isinstance(one, Push)]
            if answers and isinstance(answers[0], Refusal):
                raise StreamError(f"{_shown(words)}: {answers[0].message}")
            if answers:
                return answers[0], pushes
        raise StreamError(f"{_shown(words)}: no answer within {self._patience} s")

    def interrupt(self) -> None:
        """Wake the thread that waits for messages: the connection ended."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close it; a parent that this process was forked from keeps its own."""
        with contextlib.suppress(OSError):
            self._socket.close()


def _hurried(options: dict[str, Any], patience: float) -> dict[str, Any]:
    """Return options with which no step of connecting takes longer than patience."""
    for name in ("socket_timeout", "socket_connect_timeout"):
        options[name] = min(options.get(name) or patience, patience)
    return options


def _shown(words: tuple[bytes, ...]) -> str:
    return b" ".join(words[:2]).decode("ascii", "replace")
