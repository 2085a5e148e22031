"""RESP3: messages, however their bytes are cut."""

from __future__ import annotations

from typing import Any

import pytest

from fastmmap.redis.resp import Parser, Push, Refusal, encode

PUSH = b">2\r\n$10\r\ninvalidate\r\n*2\r\n$3\r\nab\n\r\n$0\r\n\r\n"
EXAMPLES: list[tuple[bytes, Any]] = [
    (b"+OK\r\n", b"OK"),
    (b"-ERR no\r\n", Refusal("ERR no")),
    (b"!3\r\nbad\r\n", Refusal("bad")),
    (b":-5\r\n", -5),
    (b"$4\r\n\r\n\r\n\r\n", b"\r\n\r\n"),
    (b"_\r\n", None),
    (b"$-1\r\n", None),
    (b"*0\r\n", []),
    (b"%1\r\n+a\r\n*1\r\n:1\r\n", [b"a", [1]]),
    (b"|1\r\n+a\r\n:1\r\n:2\r\n", 2),
    (PUSH, Push((b"invalidate", [b"ab\n", b""]))),
    (b">2\r\n$10\r\ninvalidate\r\n_\r\n", Push((b"invalidate", None))),
]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_messages_come_however_they_are_cut(size: int) -> None:
    data = b"".join(text for text, _ in EXAMPLES)
    parser = Parser()
    pieces = (data[at : at + size] for at in range(0, len(data), size))
    found = [message for piece in pieces for message in parser.feed(piece)]
    assert found == [message for _, message in EXAMPLES]
    kinds = [type(message) for message in found]
    assert kinds == [type(message) for _, message in EXAMPLES]


def test_what_is_no_resp_is_refused() -> None:
    with pytest.raises(ValueError, match="RESP3"):
        Parser().feed(b"HTTP/1.1 400 Bad Request\r\n")


def test_commands_are_arrays_of_bytes() -> None:
    assert encode(b"PING", b"a\r\n") == b"*2\r\n$4\r\nPING\r\n$3\r\na\r\n\r\n"
