"""What the processes of a storm do: write, read, and look at the end."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .journal import Journal
from .plan import Plan
from .values import Values
from .worker import Worker

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
CHILD_OPERATIONS = 20


def prctl(option: int, argument: int) -> None:
    """Call prctl(2)."""
    if ctypes.CDLL(None, use_errno=True).prctl(option, argument) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


class Crew:
    """Everything that a forked process of the storm needs."""

    def __init__(self, plan: Plan, directory: Path, store: Any, journal: Journal):
        self.plan, self.directory, self.journal = plan, directory, journal
        self.store = store
        self.values = Values(journal.noise, plan.mode.largest, plan.mode.one_in)
        self._inherited: Any = None

    def create(self) -> None:
        """Make the cache in the supervisor, for children to inherit."""
        self._inherited = self.store.create()

    def write(self, slot: int, generation: int) -> None:
        """Write in all lanes of a slot until killed, or until the end."""
        seed = f"{self.plan.seed}.{slot}.{generation}"
        if hasattr(self.store, "write_forever"):
            self.store.write_forever(slot, seed)
        cache = self._open(random.Random(seed))
        sys.setswitchinterval(0.0005)
        threads = [
            threading.Thread(target=self._write_lane, args=(cache, lane, slot, seed))
            for lane in range(slot * self.plan.threads, (slot + 1) * self.plan.threads)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def read(self, number: int) -> None:
        """Verify what is written until the end."""
        worker = self._worker(self.store.open(), self.plan.lanes + number, "reader")
        while not self.journal.over:
            with self._blaming(worker):
                self.plan.mode.read(worker)
                worker.count("reads")

    def finish(self) -> None:
        """Verify every key, and what the cache says about itself."""
        cache = self.store.open()
        worker = self._worker(cache, self.journal.columns - 1, "end")
        with self._blaming(worker):
            self.plan.mode.finish(worker)
        with self._blaming(worker):
            found = self.store.inspect(cache)
            (self.directory / "found.json").write_text(json.dumps(found))

    def _open(self, dice: random.Random) -> Any:
        if self.store.forkable and dice.random() < 0.5:
            return self._inherited
        return self.store.open()

    def _worker(self, cache: Any, column: int, seed: str) -> Worker:
        seed = f"{self.plan.seed}.{seed}.{column}"
        return Worker(cache, self.journal, self.values, column, seed)

    def _write_lane(self, cache: Any, lane: int, slot: int, seed: str) -> None:
        worker = self._worker(cache, lane, seed)
        with self._blaming(worker):
            self.plan.mode.settle(worker)
        leads = lane == slot * self.plan.threads
        while not self.journal.over:
            with self._blaming(worker):
                self._step(worker)
            if self.plan.mode.forks and leads and worker.random.random() < 0.01:
                self._fork(worker, slot)

    def _step(self, worker: Worker) -> None:
        self.plan.mode.write(worker)
        worker.count("operations")
        if worker.random.random() < 0.2:
            self.plan.mode.read(worker)
            worker.count("reads")

    def _fork(self, worker: Worker, slot: int) -> None:
        """Let a child use the cache that the other threads are using."""
        pid = os.fork()
        if pid == 0:
            exiting(lambda: self._write_as_child(worker.cache, slot))
        if os.waitpid(pid, 0)[1] != 0:
            worker.blame("hung", "a forked child")

    def _write_as_child(self, cache: Any, slot: int) -> None:
        signal.alarm(int(self.plan.patience) + 2)
        lane = self.plan.writers * self.plan.threads + slot
        with open(self.directory / f"lane-{lane}", "w") as turn:
            try:
                fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return  # the child of a killed predecessor still writes here
            worker = self._worker(cache, lane, str(os.getpid()))
            for _ in range(CHILD_OPERATIONS):
                with self._blaming(worker):
                    self._step(worker)

    @contextlib.contextmanager
    def _blaming(self, worker: Worker) -> Any:
        try:
            yield
        except TimeoutError:
            worker.blame("hung", traceback.format_exc(limit=-2))
            time.sleep(0.01)
        except Exception:
            worker.blame("errors", traceback.format_exc(limit=-4))
            time.sleep(0.01)


def forked(body: Callable[[], object]) -> int:
    """Run a function in a forked process that dies with this one."""
    pid = os.fork()
    if pid == 0:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.nice(10)  # the supervisor goes first, so that kills cost little
        exiting(body)
    return pid


def exiting(body: Callable[[], object]) -> None:
    """Run a function and end the process, come what may."""
    code = 1
    try:
        body()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
