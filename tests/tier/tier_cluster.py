"""A small cluster of the tests' own, on ports of the loopback."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis
import tier_server
from redis.cluster import ClusterNode, RedisCluster

from fastmmap.redis.cluster import slot_of

LIMIT = 60.0  # seconds
SLOTS = 16384
HOST = "127.0.0.1"


def until(done: Callable[[], object], what: str) -> None:
    end = time.monotonic() + LIMIT
    while not done():
        assert time.monotonic() < end, f"not within {LIMIT} s: {what}"
        time.sleep(0.02)


def free_port() -> int:
    """Return a port that is free, as is that of the bus, 10,000 above."""
    while True:
        with socket.create_server((HOST, 0)) as first:
            port = int(first.getsockname()[1])
        if port < 55000:
            try:
                socket.create_server((HOST, port + 10000)).close()
            except OSError:
                continue
            return port


class Node:
    """A server of the cluster; it is empty, and knows the others, when it restarts."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.port = folder, free_port()
        self.client = redis.Redis(HOST, self.port)
        self.start()
        self.id = self.do("CLUSTER", "MYID").decode()

    def start(self) -> None:
        assert tier_server.PROGRAM is not None
        options = {
            "port": self.port,
            "save": "",
            "cluster-enabled": "yes",
            "cluster-config-file": f"{self.port}.conf",
            "cluster-node-timeout": 5000,
            "cluster-require-full-coverage": "no",
            "repl-diskless-sync-delay": 0,
        }
        words = [str(word) for name in options for word in (f"--{name}", options[name])]
        self._process = subprocess.Popen(
            [tier_server.PROGRAM, *words],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
        )
        until(self._answers, "a node starts")

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.exceptions.ConnectionError:
            return False

    def do(self, *words: object) -> Any:
        return self.client.execute_command(*words)

    def signal(self, number: int) -> None:
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


class Cluster:
    """Three primaries, and what is added."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.nodes: list[Node] = []
        try:
            for number in range(3):
                node = self.add()
                first, end = SLOTS * number // 3, SLOTS * (number + 1) // 3
                node.do("CLUSTER", "ADDSLOTS", *range(first, end))
            until(self.is_well, "the cluster is well")
        except BaseException:
            self.close()
            raise

    def add(self) -> Node:
        """Start a node without slots; return it when all know it."""
        node = Node(self._folder)
        self.nodes.append(node)
        node.do("CLUSTER", "MEET", HOST, self.nodes[0].port)
        until(self._all_know_all, "all know all")
        return node

    def extend(self) -> Node:
        """Add a node without slots; return it when it knows where they are."""
        node = self.add()
        until(self.is_well, "the cluster is well")
        return node

    def _all_know_all(self) -> bool:
        ids = {node.id for node in self.nodes}
        return all(self._known_to(node) == ids for node in self.nodes)

    def _known_to(self, node: Node) -> set[str]:
        lines = node.do("CLUSTER", "NODES").decode().splitlines()
        return {line.split()[0] for line in lines if "handshake" not in line}

    def is_well(self) -> bool:
        """Tell whether all nodes say so, and of each slot the same."""
        wanted = b"cluster_state:ok", b"cluster_slots_ok:%d" % SLOTS
        infos = [node.do("CLUSTER", "INFO").split() for node in self.nodes]
        return all(one in info for one in wanted for info in infos)

    def client(self, **options: Any) -> Any:
        first = [ClusterNode(HOST, node.port) for node in self.nodes]
        options = {"socket_timeout": 5, **options}
        return RedisCluster(startup_nodes=first, **options)

    def owner(self, key: str) -> Node:
        """Return the primary that has a key, by what the first of all says."""
        slot = slot_of(key)
        for first, last, primary, *_ in self.nodes[0].do("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(one for one in self.nodes if one.port == primary[1])
        raise LookupError(key)

    def key_of(self, node: Node) -> str:
        """Return a key that a primary has."""
        keys = (f"app:{number}" for number in range(10 * SLOTS))
        return next(key for key in keys if self.owner(key) is node)

    def close(self) -> None:
        for node in self.nodes:
            node.kill()


class ClusterServer:
    """A cluster in the place of a `tier_server.Server`."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tier")
        self._cluster = Cluster(Path(self._folder.name))
        self._killed = self._cluster.nodes[0]
        self.url = f"cluster:{self._cluster.nodes[0].port}"

    def client(self) -> Any:
        return client_of(self.url)

    def nodes(self) -> list[Any]:
        return [node.client for node in self._cluster.nodes]

    def kill(self) -> None:
        """Kill one of the nodes."""
        self._killed = random.choice(self._cluster.nodes)
        self._killed.kill()

    def start(self) -> None:
        """Start it again."""
        self._killed.start()
        until(self._cluster.is_well, "the cluster is well")

    def reshard(self, key: str) -> None:
        """Move the slot of a key to another primary."""
        slot, source = slot_of(key), self._cluster.owner(key)
        others = [node for node in self._cluster.nodes if node is not source]
        target = random.choice(others)
        target.do("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.do("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
        while keys := source.do("CLUSTER", "GETKEYSINSLOT", slot, 1):
            source.do("MIGRATE", HOST, target.port, keys[0], 0, 5000)
        time.sleep(random.uniform(0, 0.02))  # new keys come to the target
        for node in [target, source, *others]:
            node.do("CLUSTER", "SETSLOT", slot, "NODE", target.id)

    def close(self) -> None:
        self._cluster.close()
        self._folder.cleanup()


def client_of(url: str) -> Any:
    """Return a client of the cluster that such a URL names."""
    first = ClusterNode(HOST, int(url.partition(":")[2]))
    return RedisCluster(startup_nodes=[first], socket_timeout=1)
