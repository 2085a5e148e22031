"""RESP3, as far as a listener needs it: bytes to messages."""

from typing import Any, Final, NamedTuple

_END: Final = b"\r\n"
#: Followed by so many bytes, and by so many values; pairs count twice.
_BULK: Final = b"$=!"
_AGGREGATES: Final = {b"*": 1, b"~": 1, b">": 1, b"%": 2, b"|": 2}


class Push(tuple[Any, ...]):
    """A message that answers nothing: the server tells something."""

    __slots__ = ()


class Refusal(NamedTuple):
    """An error that the server answered."""

    message: str


class _Part(NamedTuple):
    """An aggregate that is not complete yet."""

    kind: bytes
    values: list[Any]
    wanted: int


class Parser:
    """Makes messages of bytes, however these are cut into pieces.

    Each byte is looked at once: a push may have 100,000 keys.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._parts: list[_Part] = []

    def feed(self, data: bytes) -> list[Any]:
        """Return the messages that these bytes complete.

        Raises ValueError for bytes that are not RESP3.
        """
        data, at = self._rest + data, 0
        messages: list[Any] = []
        while (end := data.find(_END, at)) >= 0:
            kind, line, at_next = data[at : at + 1], data[at + 1 : end], end + 2
            if kind in _AGGREGATES:
                value: Any = _Part(kind, [], int(line) * _AGGREGATES[kind])
            elif kind in _BULK and int(line) >= 0:
                at_end = at_next + int(line)
                if len(data) < at_end + 2:
                    break
                value, at_next = _bulk(kind, data[at_next:at_end]), at_end + 2
            else:
                value = _simple(kind, line)
            at = at_next
            self._take(value, messages)
        self._rest = data[at:]
        return messages

    def _take(self, value: Any, messages: list[Any]) -> None:
        """Put a value where it belongs, and close what it completes."""
        if isinstance(value, _Part):
            self._parts.append(value)
        elif self._parts:
            self._parts[-1].values.append(value)
        else:
            messages.append(value)
        while self._parts and len(self._parts[-1].values) >= self._parts[-1].wanted:
            part = self._parts.pop()
            if part.kind == b"|":
                continue  # attributes of what follows
            whole = Push(part.values) if part.kind == b">" else part.values
            (self._parts[-1].values if self._parts else messages).append(whole)


def _bulk(kind: bytes, data: bytes) -> Any:
    return Refusal(data.decode("utf-8", "replace")) if kind == b"!" else data


def _simple(kind: bytes, line: bytes) -> Any:
    if kind == b"-":
        return Refusal(line.decode("utf-8", "replace"))
    if kind == b":":
        return int(line)
    if kind in (b"_", b"$"):  # "$-1" is nothing, too
        return None
    if kind in (b"+", b"#", b",", b"("):
        return line
    raise ValueError(f"not RESP3: {kind!r}")


def encode(*words: bytes) -> bytes:
    """Return a command as the server reads it."""
    parts = (b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
    return b"*%d\r\n" % len(words) + b"".join(parts)
