"""The page as a WSGI application."""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastmmap.web.application import Pages
from fastmmap.web.messages import BODY_MAX, Request

_Start = Callable[..., Any]


class WsgiApplication(Pages):
    """The page as a WSGI application, to be mounted at a path.

    It has no login: whoever reaches it sees the caches. Its arguments are those of
    `Pages`.
    """

    def __call__(self, environ: dict[str, Any], start_response: _Start) -> list[bytes]:
        """Answer one request."""
        answer = self.respond(_request(environ))
        status = HTTPStatus(answer.status)
        start_response(f"{status.value} {status.phrase}", answer.headers)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else answer.body]


def _request(environ: dict[str, Any]) -> Request:
    return Request(
        method=environ["REQUEST_METHOD"],
        path=environ.get("PATH_INFO", ""),
        query=environ.get("QUERY_STRING", ""),
        headers=dict(_headers(environ)),
        body=_body(environ),
        mount=quote(environ.get("SCRIPT_NAME", "").encode("latin-1", "replace")),
    )


def _headers(environ: dict[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in environ.items():
        if name.startswith("HTTP_"):
            yield name[5:].replace("_", "-").lower(), value
    yield "content-type", environ.get("CONTENT_TYPE") or ""


def _body(environ: dict[str, Any]) -> bytes:
    """Return what a request says: a byte more than it may, at most."""
    try:
        length = int(environ.get("CONTENT_LENGTH") or 0)
    except ValueError:
        length = 0
    data: bytes = environ["wsgi.input"].read(max(0, min(length, BODY_MAX + 1)))
    return data
