"""The page as an ASGI application, for servers that run asyncio."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

from fastmmap.web.application import API, Pages
from fastmmap.web.messages import BODY_MAX, Request, Response

_Receive = Callable[[], Awaitable[dict[str, Any]]]
_Send = Callable[[dict[str, Any]], Awaitable[None]]


class AsgiApplication(Pages):
    """The page as an ASGI application, to be mounted at a path.

    It has no login: whoever reaches it sees the caches. It reads files in threads,
    so the event loop continues. Its arguments are those of `Pages`.
    """

    async def __call__(
        self, scope: dict[str, Any], receive: _Receive, send: _Send
    ) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http":
            request = _request(scope, await _body(receive))
            answer = await asyncio.to_thread(self.respond, request)
            await _answer(answer, send, scope["method"] == "HEAD")
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})


async def _live(receive: _Receive, send: _Send) -> None:
    """Follow the life of a server; there is nothing to begin or to end."""
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


async def _body(receive: _Receive) -> bytes:
    """Return what a request says: not much more than it may."""
    data, more = b"", True
    while more and len(data) <= BODY_MAX:
        message = await receive()
        data += message.get("body", b"")
        more = message["type"] == "http.request" and message.get("more_body", False)
    return data


def _request(scope: dict[str, Any], body: bytes) -> Request:
    mount: str = scope.get("root_path", "")
    path: str = scope["path"]
    return Request(
        method=scope["method"],
        path=_below(mount, path),
        query=scope.get("query_string", b"").decode("latin-1"),
        headers={
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        },
        body=body,
        mount=quote(mount),
    )


def _below(mount: str, path: str) -> str:
    """Return the path after the mount.

    Servers disagree whether the path has it in front. A path of the page that begins
    like the mount, such as /api/caches in /api, is below it already.
    """
    rest = path[len(mount) :]
    inside = mount and path.startswith(mount) and rest[:1] in ("", "/")
    if not inside or (
        path.startswith(API) and not rest.startswith(API) and rest != "/"
    ):
        return path
    return rest


async def _answer(answer: Response, send: _Send, head: bool) -> None:
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in answer.headers
    ]
    await send(
        {"type": "http.response.start", "status": answer.status, "headers": headers}
    )
    body = b"" if head else answer.body
    await send({"type": "http.response.body", "body": body})
