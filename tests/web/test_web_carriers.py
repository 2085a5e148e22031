"""The page under WSGI, under ASGI, and by the command."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

import fastmmap
from fastmmap import FastMmap
from fastmmap.web import AsgiApplication, WsgiApplication

pytestmark = pytest.mark.once


def wsgi(application: Any, path: str, mount: str = "/ops") -> tuple[str, dict, bytes]:
    """Ask a WSGI application; the validator of the standard library listens."""
    told: list[Any] = []
    environ: dict[str, Any] = {"SCRIPT_NAME": mount, "PATH_INFO": path}
    setup_testing_defaults(environ)
    environ["QUERY_STRING"] = ""
    answer = validator(application)(
        environ, lambda status, headers, info=None: told.extend([status, dict(headers)])
    )
    body = b"".join(answer)
    answer.close()
    return told[0], told[1], body


def test_wsgi_serves_the_page_where_it_is_mounted(cache: FastMmap) -> None:
    application = WsgiApplication(cache)
    status, headers, body = wsgi(application, "/")
    assert status == "200 OK" and body.startswith(b"<!doctype html>")
    assert headers["Content-Length"] == str(len(body))
    status, headers, _ = wsgi(application, "")
    assert status == "308 Permanent Redirect" and headers["Location"] == "./ops/"
    status, _, body = wsgi(application, "/api/caches")
    assert json.loads(body)["caches"][0]["path"] == cache.share_file
    assert wsgi(application, "/api/nothing")[0] == "404 Not Found"
    application.close()


def test_no_mount_leads_a_browser_to_another_site(cache: FastMmap) -> None:
    application = WsgiApplication(cache)
    for mount in ("//evil.example", "/a//evil.example", "/\\evil.example"):
        location = wsgi(application, "", mount)[1]["Location"]
        assert location.startswith("./") and "//" not in location
    application.close()


def test_a_negative_length_reads_no_endless_body(cache: FastMmap) -> None:
    application, body = WsgiApplication(cache), io.BytesIO(b"x" * 200_000)
    environ: dict[str, Any] = {"PATH_INFO": "/api/clear", "CONTENT_LENGTH": "-1"}
    setup_testing_defaults(environ)
    environ.update({"REQUEST_METHOD": "POST", "wsgi.input": body})
    application(environ, lambda *_: None)
    assert body.tell() == 0
    application.close()


async def asgi(application: Any, path: str, **more: Any) -> tuple[int, dict, bytes]:
    """Ask an ASGI application."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": [(b"Host", b"localhost")],
        **more,
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await application(scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


@pytest.mark.parametrize("address", ["/ops/", "/"])
def test_asgi_serves_the_page_where_it_is_mounted(
    cache: FastMmap, address: str
) -> None:
    application = AsgiApplication(cache)
    status, headers, body = asyncio.run(asgi(application, address, root_path="/ops"))
    assert status == 200 and body.startswith(b"<!doctype html>")
    assert headers[b"content-length"] == str(len(body)).encode()
    status, _, body = asyncio.run(
        asgi(application, f"{address}api/caches", root_path="/ops")
    )
    assert json.loads(body)["caches"][0]["path"] == cache.share_file
    application.close()


@pytest.mark.parametrize("address", ["/api/caches", "/api/api/caches"])
def test_asgi_may_be_mounted_under_the_name_of_its_questions(
    cache: FastMmap, address: str
) -> None:
    application = AsgiApplication(cache)
    status, _, body = asyncio.run(asgi(application, address, root_path="/api"))
    assert status == 200 and json.loads(body)["caches"]
    assert asyncio.run(asgi(application, "/api/", root_path="/api"))[0] == 200
    assert asyncio.run(asgi(application, "/apiary", root_path="/api"))[0] == 404
    application.close()


def test_asgi_follows_the_life_of_a_server(cache: FastMmap) -> None:
    application = AsgiApplication(cache)
    sent: list[str] = []
    kinds = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> dict[str, Any]:
        return {"type": next(kinds)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message["type"])

    asyncio.run(application({"type": "lifespan"}, receive, send))
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    application.close()


@contextmanager
def served(*arguments: str) -> Iterator[str]:
    """Run the command; yield the address that it prints."""
    home = Path(fastmmap.__file__).resolve().parents[1]
    with subprocess.Popen(
        [sys.executable, "-m", "fastmmap", "web", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(home)},
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)
    assert "Traceback" not in errors, errors
    assert process.returncode == 130


def status_of(url: str, path: str, host: str) -> int:
    connection = http.client.HTTPConnection(url, timeout=30)
    connection.request("GET", path, headers={"Host": host})
    status = connection.getresponse().status
    connection.close()
    return status


def test_the_command_serves_who_has_the_token_on_this_host(cache: FastMmap) -> None:
    with served(cache.share_file) as url:
        parts = urlsplit(url)
        assert parts.hostname == "127.0.0.1" and len(parts.path) > 30
        assert status_of(parts.netloc, parts.path, parts.netloc) == 200
        assert status_of(parts.netloc, parts.path, "localhost:1") == 200
        assert status_of(parts.netloc, f"{parts.path}api/caches", parts.netloc) == 200
        assert status_of(parts.netloc, parts.path, "evil.example") == 421
        for path in ("/", "/x/", "/api/caches", parts.path[:-2] + "/", "//"):
            assert status_of(parts.netloc, path, parts.netloc) == 404


def test_the_command_says_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fastmmap", "web", str(tmp_path / "none")],
        check=False,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 2 and b"none" in done.stderr and not done.stdout
    assert not (tmp_path / "none").exists()
