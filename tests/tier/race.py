"""The race: two hosts in front of one server, and what may go wrong.

Each host is a cache file with several workers, one of which listens. Writers change
keys on the server, workers read them all the time. In rounds, the writers rest, each
host hears of what they did, and is compared with the server. Beside that each read
is checked against what was acknowledged ``max_lag`` before, and own writes against
what is read next.

    python tests/tier/race.py --rounds 10000 --faults all

``--namespaces`` puts each host into a network namespace, behind a link that can be
taken down (fault "link") and, if the kernel can, be slow ("delay"); see `namespaces`.
``--cluster`` puts a cluster into the place of the server; slots move ("reshard").
``--leave-out NAME`` takes a protection away: then something has to be found.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent))

import leave_out
import namespaces
import tier_server

from fastmmap import FastMmap
from fastmmap.redis import RedisTier
from fastmmap.redis.pulse import moment

STORM, REST, END = 0, 1, 2
RING = 1024  # acknowledged writes that are known of each key
WRONG = 3  # exit status
LIMIT = 60.0  # seconds that a host may take to hear of everything
FAULTS = ("kill", "stop", "cut", "flush", "server")
OF_LINKS = ("link", "delay")  # with namespaces
OF_CLUSTERS = ("reshard",)
IN_A_NETWORK = (
    *("--bind", "0.0.0.0", "--port", str(namespaces.PORT)),
    *("--protected-mode", "no"),
)
_forking = multiprocessing.get_context("fork")


class Plan(NamedTuple):
    """What is run."""

    url: str
    files: tuple[str, ...]
    keys: int
    workers: int  # of each host
    writers: int
    max_lag: float
    leave_out: str
    seed: int
    network: namespaces.Network | None = None


def key_of(number: int) -> str:
    return f"app:{number}"


class Shared:
    """What all processes see."""

    def __init__(self, plan: Plan) -> None:
        self.phase = _forking.RawValue("i", REST)
        self.resting = _forking.RawArray("i", plan.writers)
        self.numbers = _forking.RawArray("q", plan.keys * RING)
        self.times = _forking.RawArray("d", plan.keys * RING)
        workers = plan.workers * len(plan.files)
        self.reads = _forking.RawArray("q", workers)
        self.late = _forking.RawArray("q", workers)
        self.unseen = _forking.RawArray("q", workers)

        self.parent = os.getpid()

    def ended(self) -> bool:
        """Tell whether the race is over, or was killed."""
        return bool(self.phase.value == END or os.getppid() != self.parent)

    def acknowledge(self, key: int, number: int) -> None:
        place = key * RING + number % RING
        self.times[place] = moment()
        self.numbers[place] = number

    def acknowledged_before(self, key: int, number: int, when: float) -> bool:
        """Tell whether such a write, or a later one, was acknowledged before then."""
        place = key * RING + number % RING
        return self.numbers[place] >= number and self.times[place] < when


def client_of(url: str) -> Any:
    """Return a client of a server, or of a cluster."""
    if url.startswith("cluster"):
        import tier_cluster

        return tier_cluster.client_of(url)
    import redis

    return redis.Redis.from_url(url)


def write(plan: Plan, shared: Shared, me: int) -> None:
    """Change the keys of one writer; the numbers of each key grow."""
    import redis

    away = redis.exceptions
    lost = away.ConnectionError, away.TimeoutError, away.ClusterError
    client = client_of(plan.url)
    chance = random.Random(plan.seed + me)
    mine = range(me, plan.keys, plan.writers)
    numbers = dict.fromkeys(mine, 0)
    while not shared.ended():
        if shared.phase.value == REST:
            shared.resting[me] = 1
            time.sleep(0.0005)
            continue
        shared.resting[me] = 0
        if shared.phase.value != STORM:
            continue
        key = chance.choice(mine)
        with suppress(*lost):
            change(client, chance, shared, key, numbers)


def change(
    client: Any, chance: random.Random, shared: Shared, key: int, numbers: Any
) -> None:
    kind = chance.random()
    if kind < 0.1:
        client.delete(key_of(key))
        return
    numbers[key] += 1
    ms = chance.randrange(1, 50) if kind < 0.2 else None
    client.set(key_of(key), numbers[key], px=ms)
    shared.acknowledge(key, numbers[key])


def open_tier(plan: Plan, host: int, **options: Any) -> RedisTier:
    cache = FastMmap(plan.files[host], cache_size="4m")
    options.setdefault("prefixes", ("app:",))
    return RedisTier(
        cache,
        client_of(plan.url) if plan.url.startswith("cluster") else plan.url,
        max_lag=plan.max_lag,
        on_down="miss",
        retry_after=0.01,
        **options,
    )


def work(plan: Plan, shared: Shared, host: int, me: int) -> None:
    """Read like a worker of a host, and check what can be checked at once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    leave_out.apply(plan.leave_out)
    if plan.network is not None:
        plan.network.enter(host)
    tier = open_tier(plan, host)
    chance = random.Random()
    others, count = plan.workers * len(plan.files), 0
    while not shared.ended():
        shared.reads[me] += 1
        kind = chance.random()
        if kind < 0.1:
            count += 1
            shared.unseen[me] += not sees_own(tier, own_key(me), count)
            continue
        if kind < 0.4:
            tier.get(own_key(chance.randrange(others)))
            continue
        keys = chance.sample(range(plan.keys), 4 if chance.random() < 0.1 else 1)
        before = moment() - plan.max_lag
        found = read(tier, keys)
        for key, number in found.items():
            if shared.acknowledged_before(key, number + 1, before):
                shared.late[me] += 1


def wake(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def own_key(me: int) -> str:
    return f"app:own:{me}"


def sees_own(tier: RedisTier, key: str, count: int) -> bool:
    """Write a key that nobody else writes; tell whether that is read next.

    While the server is away, or has lost everything, nothing is.
    """
    return not tier.set(key, count) or tier.get(key, count) == count


def read(tier: RedisTier, keys: list[int]) -> dict[int, int]:
    if len(keys) > 1:
        names = {key_of(key): key for key in keys}
        return {names[str(k)]: v for k, v in tier.get_many(names).items()}
    number = tier.get(key_of(keys[0]))
    return {} if number is None else {keys[0]: number}


class Race:
    """The processes of a race, and the rounds."""

    def __init__(self, plan: Plan, server: Any, faults: list[str]) -> None:
        self.plan, self.server, self.faults = plan, server, faults
        self.shared = Shared(plan)
        self.chance = random.Random(plan.seed)
        self.client = server.client()
        self.workers: dict[int, Any] = {}
        self.undone: list[tuple[float, Callable[[], None]]] = []
        self.counts = dict.fromkeys((*faults, "stale", "rounds"), 0)
        self.writers = [self._start(write, me) for me in range(plan.writers)]
        for me in range(plan.workers * len(plan.files)):
            self._start_worker(me)
        self.tiers = [
            open_tier(plan, host, listen=False) for host in range(len(plan.files))
        ]

    def _start(self, target: Callable[..., None], *args: Any) -> Any:
        process = _forking.Process(target=target, args=(self.plan, self.shared, *args))
        process.start()
        return process

    def _start_worker(self, me: int) -> None:
        self.workers[me] = self._start(work, me // self.plan.workers, me)

    def found(self) -> dict[str, int]:
        """Return what happened, and what was wrong."""
        shared = self.shared
        sums = {"late": sum(shared.late), "unseen": sum(shared.unseen)}
        return {**self.counts, **sums, "reads": sum(shared.reads)}

    def wrong(self) -> int:
        found = self.found()
        return found["stale"] + found["late"] + found["unseen"]

    def round(self) -> None:
        """Let all run, and compare when all is quiet."""
        self.shared.phase.value = STORM
        time.sleep(self.chance.uniform(0.001, 0.006))
        if self.faults and self.chance.random() < 0.2:
            fault = self.chance.choice(self.faults)
            self.counts[fault] += 1
            getattr(self, f"_{fault}")()
            time.sleep(self.chance.uniform(0, 0.05))
        self.shared.phase.value = REST
        self._until(lambda: all(self.shared.resting), "writers rest")
        self._compare()
        self.counts["rounds"] += 1
        for me in range(len(self.shared.resting)):
            self.shared.resting[me] = 0

    def _until(self, done: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + LIMIT
        while not done():
            self._continue()
            assert time.monotonic() < end, f"not within {LIMIT} s: {what}"
            time.sleep(0.001)

    def _compare(self) -> None:
        now = moment() + self.plan.max_lag
        names = [key_of(key) for key in range(self.plan.keys)]
        for tier in self.tiers:
            self._until(lambda tier=tier: tier._look() > now, "listeners hear")
            before = self._server_has(names)
            here = [tier.get(name) for name in names]
            after = self._server_has(names)
            for name, value, *there in zip(names, here, before, after, strict=True):
                if value not in [n if n is None else int(n) for n in there]:
                    self.counts["stale"] += 1
                    print(f"stale: {name} is {value}, not {there}", flush=True)

    def _server_has(self, names: list[str]) -> list[Any]:
        with self.client.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.get(name)
            return list(pipe.execute())

    # ----------------------------------------------------------------- faults

    def _listener(self) -> int | None:
        """Return the process that listens for some host."""
        holder = self.chance.choice(self.tiers)._listener._lock.holder()
        return None if holder is None else holder.pid

    def _kill(self) -> None:
        pid = self._listener()
        for me, process in self.workers.items():
            if process.pid == pid:
                process.kill()
                process.join()
                self._start_worker(me)
                return

    def _stop(self) -> None:
        pid = self._listener()
        if any(process.pid == pid for process in self.workers.values()):
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)
            self._undo_later(partial(wake, pid))

    def _undo_later(self, undo: Callable[[], None], times: int = 1) -> None:
        seconds = self.chance.uniform(0.5, 3) * self.plan.max_lag * times
        self.undone.append((time.monotonic() + seconds, undo))

    def _continue(self, all_of_them: bool = False) -> None:
        now = time.monotonic()
        for one in [one for one in self.undone if all_of_them or one[0] <= now]:
            self.undone.remove(one)
            one[1]()

    def _cut(self) -> None:
        for node in self.server.nodes():
            for one in node.client_list():
                if "t" in one["flags"]:
                    node.client_kill_filter(_id=one["id"])

    def _link(self) -> None:
        """Take a link down; at times until the listener gives its connection up."""
        network, host = self._some_link()
        network.cut(host)
        times = 10 if self.chance.random() < 0.1 else 1
        self._undo_later(partial(network.mend, host), times)

    def _delay(self) -> None:
        network, host = self._some_link()
        network.delay(host)
        self._undo_later(partial(network.hurry, host))

    def _some_link(self) -> tuple[namespaces.Network, int]:
        assert self.plan.network is not None
        return self.plan.network, self.chance.randrange(len(self.plan.files))

    def _flush(self) -> None:
        for node in self.server.nodes():
            node.flushall()

    def _reshard(self) -> None:
        self.server.reshard(key_of(self.chance.randrange(self.plan.keys)))

    def _server(self) -> None:
        self.server.kill()
        self.server.start()

    def close(self) -> None:
        self.shared.phase.value = END
        self._continue(all_of_them=True)
        for process in (*self.writers, *self.workers.values()):
            process.join(10)
            process.kill()
            process.join()


def run(
    rounds: int,
    faults: list[str],
    leave_out: str = "",
    max_lag: float = 0.1,
    seed: int = 1,
    workers: int = 4,
    network: namespaces.Network | None = None,
    cluster: bool = False,
) -> dict[str, int]:
    """Run until something is wrong, or so many rounds; return what happened."""
    server = server_for(network, cluster)
    url = f"redis://{namespaces.ADDRESS}:{namespaces.PORT}" if network else server.url
    with tempfile.TemporaryDirectory() as folder:
        files = (f"{folder}/one", f"{folder}/other")
        plan = Plan(url, files, 64, workers, 4, max_lag, leave_out, seed, network)
        race = Race(plan, server, faults)
        try:
            while race.counts["rounds"] < rounds and not race.wrong():
                race.round()
                if race.counts["rounds"] % 500 == 0:
                    print(race.found(), flush=True)
        finally:
            race.close()
            server.close()
        return race.found()


def server_for(network: namespaces.Network | None, cluster: bool) -> Any:
    """Start a server, or a cluster, that the hosts can reach."""
    if cluster:
        import tier_cluster

        return tier_cluster.ClusterServer()
    return tier_server.Server(*(IN_A_NETWORK if network else ()))


def faults_of(
    text: str, network: namespaces.Network | None, cluster: bool
) -> list[str]:
    """Return the faults that are asked for; "all" is those that there can be."""
    if text != "all":
        return [one for one in text.split(",") if one]
    if cluster:
        return [*FAULTS, *OF_CLUSTERS]
    if network is None:
        return list(FAULTS)
    return [*FAULTS, *(OF_LINKS if network.can_delay() else OF_LINKS[:1])]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000)
    names = ", ".join((*FAULTS, *OF_LINKS, *OF_CLUSTERS))
    parser.add_argument("--faults", default="", help=f"all, or of {names}")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--namespaces", action="store_true")
    where.add_argument("--cluster", action="store_true")
    parser.add_argument("--leave-out", default="", choices=["", *leave_out.ALL])
    parser.add_argument("--max-lag", type=float, default=0.1)
    parser.add_argument("--workers", type=int, default=4, help="of each host")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and clean up
    try:
        network = namespaces.Network(2) if given.namespaces else None
    except namespaces.NoNamespaces as error:
        sys.exit(f"no network namespaces: {error}")
    try:
        return report(given, network)
    finally:
        if network is not None:
            network.close()


def report(given: argparse.Namespace, network: namespaces.Network | None) -> int:
    """Run as the command says; print what was found, and return the exit status."""
    faults = faults_of(given.faults, network, given.cluster)
    print(f"seed {given.seed}, faults {' '.join(faults) or 'none'}", flush=True)
    start = time.monotonic()
    found = run(
        given.rounds,
        faults,
        given.leave_out,
        given.max_lag,
        given.seed,
        given.workers,
        network,
        given.cluster,
    )
    print(f"{time.monotonic() - start:.0f} s: {found}")
    return WRONG if found["stale"] + found["late"] + found["unseen"] else 0


if __name__ == "__main__":
    sys.exit(main())
