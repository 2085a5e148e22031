"""The page on this host: a server for one person, found by who knows its address."""

import hmac
import secrets
import socket
import threading
from collections.abc import Callable, Sequence
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from fastmmap.web.history import EVERY
from fastmmap.web.messages import json_response
from fastmmap.web.wsgi import WsgiApplication

#: Seconds that a connection may keep a thread waiting.
_PATIENCE = 30
#: What browsers may call this host: any other name was rebound to it.
_HOSTS = ("127.0.0.1", "localhost")
_Start = Callable[..., Any]


class _Handler(WSGIRequestHandler):
    """Answers without a word in the log: the address is a secret."""

    timeout = _PATIENCE

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of who hung up."""

    def server_bind(self) -> None:
        """Bind without asking a name server who we are."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "localhost", self.server_address[1]
        self.setup_environ()


class Guard:
    """Lets through who knows the token, which is the first part of the path."""

    def __init__(self, application: WsgiApplication) -> None:
        self.token = secrets.token_urlsafe(24)
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: _Start) -> list[bytes]:
        """Answer one request."""
        _, _, rest = environ["PATH_INFO"].partition("/")
        token, slash, path = rest.partition("/")
        if not hmac.compare_digest(token.encode(), self.token.encode()):
            answer = json_response(404, {"problem": "the address lacks its token"})
            start_response("404 Not Found", answer.headers)
            return [answer.body]
        environ["SCRIPT_NAME"], environ["PATH_INFO"] = f"/{token}", slash + path
        return self._application(environ, start_response)


class LocalServer:
    """Serves the page until it is told to end."""

    def __init__(self, files: Sequence[str], port: int, write: bool) -> None:
        self._ended = threading.Event()
        self._pages = WsgiApplication(*files, write=write, hosts=_HOSTS)
        self._guard = Guard(self._pages)
        self._server = make_server(_HOSTS[0], port, self._guard, _Server, _Handler)

    @property
    def url(self) -> str:
        """The address of the page; a secret."""
        port = self._server.server_address[1]
        return f"http://{_HOSTS[0]}:{port}/{self._guard.token}/"

    def run(self) -> None:
        """Serve; look at the caches every second meanwhile."""
        looking = threading.Thread(target=self._look, daemon=True)
        looking.start()
        try:
            self._server.serve_forever(poll_interval=0.2)
        finally:
            self._ended.set()
            looking.join()
            self._server.server_close()
            self._pages.close()

    def end(self) -> None:
        """Let `run` return; to be called from another thread."""
        self._server.shutdown()

    def _look(self) -> None:
        while not self._ended.wait(EVERY):
            self._pages.look()
