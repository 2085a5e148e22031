"""A tier in front of a cluster: each primary is heard, or nothing is believed.

The long form leaves protections out, too: then old values have to be seen. How soon
is up to the machine, so those tests look until they see one.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis.asyncio
from redis.cluster import ClusterNode
from support import LONG, MakeCache
from tier_cluster import HOST, Cluster, Node, slot_of, until
from tier_support import LIMIT, MakeTier

from fastmmap.redis import AsyncRedisTier, RedisTier, cluster, listener
from fastmmap.redis.cluster import ClusterTracking
from fastmmap.redis.listener import Listener
from fastmmap.redis.pulse import moment
from fastmmap.redis.stream import StreamError

LAG = 0.5

pytestmark = pytest.mark.once
LeaveOut = Callable[[pytest.MonkeyPatch], None]
mutant = pytest.mark.skipif(LONG == 1, reason="takes a while: FASTMMAP_LONG=5")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    site = Cluster(tmp_path_factory.mktemp("cluster"))
    yield site
    site.close()


@pytest.fixture
def make(site: Cluster, make_tier: MakeTier) -> Callable[..., RedisTier]:
    def make(**options: Any) -> RedisTier:
        options = {"on_down": "miss", "retry_after": 0.05, "max_lag": LAG, **options}
        return make_tier(site.client(), **options)

    site.client().flushall(target_nodes="primaries")
    return make


def hear(tier: RedisTier) -> None:
    """Wait until this host has heard of all that was changed before."""
    now = moment() + LAG
    until(lambda: tier._look() > now, "the listener hears")


def keep(tier: RedisTier, key: str, value: object) -> None:
    """Wait until a value is kept on this host, and believed.

    No older change is heard of after that, and drops it.
    """
    hear(tier)

    def is_kept() -> bool:
        tier.get(key)
        return tier.live and tier._values.get(key) == value

    until(is_kept, f"{value} is kept")


def sees(tier: RedisTier, key: str, value: int, client: Any) -> bool:
    """Store a value elsewhere; tell whether this host shows it when it has heard."""
    client.set(key, value)
    hear(tier)
    return shown(tier, key) == value


def shown(tier: RedisTier, key: str) -> Any:
    """Return the value that this host shows, as soon as it shows one.

    It has none while a busy cluster does not answer.
    """
    found: list[Any] = []

    def is_there() -> bool:
        found.append(tier.get(key))
        return found[-1] is not None

    until(is_there, f"{key} is there")
    return found[-1]


def test_calls_with_many_keys_work_across_slots(make: Callable[..., RedisTier]) -> None:
    tier = make()
    names = [f"app:{number}" for number in range(40)]
    values = {name: [name] for name in names}
    assert tier.set_many(values)
    assert tier.get_many([*names, "app:none"]) == values
    hear(tier)
    assert [tier.get_many(names), tier.get_many(names)] == [values, values]
    assert tier.delete(*names[:10], "app:none") == 10
    assert [tier.incr("app:n", initial=5), tier.incr("app:n", ttl=60)] == [6, 7]
    assert tier.touch(names[-1], 60)
    assert not tier.add(names[-1], 2)
    assert tier.get_or_set(names[0], lambda: [2]) == [2]
    assert tier.clear()
    assert tier.get_many(names) == {}


def test_a_change_on_any_primary_is_heard(
    make: Callable[..., RedisTier], site: Cluster
) -> None:
    tier, client = make(), site.client()
    for key in [site.key_of(node) for node in site.nodes[:3]]:
        client.set(key, 1)
        keep(tier, key, 1)
        assert sees(tier, key, 2, client)


def owners_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Listen to primaries with slots only."""
    find = cluster.primaries_in

    def some(answer: bytes) -> Any:
        return {one: where for one, where in find(answer).items() if one.slots}

    monkeypatch.setattr(cluster, "primaries_in", some)


def no_map(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep listening whatever the primaries say of the cluster, and however late."""
    monkeypatch.setattr(ClusterTracking, "_check", lambda self, answer: None)
    monkeypatch.setattr(listener, "_PATIENCE", 10 * LIMIT)


def begin_to_move(site: Cluster, key: str, target: Node) -> None:
    """Begin to move the slot of a key, and move the key."""
    slot, source = slot_of(key), site.owner(key)
    target.do("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
    source.do("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
    source.do("MIGRATE", HOST, target.port, key, 0, 5000)


def introduce(client: Any, node: Node) -> None:
    """Let a client know of a primary without slots: redis-py finds none by itself."""
    known = ClusterNode(HOST, node.port)
    client.nodes_manager.create_redis_connections([known])
    client.nodes_manager.nodes_cache[known.name] = known


def end_move(site: Cluster, key: str, target: Node) -> None:
    for node in [target, *site.nodes]:
        node.do("CLUSTER", "SETSLOT", slot_of(key), "NODE", target.id)
    until(site.is_well, "all know where the slot is")


def move_to_new(site: Cluster, tier: RedisTier, client: Any) -> tuple[str, Node]:
    """Begin to move the slot of a key that is kept to a new primary; return both."""
    key = site.key_of(site.nodes[0])
    client.set(key, 1)
    keep(tier, key, 1)
    new = site.extend()
    for one in (tier._client, client):
        introduce(one, new)
    begin_to_move(site, key, new)
    return key, new


@pytest.mark.long
def test_a_slot_that_moves_to_a_new_primary_is_heard(
    make: Callable[..., RedisTier], site: Cluster
) -> None:
    tier, client = make(), site.client()
    key, new = move_to_new(site, tier, client)
    client.set(key, 2)
    keep(tier, key, 2)
    while_it_moves = sees(tier, key, 3, client)
    end_move(site, key, new)
    assert while_it_moves
    assert sees(tier, key, 4, client)
    keep(tier, key, 4)
    assert sees(tier, key, 5, client)


@mutant
@pytest.mark.long
@pytest.mark.parametrize("leave_out", [owners_only, no_map])
def test_a_slot_that_moves_is_not_heard_without(
    make: Callable[..., RedisTier],
    site: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    leave_out: LeaveOut,
) -> None:
    leave_out(monkeypatch)
    tier, client = make(), site.client()
    key, new = move_to_new(site, tier, client)
    seen: list[bool] = []

    def is_old() -> bool:
        seen.append(sees(tier, key, len(seen) + 2, client))
        return not seen[-1]

    try:
        until(is_old, "an old value is seen")
    finally:
        end_move(site, key, new)
    assert not seen[-1]


def test_a_change_of_the_map_begins_an_epoch(
    make: Callable[..., RedisTier], site: Cluster
) -> None:
    tier, client = make(), site.client()
    key, other = site.key_of(site.nodes[0]), site.key_of(site.nodes[1])
    client.set(key, 1)
    client.set(other, 1)
    keep(tier, other, 1)
    begin_to_move(site, key, site.nodes[1])
    end_move(site, key, site.nodes[1])
    until(lambda: other not in tier._values, "the epoch begins")
    assert sees(tier, key, 2, client)


def test_one_primary_that_is_silent_ends_all_trust(
    make: Callable[..., RedisTier], site: Cluster
) -> None:
    tier = make()
    site.nodes[2].signal(signal.SIGSTOP)
    try:
        until(lambda: not tier.live, "nothing is believed")
    finally:
        site.nodes[2].signal(signal.SIGCONT)
    assert tier.wait_until_live(LIMIT)


def test_why_nobody_listens_is_logged_once(
    make: Callable[..., RedisTier],
    site: Cluster,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries: list[object] = []

    def refuse(*_: object) -> object:
        tries.append(None)
        raise StreamError(f"SET app:fastmmap.probe.{len(tries)}: CLUSTERDOWN")

    monkeypatch.setattr(cluster, "_ask_for_primaries", refuse)
    make(live=False).get("app:a")
    until(lambda: len(tries) >= 3, "it tries again")
    assert caplog.text.count("CLUSTERDOWN") == 1


def no_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what came before the connections."""
    monkeypatch.setattr(Listener, "_begin_epoch", lambda self: None)


def restart_empty(site: Cluster, tier: RedisTier, node: Node) -> None:
    """Kill a node and start it; return when somebody listens again."""
    node.kill()
    until(lambda: not tier.live, "nothing is believed")
    node.start()
    until(site.is_well, "the cluster is well")
    until(lambda: tier.live, "somebody listens")


@pytest.mark.long
def test_a_primary_that_was_killed_leaves_nothing(
    make: Callable[..., RedisTier], site: Cluster
) -> None:
    tier, node = make(), site.nodes[2]
    key = site.key_of(node)
    node.client.set(key, 1)
    keep(tier, key, 1)
    restart_empty(site, tier, node)
    assert tier.get(key) is None


@mutant
@pytest.mark.long
def test_a_primary_that_was_killed_leaves_an_old_value_without_an_epoch(
    make: Callable[..., RedisTier], site: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    tier, node = make(), site.nodes[2]
    key = site.key_of(node)
    node.client.set(key, 1)
    no_epoch(monkeypatch)
    keep(tier, key, 1)
    restart_empty(site, tier, node)
    assert shown(tier, key) == 1


def test_a_cluster_that_is_down_has_nothing(
    make: Callable[..., RedisTier], site: Cluster
) -> None:
    tier, key = make(), site.key_of(site.nodes[0])
    for node in site.nodes:
        node.kill()
    until(lambda: not tier.live, "nothing is believed")
    for _ in range(3):
        assert [tier.get(key), tier.set(key, 1)] == [None, False]
        time.sleep(0.06)  # it is asked again
    for node in site.nodes:
        node.start()
    until(site.is_well, "the cluster is well")
    until(lambda: tier.set(key, 2), "it comes back by itself")
    keep(tier, key, 2)


def test_a_replica_that_takes_over_is_heard(
    make: Callable[..., RedisTier], site: Cluster
) -> None:
    first, second = site.nodes[1], site.extend()
    second.do("CLUSTER", "REPLICATE", first.id)
    until(lambda: follows(second), "it follows")
    tier = make()
    key = site.key_of(first)
    first.client.set(key, 1)
    keep(tier, key, 1)
    second.do("CLUSTER", "FAILOVER", "TAKEOVER")
    until(lambda: follows(first), "the old one knows")
    assert sees(tier, key, 2, second.client)
    keep(tier, key, 2)
    assert sees(tier, key, 3, second.client)


def follows(node: Node) -> bool:
    """Tell whether a node is a replica that has all of its primary."""
    return bool(node.client.info("replication").get("master_link_status") == "up")


def test_the_command_listens_to_a_cluster(
    site: Cluster, make: Callable[..., RedisTier]
) -> None:
    tier = make(live=False, listen=False)
    url = f"redis://{HOST}:{site.nodes[0].port}"
    words = (sys.executable, "-m", "fastmmap", "redis-listener", "--cluster")
    options = ("--prefix", "app:", "--max-lag", str(LAG))
    process = subprocess.Popen([*words, tier._values.share_file, url, *options])
    try:
        assert tier.wait_until_live(LIMIT)
        process.terminate()
        assert process.wait(LIMIT) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.filterwarnings("ignore:Call to")
def test_replicas_are_not_read_from(site: Cluster, make_cache: MakeCache) -> None:
    client = site.client(read_from_replicas=True)
    with pytest.raises(ValueError, match="replicas"):
        RedisTier(make_cache(), client, prefixes="app:")


def test_both_clients_of_a_tier_are_of_a_cluster(
    site: Cluster, make_cache: MakeCache
) -> None:
    client = redis.asyncio.Redis(host=HOST, port=site.nodes[0].port)
    with pytest.raises(TypeError, match="cluster"):
        AsyncRedisTier(make_cache(), site.client(), client=client, prefixes="app:")


def test_a_probe_is_in_a_slot_of_its_primary() -> None:
    one = cluster.Primary("id", 1, (range(3, 5), range(100, 101)))
    probe = cluster._probe("app:", one)
    assert probe is not None
    assert slot_of(probe) in (3, 4, 100)
    assert cluster._probe("{app}:", one) is None
    assert slot_of("{app}:1") == slot_of("app") == slot_of("x{app}{y}")
    assert slot_of("123456789") == 0x31C3


def test_the_list_of_nodes_is_read_as_servers_write_it() -> None:
    text = (
        b"txt:a 10.0.0.1:1@2,name,shard-id=s myself,master - 0 0 7 connected 0-2 9"
        b" [3->-b]\n"
        b"b 10.0.0.2:1@2 master - 0 0 8 connected\n"
        b"c 10.0.0.3:1@2 slave a 0 0 7 connected\n"
        b"d 10.0.0.4:1@2 master,fail - 0 0 5 connected\n"
        b"e 10.0.0.5:1@2 master,fail - 0 0 6 connected 10-20\n"
        b"f :0@0 master,noaddr - 0 0 3 disconnected\n"
    )
    assert cluster.primaries_in(text) == {
        cluster.Primary("a", 7, (range(3), range(9, 10))): [
            ("name", 1),
            ("10.0.0.1", 1),
        ],
        cluster.Primary("b", 8, ()): [("10.0.0.2", 1)],
        cluster.Primary("e", 6, (range(10, 21),)): [("10.0.0.5", 1)],
    }


def test_awaited_it_is_the_same(site: Cluster, make_cache: MakeCache) -> None:
    from redis.asyncio import cluster as awaited

    async def use() -> list[object]:
        first = [awaited.ClusterNode(HOST, node.port) for node in site.nodes]
        client = awaited.RedisCluster(startup_nodes=first)
        options = {"client": client, "prefixes": "app:", "max_lag": LAG}
        tier = AsyncRedisTier(make_cache(), site.client(), **options)
        names = [f"app:{number}" for number in range(40)]
        try:
            assert await tier.wait_until_live(LIMIT)
            await tier.set_many(dict.fromkeys(names, 1))
            found = await tier.get_many(names)
            counted = await tier.incr("app:n", initial=5)
            deleted = await tier.delete(*names)
            await tier.clear()
            return [found, counted, deleted, await tier.get("app:n")]
        finally:
            tier.close()
            await client.aclose()

    names = [f"app:{number}" for number in range(40)]
    assert asyncio.run(use()) == [dict.fromkeys(names, 1), 6, 40, None]
