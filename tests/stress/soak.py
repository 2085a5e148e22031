"""The soak: everything at once, for long, and nothing may grow or differ.

    python tests/stress/soak.py --minutes 10 [--seed N] [--output FILE]

Workers, forked and spawned, of two threads each, do every operation on five
caches at random (soak_work.py). Now and then one of them is killed, or
stopped for a moment, and one of the files is replaced or removed. Verified:
each value that is read, as whole and as the last one that its owner stored;
every acknowledged change of the write_back cache reached write_cb; check()
is clean; no exception that is not due; nobody hangs; and the memory, the
descriptors and the maps of one worker that is left alive do not grow.

Prints a line a minute and a summary. Exits with 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from datetime import datetime, timezone
from typing import Any, NamedTuple

from soak_work import CACHES, RECORD, THREADS, Board, Channel, open_cache, work

WORKERS = 3
METHODS = ("fork", "spawn", "forkserver")
END = 2**64 - 1  # a slot that says: nothing more comes
JOIN_SECONDS = 60
#: What a steady process may vary by: allocators keep some memory.
MEMORY_SLACK_KB = 4096


class Sample(NamedTuple):
    """What a process uses."""

    memory_kb: int  # anonymous: pages of the cache files are not counted
    descriptors: int
    maps: int


def sample(pid: int) -> Sample:
    with open(f"/proc/{pid}/status") as status:
        fields = dict(line.split(":", 1) for line in status)
    with open(f"/proc/{pid}/maps") as maps:
        count = sum(1 for _ in maps)
    descriptors = len(os.listdir(f"/proc/{pid}/fd"))
    return Sample(int(fields["RssAnon"].split()[0]), descriptors, count)


class Listener(threading.Thread):
    """Hears which versions write_cb was given."""

    def __init__(self, path: str) -> None:
        super().__init__(daemon=True)
        os.mkfifo(path, 0o600)
        # Open for writing too: the pipe never ends, and opening never blocks.
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self.newest: dict[int, int] = {}
        self.count = 0
        self.start()

    def run(self) -> None:
        rest = b""
        while True:
            rest += os.read(self._fd, 65536)
            whole = len(rest) - len(rest) % RECORD.size
            for slot, version in RECORD.iter_unpack(rest[:whole]):
                if slot == END:
                    os.close(self._fd)
                    return
                self.count += 1
                self.newest[slot] = max(version, self.newest.get(slot, 0))
            rest = rest[whole:]


class Soak:
    """The supervisor: starts, kills, replaces, measures, judges."""

    def __init__(self, folder: str, seconds: float, seed: int) -> None:
        self.folder, self.seconds, self.seed = folder, seconds, seed
        self.random = random.Random(seed)
        os.mkdir(os.path.join(folder, "failures"))
        self.board = Board(folder)
        self.listener = Listener(Channel(folder).path)
        self.caches = {n: open_cache(folder, n) for n in CACHES}
        self.owners = 0
        self.counts = dict.fromkeys(("started", "killed", "stopped", "replaced"), 0)
        self.failures: list[str] = []
        self.samples: list[Sample] = []
        self.stores: dict[str, int] = {}
        self.workers = [self.start() for _ in range(WORKERS)]

    def start(self) -> Any:
        """Start a worker; its kind is the next in turn."""
        context: Any = multiprocessing.get_context(
            METHODS[self.counts["started"] % len(METHODS)]
        )
        arguments = (self.folder, self.owners, self.seed)
        process = context.Process(target=work, args=arguments, daemon=True)
        process.start()
        self.owners += THREADS
        self.counts["started"] += 1
        return process

    def run(self) -> None:
        began = time.monotonic()
        minute = 1
        while (passed := time.monotonic() - began) < self.seconds:
            time.sleep(self.random.uniform(0.05, 0.5))
            self.disturb()
            if self.collect_failures():
                break
            self.samples.append(sample(self.workers[0].pid))
            if passed >= 60 * minute:
                print(f"minute {minute}: {self.line()}", flush=True)
                minute += 1
        self.finish()

    def disturb(self) -> None:
        """Do one of the things that happen to processes and files."""
        what = self.random.random()
        place = self.random.randrange(1, WORKERS)  # the first is left alive
        if what < 0.15:
            self.workers[place].kill()
            self.workers[place].join()
            self.workers[place] = self.start()
            self.counts["killed"] += 1
        elif what < 0.3:
            os.kill(self.workers[place].pid, signal.SIGSTOP)
            time.sleep(self.random.uniform(0, 0.3))
            os.kill(self.workers[place].pid, signal.SIGCONT)
            self.counts["stopped"] += 1
        elif what < 0.4:
            self.replace()

    def replace(self) -> None:
        """Make a new file in the place of one that is in use."""
        self.counts["replaced"] += 1
        if self.random.random() < 0.5:
            os.unlink(self.caches["replaced"].share_file)
        self.caches["replaced"].close()
        self.caches["replaced"] = open_cache(self.folder, "replaced", init_file=True)

    def collect_failures(self) -> bool:
        """Note what workers left, and those that ended by themselves."""
        folder = os.path.join(self.folder, "failures")
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            with open(path) as file:
                self.failures.append(file.read())
            os.unlink(path)
        for worker in self.workers:
            if not worker.is_alive() and not self.board.stopped:
                self.failures.append(f"a worker ended by itself: {worker.exitcode}")
        return bool(self.failures)

    def finish(self) -> None:
        """Let all end, and judge."""
        self.board.stop()
        for worker in self.workers:
            worker.join(JOIN_SECONDS)
            if worker.exitcode is None:
                self.failures.append("a worker hangs")
                worker.kill()
            elif worker.exitcode != 0:
                self.failures.append(f"a worker failed: {worker.exitcode}")
        self.collect_failures()
        for name, cache in self.caches.items():
            report = cache.check()
            if not report.ok:
                self.failures.append(f"{name}: {report.problems}")
        self.stores = {n: cache.stats().stores for n, cache in self.caches.items()}
        self.judge_changes()
        self.judge_flatness()
        for cache in self.caches.values():
            cache.close()

    def judge_changes(self) -> None:
        """No acknowledged change is lost: write_cb has seen it, at the latest
        when all is emptied."""
        channel = Channel(self.folder)
        self.caches["back"].empty()
        channel.send(END, 0)
        self.listener.join(JOIN_SECONDS)
        written = self.listener.newest
        acknowledged = self.board.words[1 : 1 + self.owners * 100]
        for slot, version in enumerate(acknowledged, 1):
            if written.get(slot, 0) < version:
                self.failures.append(
                    f"back: slot {slot} was stored at version {version}, "
                    f"written back at {written.get(slot)}"
                )

    def judge_flatness(self) -> None:
        """Compare the last quarter with the second; the first warms up."""
        quarter = len(self.samples) // 4
        if quarter < 3:
            return
        second, last = self.samples[quarter : 2 * quarter], self.samples[-quarter:]
        # Threads open and close caches all the time: the least is the base.
        for what in ("descriptors", "maps"):
            least = [min(getattr(s, what) for s in part) for part in (second, last)]
            if least[1] > least[0] + 1:
                self.failures.append(f"{what} grew from {least[0]} to {least[1]}")
        memory = [statistics.median(s.memory_kb for s in p) for p in (second, last)]
        if memory[1] > memory[0] + MEMORY_SLACK_KB:
            self.failures.append(f"memory grew from {memory[0]} to {memory[1]} KiB")

    def line(self) -> str:
        now = self.samples[-1] if self.samples else Sample(0, 0, 0)
        counts = ", ".join(f"{count} {what}" for what, count in self.counts.items())
        return (
            f"{counts}, {self.listener.count} written back; steady worker: "
            f"{now.memory_kb} KiB, {now.descriptors} descriptors, {now.maps} maps"
        )

    def results(self) -> dict[str, object]:
        quarter = max(1, len(self.samples) // 4)
        second = self.samples[quarter : 2 * quarter] or self.samples
        return {
            **self.counts,
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "descriptors_end": self.samples[-1].descriptors,
            "failures": len(self.failures),
            "maps_end": self.samples[-1].maps,
            "memory_kb_end": self.samples[-1].memory_kb,
            "memory_kb_warm": int(statistics.median(s.memory_kb for s in second)),
            "python": sys.version.split()[0],
            "seconds": round(self.seconds),
            "seed": self.seed,
            "stores": self.stores,
            "written_back": self.listener.count,
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().getrandbits(32)
    )
    parser.add_argument("--output", metavar="FILE")
    options = parser.parse_args()
    print(f"soak: {options.minutes:g} minutes, seed {options.seed}", flush=True)
    parent = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = tempfile.mkdtemp(prefix="fastmmap-soak-", dir=parent)
    try:
        soak = Soak(folder, options.minutes * 60, options.seed)
        soak.run()
    finally:
        shutil.rmtree(folder)
    for failure in soak.failures:
        print(failure, file=sys.stderr)
    print(f"soak: {len(soak.failures)} failures; {soak.line()}")
    if options.output:
        with open(options.output, "w") as file:
            json.dump(soak.results(), file, indent=2, sort_keys=True)
            file.write("\n")
    return 1 if soak.failures else 0


if __name__ == "__main__":
    sys.exit(main())
