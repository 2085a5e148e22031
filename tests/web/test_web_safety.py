"""Who may ask the page, and what it never does."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asking import HOST, Client

from fastmmap import FastMmap

pytestmark = pytest.mark.once

Make = Callable[..., Client]


def test_every_answer_forbids_what_other_sites_could_do(client: Client) -> None:
    for path in ("/", "/api/caches", "/nothing", ""):
        headers = dict(client.request("GET", path).headers)
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


def test_the_policy_lets_the_page_run_what_is_in_it_and_nothing_else(
    client: Client,
) -> None:
    answer = client.request("GET", "/")
    text, policy = answer.body.decode(), dict(answer.headers)["Content-Security-Policy"]
    assert "unsafe" not in policy and "http" not in policy
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.S)
        digest = b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert not re.search(r"(src|href)=\"?(https?:)?//|url\(|@import|\son\w+=", text)


def test_no_script_makes_html_of_a_text(client: Client) -> None:
    text = client.request("GET", "/").body.decode()
    for danger in (
        "innerHTML",
        "outerHTML",
        "insertAdjacent",
        "document.write",
        "eval(",
    ):
        assert danger not in text


@pytest.mark.parametrize("host", ["evil.example", "", "localhost.evil.example"])
def test_another_host_is_refused_where_hosts_are_named(
    client_of: Make, host: str
) -> None:
    client = client_of(hosts=["localhost"])
    assert client.request("GET", "/").status == 200
    assert client.request("GET", "/", headers={"host": host}).status == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": f"http://{HOST}.evil.example"},
    ],
)
def test_other_sites_may_not_even_ask(client: Client, headers: Any) -> None:
    told = client.ask("live", headers=headers)
    assert told.status == 403
    assert "site" in told.value["problem"]


def test_a_page_that_only_looks_changes_nothing(
    client: Client, cache: FastMmap
) -> None:
    cache["key"] = 1
    assert client.token() == ""
    for token in ("", "x" * 64):
        told = client.act("clear", headers={"x-fastmmap-token": token})
        assert told.status == 403
        assert "--write" in told.value["problem"]
    assert cache["key"] == 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"x-fastmmap-token": ""}, 403),
        ({"x-fastmmap-token": "forged \xff"}, 403),
        ({"origin": ""}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
    ],
)
def test_forged_requests_change_nothing(
    client_of: Make, cache: FastMmap, headers: Any, status: int
) -> None:
    cache["key"] = 1
    client = client_of(write=True)
    assert client.act("delete", headers=headers, key="key").status == status
    assert cache["key"] == 1


@pytest.mark.parametrize("name", ["clear", "delete", "live"])
def test_nothing_is_changed_by_another_method(client_of: Make, name: str) -> None:
    client = client_of(write=True)
    method = "POST" if name == "live" else "GET"
    assert client.request(method, f"/api/{name}").status == 405


def test_a_secret_makes_the_same_token_in_every_process(client_of: Make) -> None:
    tokens = [client_of(write=True, secret="known").token() for _ in range(2)]
    assert tokens[0] == tokens[1] != client_of(write=True).token()
    assert "known" not in tokens[0]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"nonsense", b"\xff", b"[" * 5000, b'"' + b"x" * 70000]
)
def test_nonsense_is_answered_and_not_obeyed(client_of: Make, body: bytes) -> None:
    client = client_of(write=True)
    headers = {
        "origin": f"http://{HOST}",
        "content-type": "application/json",
        "x-fastmmap-token": client.token(),
    }
    answer = client.request("POST", "/api/clear", headers=headers, body=body)
    assert answer.status in (400, 413)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("live", {"since": "nan"}),
        ("live", {"since": "x"}),
        ("value", {"key": "no JSON"}),
        ("value", {"key": '{"base64": "?"}'}),
        ("value", {"key": "1"}),
        ("value", {"key": "[" * 100_000}),
        ("keys", {"sort": "__class__"}),
    ],
)
def test_wrong_questions_are_told_so(
    client: Client, name: str, parameters: dict[str, str]
) -> None:
    assert client.ask(name, **parameters).status == 400


@pytest.mark.parametrize("name", ["", "0", "../../etc/passwd", "/etc/passwd"])
def test_no_other_file_is_opened(client: Client, name: str) -> None:
    for question in ("live", "facts", "contents", "keys", "value"):
        assert client.ask(question, cache=name, key='"key"').status == 404


class Trap:
    """What makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_nothing_is_unpickled(client: Client, cache: FastMmap, tmp_path: Path) -> None:
    cache["trap"] = Trap(tmp_path / "sprung")
    value = client.ask("value", key='"trap"').value
    assert value["kind"] == "pickle" and "bytes" in value["text"]
    client.ask("contents")
    client.ask("keys", text="tr")
    assert not (tmp_path / "sprung").exists()


def test_looking_changes_no_byte_and_takes_no_page(
    client: Client, cache: FastMmap
) -> None:
    cache.update({f"key {number}": number for number in range(100)})
    client.ask("live")
    before = Path(cache.share_file).read_bytes()
    for name in ("live", "facts", "contents", "keys"):
        assert client.ask(name).status == 200
    assert client.ask("value", key='"key 1"').value["text"] == "1"
    assert Path(cache.share_file).read_bytes() == before
    assert len(cache.clients()) == 1
