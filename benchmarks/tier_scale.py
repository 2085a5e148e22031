"""Where one server in front of many hosts ends: a simulation of tiers.

    python benchmarks/tier_scale.py [--hosts 1000] [--writes 1000000] [--measure]

Keys are in 1,000 groups, each with its prefix. A host listens to some share of the
groups, and reads. Servers share all keys evenly, and push each change to the hosts that
listen to its group. Servers and listeners have a second of work for each second; what
they cannot do waits, and a push is as late as what waits before it. A host whose pushes
are later than ``max_lag`` is not live: it sends every read to the servers, which makes
them later. Printed is, for each number of servers and each share, how late pushes are
after 20 seconds, and the share of hosts that are live. ``--measure`` finds the cost of
a command and of a push, both in bundles, on a server of this machine.
"""

from __future__ import annotations

import argparse
import random
import socket
import sys
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "tier"))

GROUPS = 1000
STEP = 0.02  # seconds


class Costs(NamedTuple):
    """Seconds of work."""

    command: float = 5e-6  # of a server, each in a packet; 1 us in bundles
    push: float = 0.1e-6  # of a server: one key to one host, by a network of 10 Gbit/s
    drop: float = 2e-6  # of a listener: one key


class Site(NamedTuple):
    """What is simulated."""

    hosts: int
    servers: int
    writes: float  # a second, of all together
    share: float  # of the groups that a host listens to
    reads: float = 5000.0  # a second, of one host
    misses: float = 0.01  # of the reads of a live host
    max_lag: float = 1.0


class Outcome(NamedTuple):
    """How it went, at the end."""

    pushes: float  # a second, of one server, that were wanted
    heard: float  # a second, of one host
    lag: float  # seconds, the median of the hosts
    live: float  # share of the hosts


def heard_by_host(site: Site, chance: random.Random) -> list[float]:
    """Return the changes a second that each host listens to: some groups are hot."""
    weights = [1 / (rank + 10) for rank in range(GROUPS)]
    total = sum(weights)
    rates = [site.writes * weight / total for weight in weights]
    count = max(1, round(site.share * GROUPS))
    return [sum(chance.sample(rates, count)) for _ in range(site.hosts)]


def simulate(site: Site, costs: Costs, seconds: float = 20.0) -> Outcome:
    """Let time go on in steps, from a quiet start."""
    heard = heard_by_host(site, random.Random(1))
    waiting, behind = 0.0, [0.0] * site.hosts  # seconds of work
    lags = [0.0] * site.hosts
    for _ in range(round(seconds / STEP)):
        live = sum(lag <= site.max_lag for lag in lags)
        reads = site.reads * (site.hosts - (1 - site.misses) * live)
        wanted = costs.command * (site.writes + reads) + costs.push * sum(heard)
        load = wanted / site.servers
        done = 1 / max(1.0, waiting / STEP + load)
        waiting = max(0.0, waiting + STEP * (load - 1))
        for host, rate in enumerate(heard):
            work = behind[host] + STEP * (rate * done * costs.drop - 1)
            behind[host] = max(0.0, work)
            lags[host] = waiting + behind[host]
    live = sum(lag <= site.max_lag for lag in lags)
    lag = sorted(lags)[site.hosts // 2]
    mean = sum(heard) / site.hosts
    return Outcome(sum(heard) / site.servers, mean, lag, live / site.hosts)


# -------------------------------------------------------------------- measured


def drain(path: str, count: int) -> list[socket.socket]:
    """Return connections that are pushed all changes, which a thread reads."""
    import selectors

    selector, found = selectors.DefaultSelector(), []
    for _ in range(count):
        one = socket.socket(socket.AF_UNIX)
        one.connect(path)
        one.sendall(b"HELLO 3\r\nCLIENT TRACKING ON BCAST\r\n")
        selector.register(one, selectors.EVENT_READ)
        found.append(one)

    def read() -> None:
        while True:
            for key, _ in selector.select():
                if not key.fileobj.recv(1 << 20):  # type: ignore[union-attr]  # a socket
                    return

    threading.Thread(target=read, daemon=True).start()
    return found


def cpu_of_changes(server: Any, listeners: int, bundles: int = 100) -> float:
    """Return the CPU time of a server for a change that some connections are told."""
    held = drain(server.socket, listeners) if listeners else []
    bundle = b"".join(b"SET app:%d 1\r\n" % number for number in range(500))
    client = server.client()
    time.sleep(0.2)
    before = client.info("cpu")
    with socket.socket(socket.AF_UNIX) as writer:
        writer.connect(server.socket)
        for _ in range(bundles):
            writer.sendall(bundle)
            left = 500 * len(b"+OK\r\n")
            while left:
                left -= len(writer.recv(left))
    after = client.info("cpu")
    for one in held:
        one.shutdown(socket.SHUT_RDWR)
    names = "used_cpu_user", "used_cpu_sys"
    used = sum(float(after[name]) - float(before[name]) for name in names)
    return used / (500 * bundles)


def measured() -> Costs:
    """Return the costs of a server of this machine."""
    server = import_module("tier_server").Server()  # of tests/tier
    try:
        alone, told = cpu_of_changes(server, 0), cpu_of_changes(server, 50)
        return Costs(command=alone, push=max(told - alone, 0) / 50)
    finally:
        server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--writes", type=float, default=1e6)
    parser.add_argument("--measure", action="store_true")
    given = parser.parse_args()
    costs = measured() if given.measure else Costs()
    shown = (f"{name} {1e6 * cost:.2f} us" for name, cost in costs._asdict().items())
    print(", ".join(shown))
    print("servers  groups of a host  pushes/s each  heard/s by a host    lag, s  live")
    for servers in (1, 4, 16, 64, 256):
        for share in (1.0, 0.3, 0.1, 0.03, 0.01):
            site = Site(given.hosts, servers, given.writes, share)
            found = simulate(site, costs)
            print(
                f"{servers:7}{share:18.0%}{found.pushes:15,.0f}{found.heard:19,.0f}"
                f"{found.lag:10.2f}{found.live:6.0%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
