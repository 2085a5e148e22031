"""Many processes open, create, replace and unlink one path at once.

Run as ``python tests/stress/opening.py [--rounds N] [--seed N] [--output FILE]``.
Rounds take turns:

- create: everybody opens a path that is not there; one makes the file;
- replace: everybody opens with ``init_file=True``;
- mixed: some open, some replace, some unlink and open, some rename another
  cache over it, some re-attach what they pickled;
- killed: the same, and every fifth is killed at a random instant.

In each a watcher reads the path in a loop: what has the name is whole. Nobody
may see an error but the re-attaching ones, to whom a missing file is due.
When the dust has settled all who live share one file, and the directory holds
nothing else. The exit code is 0 when all this held.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import mmap
import os
import pickle
import random
import select
import signal
import struct
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from fastmmap import FastMmap

KINDS = ["create", "replace", "mixed", "killed"]
SIZE = "256k"
NOTICED_SECONDS = 1.2  # a file that was unlinked is noticed once a second
ROUND_SECONDS = 240
MAGIC = b"\x89FMM\r\n\x1a\n"


def attach(path: str, **options: bool) -> FastMmap:
    """Open or make the cache of all."""
    return FastMmap(path, cache_size=SIZE, unlink_on_exit=False, **options)


def replace(path: str) -> FastMmap:
    """Put an empty cache in its place."""
    return attach(path, init_file=True)


def unlink(path: str) -> FastMmap:
    """Take the name away, and open."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    return attach(path)


def rename(path: str) -> FastMmap:
    """Make a cache elsewhere and give it the name."""
    other = f"{path}-{os.getpid()}"
    attach(other).close()
    os.replace(other, path)
    return attach(path)


def reattach(path: str) -> FastMmap:
    """Open by a pickle, which never makes a file."""
    cache: FastMmap = pickle.loads(pickle.dumps(attach(path)))
    return cache


ROLES: list[Callable[[str], FastMmap]] = [attach, replace, unlink, rename, reattach]


def role_of(kind: str, number: int) -> Callable[[str], FastMmap]:
    """Return what process `number` does in a round of that kind."""
    if kind == "create":
        return attach
    return replace if kind == "replace" else ROLES[number % len(ROLES)]


def look(path: str) -> str:
    """Return what is wrong with the file of that name; "" if nothing is."""
    try:
        file = open(path, "rb", buffering=0)
    except FileNotFoundError:
        return ""
    with file:
        header, status = file.read(4096), os.fstat(file.fileno())
    if len(header) != 4096 or not header.startswith(MAGIC):
        return f"no header: {header[:8]!r}"
    version, order, word, length, size = struct.unpack_from("=IIIIQ", header, 8)
    expected = (10, 0x01020304, struct.calcsize("P"), 4096)
    if (version, order, word, length) != expected:
        return f"odd header: {(version, order, word, length)}"
    reserved = size - 2048 * 512  # the table of clients has holes
    if size != status.st_size or status.st_blocks * 512 < reserved:
        return f"size {status.st_size}, {status.st_blocks} blocks, not {size}"
    if not any(header[144:152]) or not any(header[1024:1040]):
        return "no checksum or no identity"
    return "" if status.st_mode & 0o7777 == 0o600 else f"mode {status.st_mode:o}"


class Board:
    """A line of text for each process, in memory that all share."""

    WIDTH = 400

    def __init__(self, lines: int) -> None:
        self._memory = mmap.mmap(-1, lines * self.WIDTH)

    def __getitem__(self, line: int) -> str:
        text = self._memory[line * self.WIDTH : (line + 1) * self.WIDTH]
        return text.rstrip(b"\0").decode(errors="replace")

    def __setitem__(self, line: int, text: str) -> None:
        at = line * self.WIDTH
        data = text.encode()[: self.WIDTH]
        self._memory[at + 1 : at + len(data)] = data[1:]
        self._memory[at] = data[0]  # last: until then the line counts as empty


class Gate:
    """Holds processes back until it is opened."""

    def __init__(self) -> None:
        self._inside, self._outside = os.pipe()

    def wait(self) -> None:
        """Wait until it is open, in a child."""
        os.read(self._inside, 1)

    def is_open(self) -> bool:
        return bool(select.select([self._inside], [], [], 0)[0])

    def disown(self) -> None:
        """Leave it to the parent to open."""
        os.close(self._outside)

    def open(self) -> None:
        os.close(self._outside)

    def remove(self) -> None:
        os.close(self._inside)


class Crowd:
    """The processes of one round: forked together, started together."""

    def __init__(self, kind: str, path: str, processes: int) -> None:
        self.kind, self.path = kind, path
        self.start, self.settled = Gate(), Gate()
        self.opened, self.stored = Board(processes), Board(processes)
        self.watched = Board(1)
        self.watcher = self._fork(self._watch)
        self.pids = [self._fork(self._take_part, number) for number in range(processes)]
        self.alive = set(range(processes))

    def _fork(self, body: Callable[..., None], *arguments: int) -> int:
        pid = os.fork()
        if pid == 0:
            try:
                signal.alarm(ROUND_SECONDS)
                self.settled.disown()
                self.start.disown()
                body(*arguments)
            finally:
                os._exit(0)
        return pid

    def _take_part(self, number: int) -> None:
        role = role_of(self.kind, number)
        self.start.wait()
        try:
            cache = role(self.path)
        except BaseException as error:
            due = role is reattach and isinstance(error, FileNotFoundError)
            self.opened[number] = "missing" if due else f"failed: {error!r}"
            return
        self.opened[number] = "created" if cache._created else "attached"
        self.settled.wait()
        time.sleep(NOTICED_SECONDS)
        try:
            stored = cache.set(f"process {number}", os.getpid())
            self.stored[number] = "stored" if stored else "failed: no room"
        except BaseException as error:
            self.stored[number] = f"failed: {error!r}"

    def _watch(self) -> None:
        looks = 0
        while not self.settled.is_open():
            looks += 1
            problem = look(self.path)
            if problem:
                self.watched[0] = f"failed: {problem}"
                return
        self.watched[0] = str(looks)

    def kill_some(self, chance: random.Random) -> None:
        """Kill every fifth at a random instant."""
        for number in chance.sample(sorted(self.alive), len(self.alive) // 5):
            time.sleep(chance.uniform(0, 0.01))
            os.kill(self.pids[number], signal.SIGKILL)
            os.waitpid(self.pids[number], 0)
            self.alive.remove(number)

    def wait_until_opened(self) -> None:
        deadline = time.monotonic() + ROUND_SECONDS
        while not all(self.opened[number] for number in self.alive):
            assert time.monotonic() < deadline, "somebody does not finish opening"
            time.sleep(0.01)

    def end(self) -> None:
        """Wait for all who live."""
        for pid in [self.watcher, *(self.pids[number] for number in self.alive)]:
            os.waitpid(pid, 0)
        self.start.remove()
        self.settled.remove()


def judge(crowd: Crowd, cache: FastMmap) -> Counter[str]:
    """Check what everybody saw; return how often each outcome was."""
    living = sorted(crowd.alive)
    reports = [crowd.watched[0]] + [crowd.opened[number] for number in living]
    users = [n for n in living if crowd.opened[n] in ("created", "attached")]
    reports += [crowd.stored[number] for number in users]
    problems = [report for report in reports if report.startswith("failed")]
    assert not problems and all(reports), problems[:5]
    absent = [n for n in users if cache.get(f"process {n}") != crowd.pids[n]]
    assert not absent, f"{len(absent)} of {len(users)} use another file"
    assert cache.check().ok, cache.check()
    outcomes = Counter(crowd.opened[number] for number in living)
    if crowd.kind == "create":
        assert outcomes["created"] == 1, outcomes
    outcomes.update(looks=int(crowd.watched[0]), killed=len(crowd.pids) - len(living))
    return outcomes


def run_round(kind: str, path: str, processes: int, seed: int) -> Counter[str]:
    """Run one round; raise AssertionError where a promise was broken."""
    if kind == "replace":
        attach(path).close()
    crowd = Crowd(kind, path, processes)
    crowd.start.open()
    if kind == "killed":
        crowd.kill_some(random.Random(seed))
    crowd.wait_until_opened()
    with attach(path) as cache:
        crowd.settled.open()
        crowd.end()
        outcomes = judge(crowd, cache)
    # Who creates or replaces next takes away what the killed left.
    replace(path).close()
    for name in os.listdir(os.path.dirname(path)):
        own = name.removeprefix(os.path.basename(path) + "-")
        if own.isdigit() and kind == "killed":  # of rename(), not of the cache
            os.unlink(os.path.join(os.path.dirname(path), name))
    left = os.listdir(os.path.dirname(path))
    assert left == [os.path.basename(path)], left
    os.unlink(path)
    return outcomes


def run(rounds: int, processes: int, seed: int) -> dict[str, object]:
    """Run the rounds; return the figures."""
    total: Counter[str] = Counter()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            kind = KINDS[number % len(KINDS)]
            outcomes = run_round(
                kind, os.path.join(folder, "cache"), processes, seed + number
            )
            print(f"{kind}: {dict(outcomes)}", flush=True)
            total += outcomes
    return {
        "date": datetime.date.today().isoformat(),
        "outcomes": dict(total),
        "processes": processes,
        "rounds": rounds,
        "seconds": round(time.monotonic() - began, 1),
        "seed": seed,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=len(KINDS))
    parser.add_argument("--processes", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    figures = run(given.rounds, given.processes, given.seed)
    text = json.dumps(figures, sort_keys=True, indent=2) + "\n"
    print(text, end="")
    if given.output:
        given.output.write_text(text)


if __name__ == "__main__":
    main()
