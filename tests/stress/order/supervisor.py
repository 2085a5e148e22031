"""Starts the workers, kills some, and looks at the store in the end."""

from __future__ import annotations

import logging
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any, Optional

from board import (
    ACKNOWLEDGED,
    DELETES,
    PENDING,
    STORED,
    WRITES,
    Board,
    is_present,
    version_of,
)
from owner import Owner
from store import Store

from fastmmap import FastMmap

THREADS, KEYS_EACH = 2, 12
#: Seconds between two kills, at random up to this.
KILL_EVERY = 0.5
HANG_SECONDS = 60


class Supervisor:
    """One run."""

    sabotage: Optional[str] = None

    def __init__(self, folder: Path, workers: int, seed: int) -> None:
        """Prepare a cache of a few pages, much smaller than what is stored."""
        self.path = str(folder / "cache.fmm")
        self.workers, self.random = workers, random.Random(seed)
        self.keys = workers * THREADS * KEYS_EACH
        self.board = Board(folder, self.keys)
        self.pids: dict[int, int] = {}
        self.kills = self.hung = 0

    def open(self, recursive: bool = False) -> FastMmap:
        """Open the cache as a worker does."""
        store = Store(self.board, set())
        silent = self.sabotage == "silent"
        return FastMmap(
            self.path,
            page_size="4k",
            num_pages=8,
            unlink_on_exit=False,
            write_action="write_back",
            write_cb=(lambda *told: None) if silent else store.write,
            delete_cb=None if self.sabotage == "forget" else store.delete,
            read_cb=store.read,
            allow_recursive=recursive,
        )

    # -------------------------------------------------------------- workers

    def _work(self, number: int, seed: int, until: float) -> None:
        """Be a worker: some threads, each with keys of its own."""
        logging.getLogger("fastmmap").setLevel(logging.CRITICAL)
        random.seed(seed)
        cache = self.open(recursive=random.random() < 0.5)
        threads = []
        for thread in range(THREADS):
            first = (number * THREADS + thread) * KEYS_EACH
            keys = range(first, first + KEYS_EACH)
            owner = Owner(cache, self.board, keys, range(self.keys))
            threads.append(threading.Thread(target=owner.run, args=(until,)))
        for each in threads:
            each.start()
        for each in threads:
            each.join()

    def _start(self, number: int, until: float) -> None:
        seed = self.random.randrange(1 << 32)
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                self._work(number, seed, until)
                status = 0
            except BaseException as error:
                self.board.accuse(f"worker {number}: {error!r}")
            finally:
                os._exit(status)
        self.pids[pid] = number

    def _kill(self, until: float) -> None:
        pid = self.random.choice(list(self.pids))
        number = self.pids.pop(pid)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self.kills += 1
        self._start(number, until)

    def _wait(self) -> None:
        """Wait for all; one that does not end hangs."""
        deadline = time.monotonic() + HANG_SECONDS
        while self.pids and time.monotonic() < deadline:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            self.pids.pop(pid, None)
            time.sleep(0.01)
        for pid, number in self.pids.items():
            self.board.accuse(f"worker {number} hangs")
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    # ------------------------------------------------------------------ end

    def _check_store(self) -> None:
        """See whether the store ended with the newest state of each key."""
        for key in range(self.keys):
            wanted, stored = self.board.get(key, ACKNOWLEDGED), self._stored(key)
            pending = self.board.get(key, PENDING)
            allowed = {self._outcome(wanted)}
            if pending > wanted:  # its owner was killed in between
                allowed.add(self._outcome(pending))
            if stored not in allowed:
                self.board.accuse(
                    f"key {key}: the store ends with {stored}, not with {allowed}"
                )

    def _outcome(self, state: int) -> int:
        """Return the version that the store has to hold, 0 for nothing."""
        return version_of(state) if is_present(state) else 0

    def _stored(self, key: int) -> int:
        return self._outcome(self.board.get(key, STORED))

    def run(self, seconds: float) -> dict[str, Any]:
        """Let it rage; return what was counted, and what was violated."""
        logging.getLogger("fastmmap").setLevel(logging.CRITICAL)
        self.open().close()
        until = time.monotonic() + seconds
        for number in range(self.workers):
            self._start(number, until)
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, self.random.random() * KILL_EVERY))
            if left > KILL_EVERY:
                self._kill(until)
        self._wait()
        cache = self.open()
        cache.flush()
        self._check_store()
        rows = range(self.keys)
        changes = sum(version_of(self.board.get(key, PENDING)) for key in rows)
        return {
            "seconds": round(seconds),
            "kills": self.kills,
            "changes": changes,
            "writes": sum(self.board.get(key, WRITES) for key in rows),
            "deletions": sum(self.board.get(key, DELETES) for key in rows),
            "evictions": cache.stats().evictions,
            "violations": self.board.violations(),
        }
