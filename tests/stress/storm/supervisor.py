"""The supervisor: kills and stops writers at random instants, replaces them.

It has one thread, opens the cache once for its children to inherit, and never
uses it: whatever hangs is a child, and is found out. The last writer is never
killed, so that somebody lives long enough to wait for the dead.
"""

from __future__ import annotations

import json
import os
import random
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

from .crew import PR_SET_CHILD_SUBREAPER, Crew, forked, prctl
from .journal import TALLIES, Journal
from .plan import Plan
from .stores import STORES
from .values import Values

STOP_SHARE, STOP_SECONDS = 0.1, 0.05
FAULTS = ("lost", "torn", "stale", "hung", "emptied", "errors")


class Storm:
    """One plan at work."""

    def __init__(self, plan: Plan, directory: Path) -> None:
        mode = plan.mode
        path = directory / "journal"
        self.plan, self.directory = plan, directory
        self.journal = Journal(path, mode.keys(plan.lanes), plan.lanes, plan.readers)
        values = Values(self.journal.noise, mode.largest, mode.one_in)
        store = STORES[plan.store](plan, directory, self.journal, values)
        self.crew = Crew(plan, directory, store, self.journal)
        self.random = random.Random(plan.seed)
        self.kills = self.stops = 0
        self.writers: list[int] = []
        self.readers: list[int] = []
        self._stopped: dict[int, float] = {}  # slot: when it goes on
        self._dying: set[int] = set()  # slots that were killed, not yet replaced
        self._progress = (0, 0.0)

    def run(self) -> dict[str, Any]:
        """Blow until the plan is done; return what was counted."""
        began = time.monotonic()
        self.crew.create()
        self.writers = [self._writer(slot) for slot in range(self.plan.writers)]
        self.readers = [
            forked(lambda number=number: self.crew.read(number))
            for number in range(self.plan.readers)
        ]
        while not self._done(time.monotonic() - began) and not self._stuck():
            time.sleep(self.random.expovariate(1 / self.plan.gap))
            self._strike()
        self._end()
        return self._result(time.monotonic() - began)

    def _writer(self, slot: int) -> int:
        generation = self.kills
        return forked(lambda: self.crew.write(slot, generation))

    def _done(self, seconds: float) -> bool:
        if self.plan.sabotage and any(self.journal.total(what) for what in FAULTS):
            return True
        if self.plan.kills and self.kills >= self.plan.kills:
            return True
        return bool(self.plan.seconds) and seconds >= self.plan.seconds

    def _stuck(self) -> bool:
        """Tell whether nobody got anywhere for as long as patience lasts."""
        operations, since = self._progress
        now = time.monotonic()
        if self.journal.total("operations") != operations or not since:
            self._progress = (self.journal.total("operations"), now)
        elif now - since > 2 * self.plan.patience:
            self._fault("hung", "no progress of anybody")
            return True
        return False

    def _strike(self) -> None:
        """Kill or stop one writer, continue who had his rest, replace the dead."""
        now = time.monotonic()
        for slot in [slot for slot, when in self._stopped.items() if when <= now]:
            self._continue(slot)
        for slot in list(self._dying):
            if self._buried(slot, os.WNOHANG):
                self.writers[slot] = self._writer(slot)
        slot = self.random.randrange(self.plan.writers)
        if slot in self._dying:
            return
        if self.random.random() < STOP_SHARE:
            self._stop(slot, now)
        elif slot < self.plan.writers - 1:
            self._kill(slot)

    def _stop(self, slot: int, now: float) -> None:
        os.kill(self.writers[slot], signal.SIGSTOP)
        self._stopped[slot] = now + self.random.uniform(0, STOP_SECONDS)
        self.stops += 1

    def _continue(self, slot: int) -> None:
        os.kill(self.writers[slot], signal.SIGCONT)
        del self._stopped[slot]

    def _kill(self, slot: int) -> None:
        self._stopped.pop(slot, None)
        os.kill(self.writers[slot], signal.SIGKILL)
        self._dying.add(slot)
        self.kills += 1

    def _buried(self, slot: int, flags: int = 0) -> bool:
        """Wait for a killed writer; tell whether it is gone."""
        pid, status = os.waitpid(self.writers[slot], flags)
        if not pid:
            return False
        self._dying.remove(slot)
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
            self._fault("errors", f"a writer ended with status {status}")
        return True

    def _end(self) -> None:
        """End everybody, then let a last process verify what is left."""
        for slot in list(self._stopped):
            self._continue(slot)
        steady = not hasattr(self.crew.store, "write_forever")
        for slot in range(self.plan.writers - steady):
            if slot not in self._dying:
                self._kill(slot)
        for slot in list(self._dying):
            self._buried(slot)
        self.journal.end()
        if steady:
            self._expect(self.writers[-1], "the writer that was never killed")
        for reader in self.readers:
            self._expect(reader, "a reader")
        self._expect(forked(self.crew.finish), "the last verifier")
        self._reap()

    def _expect(self, pid: int, who: str) -> None:
        """Wait for the end of a process, which must come, and well."""
        deadline = time.monotonic() + 2 * self.plan.patience + 5
        while True:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                break
            if time.monotonic() > deadline:
                self._fault("hung", who)
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                return
            time.sleep(0.005)
        if status != 0:
            self._fault("errors", f"{who} ended with status {status}")

    def _reap(self) -> None:
        """Wait for the children that killed writers had forked."""
        try:
            while True:
                status = os.waitpid(-1, 0)[1]
                if status == signal.SIGALRM:
                    self._fault("hung", "a forked child")
                elif status != 0:
                    self._fault("errors", f"a child ended with status {status}")
        except ChildProcessError:
            pass  # nobody is left

    def _fault(self, what: str, message: str) -> None:
        self.journal.count(self.journal.columns - 1, what)
        print(f"{what}: {message}", flush=True)

    def _result(self, seconds: float) -> dict[str, Any]:
        found_path = self.directory / "found.json"
        found = json.loads(found_path.read_text()) if found_path.exists() else {}
        result: dict[str, Any] = {what: self.journal.total(what) for what in TALLIES}
        result["emptied"] += found.pop("emptied", 0)
        result.update(found, kills=self.kills, stops=self.stops)
        result.update(mode=self.plan.mode_name, store=self.plan.store)
        result.update(seconds=round(seconds, 1), seed=self.plan.seed)
        return result


def blow(plan: Plan) -> dict[str, Any]:
    """Run a plan in a private directory, on tmpfs where there is one."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    shared_memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="storm-", dir=shared_memory) as directory:
        return Storm(plan, Path(directory)).run()


def faults(result: dict[str, Any]) -> int:
    """Return how many promises were broken."""
    return sum(result[fault] for fault in FAULTS)
