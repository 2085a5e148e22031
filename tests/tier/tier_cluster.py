"""A small cluster of the tests' own, on ports of the loopback."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
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
        self.signal(signal.SIGKILL)
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
