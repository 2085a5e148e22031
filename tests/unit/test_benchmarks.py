"""The benchmarks: their statistics, their order, and the simulated policies.

The policies that replay.c simulates are held against others that are written as
plainly as can be, over lists that are searched from one end to the other.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support import LONG

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
PAGE = 256 * 1024
OVERHEAD = 32


@pytest.fixture(autouse=True)
def benchmarks_on_the_path() -> Iterator[None]:
    """Import the modules of the benchmarks, and forget them again."""
    before = set(sys.modules)
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))
    for name in set(sys.modules) - before:
        found = getattr(sys.modules[name], "__file__", None)
        if found and Path(found).is_relative_to(BENCHMARKS):
            del sys.modules[name]


def test_summary_is_the_median_and_the_distance_of_the_quartiles() -> None:
    import runner

    values = [100.0, 90.0, 110.0, 1e9, 100.0, 80.0, 120.0]
    summary = runner.summarise(values)
    assert summary == {"median": 100.0, "spread": 0.3}


def test_summary_of_one_value_has_no_spread() -> None:
    import runner

    assert runner.summarise([7.0]) == {"median": 7.0, "spread": 0.0}


def test_each_round_makes_each_measurement_once_and_begins_elsewhere() -> None:
    import runner

    made: list[str] = []

    def case(name: str) -> Callable[[], int]:
        return lambda: made.append(name) or len(made)  # type: ignore[func-returns-value]  # append has none

    samples = runner.interleaved({name: case(name) for name in "abc"}, 4)
    assert "".join(made) == "abcbcacababc"
    assert samples == {"a": [1, 6, 8, 10], "b": [2, 4, 9, 11], "c": [3, 5, 7, 12]}


def test_results_are_nested_by_their_names() -> None:
    import runner

    flat = {("a", "x"): [1.0], ("a", "y"): [2.0], ("b", "x"): [3.0]}
    nested = runner.summaries(flat)
    assert nested["a"]["y"]["median"] == 2.0
    assert list(nested) == ["a", "b"] and list(nested["b"]) == ["x"]


def test_scaling_compares_workers_of_the_same_round() -> None:
    import bench_parallel

    case = ("processes", "somebody", "90 % gets")
    rates = {(*case, "1"): [100.0, 50.0, 10.0], (*case, "2"): [190.0, 100.0, 18.0]}
    scaling = bench_parallel.scaling(rates)
    kind = ("processes, scaling", *case[1:])
    assert scaling == {(*kind, "1"): [1.0] * 3, (*kind, "2"): [1.9, 2.0, 1.8]}


def test_a_peer_is_compared_with_ours_of_the_same_round() -> None:
    import bench_basic

    times = {("fastmmap", "set"): [2.0, 4.0], ("dict", "set"): [1.0, 1.0]}
    multiples = bench_basic.multiples(times)
    assert multiples == {("fastmmap", "set"): [1.0, 1.0], ("dict", "set"): [0.5, 0.25]}


def test_hosts_are_live_while_servers_and_listeners_keep_up() -> None:
    import tier_scale

    costs = tier_scale.Costs(command=1e-5, push=1e-6, drop=1e-5)
    few = tier_scale.Site(hosts=5, servers=1, writes=20_000, share=1.0, reads=1000)
    assert tier_scale.simulate(few, costs, 5).live == 1
    flooded = few._replace(writes=150_000, servers=10)
    assert tier_scale.simulate(flooded, costs, 5).live == 0
    assert tier_scale.simulate(flooded._replace(share=0.3), costs, 5).live == 1
    alone = flooded._replace(share=0.3, servers=1)
    assert tier_scale.simulate(alone, costs, 5).live == 0


def test_report_says_what_it_depends_on(tmp_path: Path) -> None:
    import runner

    skipped = runner.Skipped(quiet=True)
    skipped.note("somebody", "install it")
    figures = runner.report(runner.Scale("smoke"), skipped, results={})
    path = runner.write(tmp_path / "new", "question", figures)
    text = path.read_text(encoding="utf-8")
    assert '"somebody": "install it"' in text and '"scale": "smoke"' in text
    assert {"python", "processor", "cpus", "memory_gib"} <= set(figures["machine"])


def test_a_scale_picks_its_own() -> None:
    import runner

    names = ("full", "quick", "smoke")
    assert [runner.Scale(name).pick(1, 2, 3) for name in names] == [1, 2, 3]


def test_a_missing_peer_is_skipped_by_name(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    import peers
    import runner

    for name in ("cachetools", "lmdb"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setenv("PATH", str(tmp_path))
    modules = ["ours", "cachetools_lru", "lmdb_map", "perl", "redis_server"]
    skipped = runner.Skipped()
    place = peers.Place(str(tmp_path))
    found = peers.available(place, skipped, [m for m in modules])
    assert [peer.name for peer in found] == ["fastmmap"]
    assert {"cachetools", "lmdb", "Cache::FastMmap"} <= set(skipped)
    assert "apt-get install libcache-fastmmap-perl" in skipped["Cache::FastMmap"]
    assert "skipped: cachetools (" in capsys.readouterr().out


def test_every_peer_is_a_module_and_has_a_name() -> None:
    import peers

    files = {path.stem for path in (BENCHMARKS / "peers").glob("*.py")}
    assert files - {"__init__", "loops_uwsgi"} == set(peers.MODULES)


def test_every_question_is_asked() -> None:
    import bench

    files = {path.stem for path in BENCHMARKS.glob("bench_*.py")}
    assert files == {f"bench_{name}" for name in bench.QUESTIONS}


def test_a_loop_makes_as_many_calls_as_it_is_told() -> None:
    import loops

    called: list[str] = []
    assert loops.calls(called.append, ["a", "b", "c"])(7) > 0
    assert "".join(called) == "abcabca"
    stored: list[tuple[str, int]] = []
    loops.stores(lambda key, value: stored.append((key, value)), ["a", "b"], 5)(3)
    assert stored == [("a", 5), ("b", 5), ("a", 5)]


def test_percentiles_are_values_that_were_seen() -> None:
    import bench_tail

    values = list(range(100_001))
    random.shuffle(values)
    found = bench_tail.percentiles(values)
    assert found == [50_000, 90_000, 99_000, 99_900, 99_990, 100_000]


def test_a_server_that_is_not_installed_leaves_an_empty_name(tmp_path: Path) -> None:
    import servers

    with servers.process(["no-such-server"], str(tmp_path / "socket")) as path:
        assert path == ""


def test_a_server_ends_with_its_block(tmp_path: Path) -> None:
    import servers

    path = str(tmp_path / "socket")
    code = (
        "import socket, sys\n"
        "s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen()\n"
        "while True: s.accept()\n"
    )
    with servers.process([sys.executable, "-c", code, path], path):
        assert servers.answers(path)
    assert not servers.answers(path)


# ------------------------------------------------------------- hit ratios


class Request(NamedTuple):
    """One line of a trace."""

    key: int
    size: int
    kind: str
    lifetime: int


class Entry(NamedTuple):
    """What a plain cache holds."""

    key: int
    bytes: int
    expires: float


class PlainCache:
    """An exact LRU: a list, the newest first. The others differ by rules."""

    def __init__(self, requests: list[Request], capacity: int) -> None:
        self.requests, self.capacity = requests, capacity
        self.entries: list[Entry] = []

    def find(self, key: int) -> Entry | None:
        return next((entry for entry in self.entries if entry.key == key), None)

    def used(self) -> int:
        return sum(entry.bytes for entry in self.entries)

    def get(self, now: int) -> bool:
        entry = self.find(self.requests[now].key)
        if entry is None or now >= entry.expires:
            return False
        self.touch(entry, now)
        return True

    def set(self, now: int) -> None:
        request = self.requests[now]
        expires = now + request.lifetime if request.lifetime else float("inf")
        entry = Entry(request.key, request.size + OVERHEAD, expires)
        old = self.find(request.key)
        if entry.bytes > self.capacity:
            return
        if old is not None:
            self.entries[self.entries.index(old)] = entry
            self.touch(entry, now)
        else:
            self.insert(entry, now)
        while self.used() > self.capacity:
            self.evict(now)

    def insert(self, entry: Entry, now: int) -> None:
        while self.used() + entry.bytes > self.capacity:
            self.evict(now)
        self.entries.insert(0, entry)

    def touch(self, entry: Entry, now: int) -> None:
        self.entries.remove(entry)
        self.entries.insert(0, entry)

    def evict(self, now: int) -> None:
        self.entries.pop()


class PlainSieve(PlainCache):
    """A hand goes from the oldest to the newest and spares what was visited."""

    def __init__(self, requests: list[Request], capacity: int) -> None:
        super().__init__(requests, capacity)
        self.visited: set[int] = set()
        self.hand: int | None = None  # the key it points at

    def touch(self, entry: Entry, now: int) -> None:
        self.visited.add(entry.key)

    def evict(self, now: int) -> None:
        keys = [entry.key for entry in self.entries]
        at = keys.index(self.hand) if self.hand in keys else len(keys) - 1
        while keys[at] in self.visited:
            self.visited.remove(keys[at])
            at = at - 1 if at > 0 else len(keys) - 1
        self.hand = keys[at - 1] if at > 0 else None
        del self.entries[at]


class PlainS3Fifo(PlainCache):
    """Two queues in one list of entries; `small` says who is in which."""

    def __init__(self, requests: list[Request], capacity: int) -> None:
        super().__init__(requests, capacity)
        self.small: list[int] = []  # keys, the newest first
        self.main: list[int] = []
        self.hits: dict[int, int] = {}
        self.ghosts: list[int] = []  # the newest first

    def insert(self, entry: Entry, now: int) -> None:
        while self.used() + entry.bytes > self.capacity:
            self.evict(now)
        remembered = self.ghosts[: len(self.main)]
        queue = self.main if entry.key in remembered else self.small
        # A forgotten ghost leaves a gap: what counts is how many came after it.
        self.ghosts = [key if key != entry.key else -1 for key in self.ghosts]
        queue.insert(0, entry.key)
        self.hits[entry.key] = 0
        self.entries.append(entry)

    def touch(self, entry: Entry, now: int) -> None:
        self.hits[entry.key] = min(self.hits[entry.key] + 1, 3)

    def drop(self, key: int) -> None:
        self.entries = [entry for entry in self.entries if entry.key != key]

    def small_bytes(self) -> int:
        return sum(entry.bytes for entry in self.entries if entry.key in self.small)

    def evict(self, now: int) -> None:
        if self.small_bytes() >= self.capacity // 10 or not self.main:
            while self.small:
                key = self.small.pop()
                if self.hits[key] < 2:
                    self.drop(key)
                    self.ghosts.insert(0, key)
                    return
                self.hits[key] = 0
                self.main.insert(0, key)
        while self.hits[self.main[-1]] > 0:
            key = self.main.pop()
            self.hits[key] -= 1
            self.main.insert(0, key)
        self.drop(self.main.pop())


class PlainBelady(PlainCache):
    """Whose next use is the furthest goes; what is never used again, first."""

    def next_use(self, entry: Entry, now: int) -> float:
        for later in range(now + 1, len(self.requests)):
            if self.requests[later].key == entry.key:
                useful = self.requests[later].kind == "g" and later < entry.expires
                return later if useful else float("inf")
        return float("inf")

    def insert(self, entry: Entry, now: int) -> None:
        self.entries.insert(0, entry)

    def touch(self, entry: Entry, now: int) -> None:
        pass

    def evict(self, now: int) -> None:
        # Among those that are never used again, it does not matter who goes,
        # as long as all of them go before anything that is.
        self.entries.remove(max(self.entries, key=lambda e: self.next_use(e, now)))


PLAIN = {
    "lru": PlainCache,
    "sieve": PlainSieve,
    "s3fifo": PlainS3Fifo,
    "belady": PlainBelady,
}


def random_trace(dice: random.Random, count: int) -> list[Request]:
    """Draw requests of sizes that fill a page with a few dozen entries."""
    size_of = [dice.randrange(1000, 40_000) for _ in range(80)]
    trace = []
    for _ in range(count):
        key = min(int(dice.expovariate(1 / 20)), 79)
        size = dice.choice([size_of[key], size_of[key], dice.randrange(1000, 40_000)])
        lifetime = dice.choice([0, 0, 0, dice.randrange(1, 200)])
        trace.append(Request(key, size, dice.choice("ggggs"), lifetime))
    return trace


def plain_hits(policy: str, trace: list[Request], pages: int) -> int:
    """Return the hits of the plain policy."""
    cache = PLAIN[policy](trace, pages * PAGE)
    hits = 0
    for now, request in enumerate(trace):
        if request.kind == "g" and cache.get(now):
            hits += 1
        else:
            cache.set(now)
    return hits


@pytest.fixture(scope="module")
def replay_program() -> None:
    """Build replay.c."""
    sys.path.insert(0, str(BENCHMARKS))
    import replay

    sys.path.remove(str(BENCHMARKS))
    replay.build()


def replayed(
    trace: list[Request], policy: str, pages: int, directory: Path
) -> dict[str, Any]:
    """Return what replay.c counted."""
    import replay

    file = directory / "trace"
    file.write_text("".join(f"{r[0]} {r[1]} {r[2]} {r[3]}\n" for r in trace))
    ((name, counts),) = replay.replay(file, directory, [policy], pages)
    assert name == policy
    return counts


@pytest.mark.once
@pytest.mark.long
@pytest.mark.parametrize("policy", PLAIN)
def test_a_simulated_policy_hits_as_often_as_the_plain_one(
    policy: str, replay_program: None, tmp_path: Path
) -> None:
    for _ in range(2 * LONG):
        seed = random.randrange(2**32)
        print("seed", seed)
        trace = random_trace(random.Random(seed), 600)
        counts = replayed(trace, policy, 3, tmp_path)
        assert counts["gets"] == sum(request.kind == "g" for request in trace)
        assert counts["hits"] == plain_hits(policy, trace, 3)


def test_the_engine_hits_whatever_fits(replay_program: None, tmp_path: Path) -> None:
    trace = [Request(key % 50, 300, "g", 0) for key in range(500)]
    counts = replayed(trace, "fastmmap", 3, tmp_path)
    assert counts["hits"] == 450 and counts["refused"] == 0
    assert counts["set_bytes"] == 50 * 300
    assert list(tmp_path.iterdir()) == [tmp_path / "trace"]


def test_the_engine_lets_values_expire(replay_program: None, tmp_path: Path) -> None:
    trace = [Request(number % 10, 300, "g", 15) for number in range(200)]
    # Every tenth request is for one key; what is 20 requests old has expired.
    assert replayed(trace, "fastmmap", 3, tmp_path)["hits"] == 100


@pytest.mark.parametrize("name", ["zipf", "scans", "phases", "sessions", "lifetimes"])
def test_a_generated_trace_follows_from_its_seed(name: str, tmp_path: Path) -> None:
    import traces

    for file in ("one", "two"):
        traces.generate(name, tmp_path / file, 500)
    text = (tmp_path / "one").read_text()
    assert text == (tmp_path / "two").read_text()
    assert len(text.splitlines()) == 500
    assert traces.working_set(tmp_path / "one") > 500 * traces.LEAST / 10


def test_the_working_set_counts_each_key_once_at_its_largest(tmp_path: Path) -> None:
    import traces

    file = tmp_path / "trace"
    file.write_text("0 100\n1 200\n0 150\n0 120\n")
    assert traces.working_set(file) == 150 + 200 + 2 * 32
