"""Asking pages without a server between."""

from __future__ import annotations

import json
from typing import Any, NamedTuple
from urllib.parse import urlencode

from fastmmap.web import Pages, Request, Response

HOST = "localhost:8000"


class Told(NamedTuple):
    """What an answer says."""

    status: int
    headers: dict[str, str]
    value: Any


class Client:
    """Asks pages as a browser does."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages

    def request(self, method: str, path: str, **more: Any) -> Response:
        headers = {"host": HOST, **more.pop("headers", {})}
        return self.pages.respond(Request(method, path, headers=headers, **more))

    def ask(self, name: str, headers: Any = None, **parameters: Any) -> Told:
        """Ask a question about the first cache."""
        parameters.setdefault("cache", self.cache_id())
        query = urlencode(parameters, doseq=True)
        return told(
            self.request("GET", f"/api/{name}", query=query, headers=headers or {})
        )

    def cache_id(self) -> str:
        found = told(self.request("GET", "/api/caches"))
        return str(found.value["caches"][0]["id"])

    def token(self) -> str:
        """Return the token that the page has in it."""
        text = self.request("GET", "/").body.decode()
        return text.partition('name="fastmmap-token" content="')[2].partition('"')[0]

    def act(self, name: str, headers: Any = None, **what: Any) -> Told:
        """Change something, as the page does, but for other headers."""
        what.setdefault("cache", self.cache_id())
        given = {
            "origin": f"http://{HOST}",
            "content-type": "application/json",
            "x-fastmmap-token": self.token(),
            **(headers or {}),
        }
        body = json.dumps(what).encode()
        answer = self.request("POST", f"/api/{name}", headers=given, body=body)
        return told(answer)


def told(answer: Response) -> Told:
    """Return what an answer says, of JSON."""
    return Told(answer.status, dict(answer.headers), json.loads(answer.body))
