"""Tiers in front of servers as they are run: with TLS, with users, under Sentinel."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import tier_server
from redis.sentinel import Sentinel
from tier_support import LIMIT, MakeTier, settle

from fastmmap.redis import RedisTier

NAME = "site"

pytestmark = pytest.mark.once


def until(done: Callable[[], object], what: str) -> None:
    end = time.monotonic() + LIMIT
    while not done():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Program:
    """A server on a port of the loopback, or a sentinel."""

    def __init__(self, folder: Path, *options: str) -> None:
        assert tier_server.PROGRAM is not None
        self.port = free_port()
        self._process = subprocess.Popen(
            [tier_server.PROGRAM, *options, "--port", str(self.port), "--save", ""],
            cwd=folder,
            stdout=subprocess.DEVNULL,
        )
        until(self._answers, "the server does not start")

    def _answers(self) -> bool:
        try:
            return bool(self.client().ping())
        except redis.exceptions.ConnectionError:
            return False

    def client(self) -> Any:
        return redis.Redis("127.0.0.1", self.port)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


class Site:
    """A server, its replica, and the sentinel that watches them."""

    def __init__(self, folder: Path) -> None:
        self.first = Program(folder, "--repl-diskless-sync-delay", "0")
        of_first = ("--replicaof", "127.0.0.1", str(self.first.port))
        self.second = Program(folder, *of_first)
        until(self._is_replicated, "the replica does not follow")
        settings = folder / "sentinel.conf"
        settings.write_text(
            f"sentinel monitor {NAME} 127.0.0.1 {self.first.port} 1\n"
            f"sentinel down-after-milliseconds {NAME} 500\n"
            f"sentinel failover-timeout {NAME} 3000\n"
        )
        self.watch = Program(folder, str(settings), "--sentinel")
        until(self._is_known, "the sentinel does not see the replica")

    def _is_replicated(self) -> bool:
        return bool(self.second.client().info()["master_link_status"] == "up")

    def _is_known(self) -> bool:
        masters = self.watch.client().sentinel_masters()
        return bool(masters[NAME]["num-slaves"] == 1)

    def master(self) -> Any:
        where = [("127.0.0.1", self.watch.port)]
        return Sentinel(where, socket_timeout=1).master_for(NAME, socket_timeout=1)

    def close(self) -> None:
        for program in (self.watch, self.first, self.second):
            program.kill()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.close()


def is_served_from_here(tier: RedisTier, key: str) -> bool:
    """Read a key; tell whether its value is kept on this host, and believed.

    The server tells of own changes too: the first answer may be dropped for that.
    """
    tier.get(key)
    return tier.live and key in tier._values


def die(site: Site) -> None:
    site.first.kill()


def step_down(site: Site) -> None:
    """Ask the sentinel, which first has to find its replica good enough."""
    until(lambda: is_told_to_step_down(site), "the sentinel finds no replica")


def is_told_to_step_down(site: Site) -> bool:
    try:
        site.watch.client().execute_command("SENTINEL", "FAILOVER", NAME)
    except redis.exceptions.ResponseError:
        return False
    return True


@pytest.mark.parametrize("fail", [die, step_down])
def test_a_failover_begins_a_new_epoch(
    site: Site, make_tier: MakeTier, fail: Callable[[Site], None]
) -> None:
    tier = make_tier(site.master(), max_lag=0.5, on_down="miss", retry_after=0.05)
    tier.set("app:key", "old")
    assert tier.get("app:key") == "old"
    until(lambda: is_served_from_here(tier, "app:key"), "it is not kept")
    until(lambda: site.second.client().exists("app:key"), "it is not replicated")
    fail(site)
    second = site.second.client()
    until(lambda: second.info()["role"] == "master", "there is no failover")
    codec = tier._codec
    second.set("app:key", codec.dumps("new"))
    until(lambda: tier.get("app:key") == "new", "the old value is served")
    until(lambda: tier.live, "nobody listens to the new server")
    tier.get("app:key")
    second.set("app:key", codec.dumps("newer"))
    settle(tier, second)
    assert tier.get("app:key") == "newer"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Make a key and a certificate of "localhost", signed by itself."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl")
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    return key, certificate


@pytest.fixture
def secure(certificate: tuple[Path, Path]) -> Iterator[tuple[tier_server.Server, str]]:
    """Yield a server with TLS, and its URL there."""
    key, chain = certificate
    port = free_port()
    files = ("--tls-cert-file", str(key.with_name(chain.name)), "--tls-key-file")
    options = ("--tls-port", str(port), *files, str(key), "--tls-auth-clients", "no")
    try:
        server = tier_server.Server(*options)
    except AssertionError:
        pytest.skip("this server has no TLS")
    yield server, f"rediss://localhost:{port}?ssl_ca_certs={chain}"
    server.close()


def test_the_listener_uses_tls_as_the_client_does(
    secure: tuple[tier_server.Server, str], make_tier: MakeTier
) -> None:
    server, url = secure
    tier = make_tier(url)
    tier.set("app:key", 1)
    assert tier.get("app:key") == 1
    until(lambda: is_served_from_here(tier, "app:key"), "it is not kept")
    client = server.client()
    client.set("app:key", 2)
    settle(tier, client)
    assert tier.get("app:key") == 2


def test_a_listener_of_tls_can_be_stopped(
    secure: tuple[tier_server.Server, str], make_tier: MakeTier
) -> None:
    tier = make_tier(secure[1])
    tier.close()
    assert not tier._listener._thread.is_alive()


def test_a_user_may_read_a_prefix_and_no_more(
    server: tier_server.Server, make_tier: MakeTier
) -> None:
    rights = ["~app:*", "+@all", "-@dangerous", "+client|tracking"]
    server.client().execute_command("ACL", "SETUSER", "web", "on", ">secret", *rights)
    client = redis.Redis(
        unix_socket_path=server.socket, username="web", password="secret"
    )
    tier = make_tier(client)
    tier.set("app:key", 1)
    assert tier.get("app:key") == 1
    until(lambda: is_served_from_here(tier, "app:key"), "it is not kept")
    with pytest.raises(redis.exceptions.NoPermissionError):
        tier.get("other:key")
