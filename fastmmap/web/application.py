"""Requests and their answers: who may ask, and what for."""

import hmac
import os
import secrets
from collections.abc import Iterable
from typing import Any, Optional, Union
from urllib.parse import urlsplit

from fastmmap._core import Keyspace
from fastmmap.cli.output import harmless
from fastmmap.errors import Error
from fastmmap.web.actions import ACTIONS, said
from fastmmap.web.messages import (
    BODY_MAX,
    Refused,
    Request,
    Response,
    json_response,
    response,
)
from fastmmap.web.page import page
from fastmmap.web.questions import QUESTIONS
from fastmmap.web.watched import Caches

#: What the addresses of questions and actions begin with.
API = "/api/"
_TOKEN_HEADER = "x-fastmmap-token"


class Pages:
    """The page and its data, to be served by any framework.

    It has no login: whoever reaches it sees the caches. Values with a serializer are
    never unpickled.

    Args:
        files: Paths of caches, or open caches, whose files it opens separately; by
            default all caches of this host.
        write: Whether it may also delete keys, namespaces, tags and whole caches.
        secret: Makes the token against forged requests; with several worker
            processes it must be the same in all. By default it is random.
        hosts: Names, without a port, under which browsers reach the page; requests
            for other hosts are refused. By default any: then the framework or the
            server must check the host.
    """

    def __init__(
        self,
        *files: "Union[str, os.PathLike[str], Keyspace]",
        write: bool = False,
        secret: Optional[str] = None,
        hosts: Optional[Iterable[str]] = None,
    ) -> None:
        self._caches = Caches([_path_of(file) for file in files])
        self._hosts = None if hosts is None else {host.lower() for host in hosts}
        key = (secret or secrets.token_urlsafe()).encode()
        self._token = _digest(key) if write else ""
        self._whole = page()

    def respond(self, request: Request) -> Response:
        """Answer any request; it raises no exception."""
        try:
            self._check_host(request)
            return self._answer(request)
        except Refused as error:
            return json_response(error.status, {"problem": str(error)})
        except (Error, OSError) as error:
            return json_response(503, {"problem": harmless(str(error))})
        except ValueError as error:
            return json_response(400, {"problem": harmless(str(error))})

    def look(self) -> None:
        """Update the history of the caches that somebody has looked at."""
        self._caches.look()

    def close(self) -> None:
        """Close the files."""
        self._caches.close()

    def _check_host(self, request: Request) -> None:
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname
        if self._hosts is not None and host not in self._hosts:
            raise Refused(421, "this page is not available under that host name")

    def _answer(self, request: Request) -> Response:
        if request.path == "":
            return _moved(request)
        if request.path == "/":
            return self._page(request)
        if not request.path.startswith(API):
            raise Refused(404, "not found")
        _refuse_other_sites(request)
        name = request.path[len(API) :]
        if name in ACTIONS:
            return json_response(200, self._act(name, request))
        if name not in QUESTIONS:
            raise Refused(404, "not found")
        _require_method(request, "GET", "HEAD")
        return json_response(200, QUESTIONS[name](self._caches, request.parameters()))

    def _page(self, request: Request) -> Response:
        _require_method(request, "GET", "HEAD")
        body = self._whole.with_token(self._token)
        return response(200, "text/html; charset=utf-8", body, self._whole.policy)

    def _act(self, name: str, request: Request) -> dict[str, Any]:
        """Change something, if that is allowed, and asked for by the page itself."""
        _require_method(request, "POST")
        self._require_token(request)
        if not request.headers.get("content-type", "").startswith("application/json"):
            raise Refused(415, "the action must be JSON")
        if len(request.body) > BODY_MAX:
            raise Refused(413, "the request is too long")
        asked = said(request.body)
        watched = self._caches.get(str(asked.get("cache")))
        done = ACTIONS[name](watched.path, asked)
        watched.forget()
        return {"done": done}

    def _require_token(self, request: Request) -> None:
        if not self._token:
            raise Refused(403, "this page is read-only: it was started without --write")
        _require_same_origin(request)
        given = request.headers.get(_TOKEN_HEADER, "").encode()
        if not hmac.compare_digest(given, self._token.encode()):
            raise Refused(403, "the token has changed: load the page again")


def _path_of(file: "Union[str, os.PathLike[str], Keyspace]") -> str:
    return file.share_file if isinstance(file, Keyspace) else os.fspath(file)


def _digest(key: bytes) -> str:
    return hmac.new(key, b"fastmmap.web", "sha256").hexdigest()


def _require_method(request: Request, *methods: str) -> None:
    if request.method not in methods:
        raise Refused(405, f"use {' or '.join(methods)}")


def _refuse_other_sites(request: Request) -> None:
    """Refuse what another site asks for, as browsers tell."""
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise Refused(403, "requests from another site are refused")
    if "origin" in request.headers:
        _require_same_origin(request)


def _require_same_origin(request: Request) -> None:
    host = request.headers.get("host", "").lower()
    origin = urlsplit(request.headers.get("origin", "").lower())
    if not host or origin.scheme not in ("http", "https") or origin.netloc != host:
        raise Refused(403, "requests from another site are refused")


def _moved(request: Request) -> Response:
    """Send to the same place with a slash, which the addresses in the page need."""
    last = request.mount.rstrip("/").rpartition("/")[2]
    return response(308, "text/plain", b"", Location=f"./{last}/")
