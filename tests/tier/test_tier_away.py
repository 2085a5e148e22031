"""A server that is away, and one that comes back; listeners that end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import tier_server
from support import MakeCache, Scenario, run_scenario, say
from tier_support import LIMIT, MakeTier, settle

from fastmmap import FastMmap
from fastmmap.redis import RedisTier
from fastmmap.redis.circuit import Circuit
from fastmmap.redis.client import misuse_of
from fastmmap.waiting import Patience, pause


@pytest.fixture
def lone(make_cache: MakeCache) -> Iterator[tier_server.Server]:
    """Return a server that may be killed."""
    server = tier_server.Server()
    yield server
    server.close()


def test_errors_are_raised_by_default(
    lone: tier_server.Server, make_tier: MakeTier
) -> None:
    tier = make_tier(lone.url)
    lone.kill()
    for call in (tier.get, tier.delete, tier.incr, lambda key: tier.set(key, 1)):
        with pytest.raises(tier._away):
            call("app:a")
    with pytest.raises(tier._away):
        tier.get_many(["app:a"])


def test_on_down_miss_finds_nothing(
    lone: tier_server.Server, make_tier: MakeTier
) -> None:
    tier = make_tier(lone.url, on_down="miss")
    lone.kill()
    assert tier.get("app:a", 7) == 7 and tier.get_many(["app:a"]) == {}
    assert not tier.set("app:a", 1) and not tier.touch("app:a", 1)
    assert tier.delete("app:a") == 0
    assert tier.get_or_set("app:a", lambda: 5) == 5
    with pytest.raises(tier._away):  # a sum cannot be made up
        tier.incr("app:a")


def test_on_down_stale_serves_what_is_there(
    lone: tier_server.Server, make_tier: MakeTier, monkeypatch: Any
) -> None:
    tier = make_tier(lone.url, on_down="stale")
    tier.set_many({"app:a": 1, "app:b": 2})
    settle(tier)
    assert [tier.get("app:a"), tier.get("app:b")] == [1, 2]
    lone.kill()
    monkeypatch.setattr(tier._pulse, "until", lambda: 0.0)
    tier._look()
    assert tier.get("app:a") == 1
    assert tier.get_many(["app:a", "app:c"]) == {"app:a": 1}
    assert tier.get("app:c", 7) == 7
    assert not tier.set("app:b", 3)
    assert tier.get("app:b") is None  # it is not what the user wanted


def test_it_comes_back_by_itself(lone: tier_server.Server, make_tier: MakeTier) -> None:
    tier = make_tier(lone.url, on_down="miss", retry_after=0.01, max_lag=0.4)
    tier.set("app:a", 1)
    settle(tier)
    assert tier.get("app:a") == 1
    lone.kill()
    assert not tier.set("app:b", 1)
    lone.start()
    with Patience(LIMIT) as patience:
        while not tier.set("app:b", 1):
            pause(patience.delay() or pytest.fail("it does not come back"))
        lone.client().set("app:a", 2)
        while tier.get("app:a") != 2:
            pause(patience.delay() or pytest.fail("it shows what was before"))


def test_a_circuit_lets_one_call_through_now_and_then(monkeypatch: Any) -> None:
    now = 100.0
    monkeypatch.setattr("fastmmap._core.monotonic", lambda: now)
    circuit = Circuit(5)
    assert circuit.admits() and circuit.admits()
    circuit.failed()
    assert not circuit.admits()
    now += 6
    assert circuit.admits() and not circuit.admits()
    circuit.succeeded()
    assert circuit.admits() and circuit.admits()


def test_an_error_that_the_server_answers_ends_the_pause(
    make_tier: MakeTier, client: Any
) -> None:
    client.rpush("app:list", 1)
    tier = make_tier(on_down="miss", listen=False, live=False, retry_after=LIMIT)
    tier._circuit.failed()
    assert not tier.set("app:a", 1)
    tier._circuit._next_try = 1.0  # long ago: the next call tries
    with pytest.raises(redis.exceptions.ResponseError, match="WRONGTYPE"):
        tier.get("app:list")
    assert tier.set("app:a", 1)


def test_a_pool_without_a_connection_is_not_a_server_that_is_down(
    make_tier: MakeTier, server: tier_server.Server, client: Any
) -> None:
    options = {"on_down": "miss", "listen": False, "live": False}
    own = server.client(max_connections=1)
    tier = make_tier(own, **options)
    taken = own.connection_pool.get_connection()
    for call in (tier.get, lambda key: tier.set(key, 1)):
        with pytest.raises(redis.exceptions.ConnectionError, match="connections"):
            call("app:a")
    own.connection_pool.release(taken)
    assert tier.set("app:a", 1) and client.get("app:a") == b"1"


def test_a_wrong_password_is_not_a_miss(
    make_tier: MakeTier, server: tier_server.Server, client: Any
) -> None:
    where = client.connection_pool.connection_kwargs["path"]
    client.acl_setuser(
        "known", enabled=True, passwords=["+right"], categories=["+@all"]
    )
    tier = make_tier(f"unix://known:wrong@{where}", on_down="miss", live=False)
    for call in (tier.get, tier.delete, lambda key: tier.get_many([key])):
        with pytest.raises(redis.exceptions.AuthenticationError):
            call("app:a")


@pytest.mark.parametrize(
    "error",
    [
        redis.exceptions.CrossSlotTransactionError("two slots"),
        redis.exceptions.InvalidPipelineStack("not the answers"),
        redis.exceptions.ConnectionError("No connection available."),
        redis.exceptions.RedisClusterException(
            "transaction is deprecated in cluster mode"
        ),
    ],
)
def test_errors_of_usage_are_told_from_a_server_that_is_down(
    client: Any, error: Exception
) -> None:
    is_misuse = misuse_of(client)
    outer = redis.exceptions.RedisClusterException("no node can be reached")
    assert is_misuse(error) and not is_misuse(outer)
    outer.__cause__ = error
    assert is_misuse(outer)


def test_that_a_server_is_down_is_logged_once(
    lone: tier_server.Server, make_tier: MakeTier, caplog: Any
) -> None:
    options = {"on_down": "miss", "listen": False, "live": False}
    tier = make_tier(lone.url, retry_after=0, **options)
    lone.kill()
    for _ in range(3):
        assert tier.get("app:a") is None
    assert caplog.text.count("the server is down") == 1
    lone.start()
    assert tier.set("app:a", 1)
    lone.kill()
    assert not tier.set("app:a", 1)
    assert caplog.text.count("the server is down") == 2


def test_a_listener_that_is_refused_says_why(
    make_tier: MakeTier, client: Any, caplog: Any
) -> None:
    client.acl_setuser(
        "reader", enabled=True, nopass=True, keys=["*"], commands=["+get", "+pttl"]
    )
    where = client.connection_pool.connection_kwargs["path"]
    tier = make_tier(f"unix://reader:x@{where}", live=False)
    assert tier.get("app:a") is None and not tier.live
    with Patience(LIMIT) as patience:
        while "no listener to the server" not in caplog.text:
            pause(patience.delay() or pytest.fail("nothing is logged"))
    assert "NOPERM" in caplog.text


# ------------------------------------------------------------------ processes


def close_while_it_connects(path: str) -> list[bool]:
    """Close a tier whose listener waits for the first answer of a server."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = redis.Redis(port=silent.getsockname()[1], socket_timeout=None)
        tier = RedisTier(FastMmap(path), client, prefixes="app:", max_lag=0.1)
        was_live = tier.live
        connected = silent.accept()[0]
        tier.close()
        thread = tier._listener._thread
        assert thread is not None
        thread.join(LIMIT)
        connected.close()
        return [was_live, thread.is_alive()]


def test_close_ends_while_the_server_is_silent(make_cache: MakeCache) -> None:
    path = make_cache().share_file
    assert run_scenario(close_while_it_connects, path) == [False, False]


def listen_in_process(path: str, url: str) -> None:
    tier = RedisTier(FastMmap(path), url, prefixes=("app:",), max_lag=0.4)
    assert tier.wait_until_live(LIMIT)
    say("live")
    signal.pause()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_another_process_takes_over(
    make_cache: MakeCache, server: tier_server.Server, client: Any, how: signal.Signals
) -> None:
    cache = make_cache()
    tier = RedisTier(cache, server.url, prefixes=("app:",), max_lag=0.4)
    with Scenario(listen_in_process, cache.share_file, server.url) as other:
        assert other.hear() == "live"
        assert tier.wait_until_live(LIMIT)
        assert tier._listener._lock.holder().pid == other.process.pid
        client.set("app:a", 1)
        other.send(how)
        with Patience(LIMIT) as patience:
            while not own_listener(tier):
                pause(patience.delay() or pytest.fail("nobody takes over"))
        settle(tier)
        assert tier.get("app:a") == 1
        other.kill()
    tier.close()


def own_listener(tier: RedisTier) -> bool:
    holder = tier._listener._lock.holder()
    return holder is not None and holder.pid == os.getpid() and tier.live


def test_a_forked_child_has_its_own_thread(tier: RedisTier) -> None:
    pid = os.fork()
    if not pid:
        listener = tier._listener
        fine = listener._thread is None and listener._stream is None
        fine = fine and tier.get("app:a") is None and listener._thread is not None
        os._exit(0 if fine else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    settle(tier)  # the parent listens on


def test_the_command_listens_for_others(
    make_cache: MakeCache, server: tier_server.Server, client: Any
) -> None:
    cache = make_cache()
    options = {"prefixes": ("app:",), "max_lag": 5, "listen": False}
    tier = RedisTier(cache, server.url, **options)
    command = [sys.executable, "-m", "fastmmap", "redis-listener"]
    arguments = [cache.share_file, server.url, "--prefix", "app:", "--max-lag", "5"]
    process = subprocess.Popen([*command, *arguments])
    try:
        assert tier.wait_until_live(LIMIT)
        client.set("app:a", 1)
        settle(tier)
        assert tier.get("app:a") == 1
        process.terminate()
        assert process.wait(LIMIT) == 0
    finally:
        process.kill()
        process.wait()
