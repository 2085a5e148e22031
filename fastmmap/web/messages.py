"""What a page is asked, and what it answers, whatever carries it."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs

#: What is sent along with everything, so that no other site can make use of it.
SAFE: dict[str, str] = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
#: The policy of an answer that is not the page: nothing may be loaded or run.
NOTHING = "default-src 'none'; frame-ancestors 'none'; sandbox"
#: Bytes that a request may have to say.
BODY_MAX = 65536


class Request(NamedTuple):
    """A request.

    ``path`` is the part after ``mount``, where the page is mounted: "" or "/" is the
    page itself. The names of ``headers`` are in lower case.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = {}
    body: bytes = b""
    mount: str = ""

    def parameters(self) -> dict[str, list[str]]:
        """Return what the query says. Raises ValueError for too many."""
        return parse_qs(self.query, keep_blank_values=True, max_num_fields=100)


class Response(NamedTuple):
    """A response."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Refused(Exception):
    """A request that is answered by a status and a sentence."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def response(
    status: int, kind: str, body: bytes, policy: str = NOTHING, **more: str
) -> Response:
    """Return an answer with all headers that it needs."""
    headers = {
        "Content-Type": kind,
        "Content-Length": str(len(body)),
        "Content-Security-Policy": policy,
        **SAFE,
        **more,
    }
    return Response(status, list(headers.items()), body)


def json_response(status: int, value: Any) -> Response:
    """Return an answer for a program, in ASCII."""
    body = json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    return response(status, "application/json", body)
