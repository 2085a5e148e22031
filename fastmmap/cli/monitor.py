"""``fastmmap monitor``: calls as they happen, and how long they take."""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Optional

from fastmmap import _core, monitor
from fastmmap.cli.command import FINE, FOUND, Command, add_file, add_json, seconds
from fastmmap.cli.opening import open_to_look
from fastmmap.cli.output import plain_table, print_json, printable

MONITOR = """\
Show the calls on a cache as they happen: when, by which process, on which key, what
they came to, and how long they took; at the end, how many took how long. Values are
not shown. A process shows its calls from `fastmmap.monitor.show(cache)` on. Ctrl-C
ends it.
"""
_PATIENCE = 0.2
#: Wide enough for a terminal beside the other columns.
_BAR = 30


class Told(NamedTuple):
    """A call, as a process shows it."""

    when: float
    pid: int
    call: str
    key: str
    outcome: str
    nanoseconds: int


def told_of(message: bytes) -> Optional[Told]:
    """Return the call in a message; None for anything else."""
    try:
        when, pid, call, key, outcome, taken = json.loads(message)
        texts = (call, key, outcome)
        if all(isinstance(text, str) for text in texts):
            return Told(float(when), int(pid), call, key, outcome, max(int(taken), 0))
    except (ValueError, TypeError, OverflowError):
        pass
    return None


class Histogram:
    """How many calls took how long: by call, in powers of two of nanoseconds."""

    def __init__(self) -> None:
        self.total = 0
        self._counts: dict[str, dict[int, int]] = {}

    def add(self, told: Told) -> None:
        """Count a call."""
        counts = self._counts.setdefault(told.call, {})
        power = told.nanoseconds.bit_length()
        counts[power] = counts.get(power, 0) + 1
        self.total += 1

    def rows(self) -> Iterator[Sequence[str]]:
        """Yield the call, the time that it took less than, how many, and a bar."""
        for call, counts in sorted(self._counts.items()):
            most = max(counts.values())
            for power in range(min(counts), max(counts) + 1):
                count = counts.get(power, 0)
                bar = "█" * -(-_BAR * count // most)
                yield call, span_text(2**power), str(count), bar

    def as_json(self) -> dict[str, dict[str, int]]:
        """Return the counts by the nanoseconds that the calls took less than."""
        return {
            call: {str(2**power): count for power, count in sorted(counts.items())}
            for call, counts in self._counts.items()
        }


def span_text(nanoseconds: float) -> str:
    """Return a time as people read it."""
    for unit in ("ns", "µs", "ms"):
        if nanoseconds < 1000:
            return f"{nanoseconds:.3g} {unit}"
        nanoseconds /= 1000
    return f"{nanoseconds:.3g} s"


def line(told: Told) -> str:
    """Return a call as a line; nothing of it is obeyed by a terminal."""
    part = f"{told.when % 1:.6f}"[1:]
    moment = time.strftime("%H:%M:%S", time.localtime(told.when)) + part
    call, key, outcome = (printable(text) for text in told[2:5])
    taken = span_text(told.nanoseconds)
    return f"{moment}  {told.pid}  {call:14} {key}  {outcome}  {taken}"


def _calls(ear: Any, span: Optional[float]) -> Iterator[Told]:
    """Yield calls until the time is over."""
    end = None if span is None else _core.monotonic() + span
    ear.settimeout(_PATIENCE)
    while end is None or _core.monotonic() < end:
        with suppress(TimeoutError):
            told = told_of(ear.recv(monitor.LARGEST))
            if told is not None:
                yield told


def _follow(ear: Any, arguments: argparse.Namespace, histogram: Histogram) -> None:
    """Print and count calls until they are enough."""
    for told in _calls(ear, arguments.seconds):
        histogram.add(told)
        if not arguments.quiet:
            print(json.dumps(told._asdict()) if arguments.json else line(told))
            sys.stdout.flush()
        if histogram.total == arguments.count:
            return


def _conclude(histogram: Histogram, as_json: bool) -> None:
    if as_json:
        print_json({"histogram_ns": histogram.as_json()})
        return
    print()
    for row in plain_table(("CALL", "BELOW", "COUNT", ""), list(histogram.rows())):
        print(row)


def run(arguments: argparse.Namespace) -> int:
    """Show the calls of processes that show them, as they happen."""
    cache = open_to_look(arguments.file)
    path = cache.share_file
    cache.close()
    histogram = Histogram()
    with monitor.listen(path) as ear:
        try:
            with suppress(KeyboardInterrupt):
                _follow(ear, arguments, histogram)
        finally:
            with suppress(OSError):
                os.unlink(path + monitor.SUFFIX)
    if not histogram.total:
        print(
            "nothing was shown: does a process call fastmmap.monitor.show(cache)?",
            file=sys.stderr,
        )
        return FOUND
    _conclude(histogram, arguments.json)
    return FINE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``monitor``."""
    add_file(parser)
    add_json(parser)
    parser.add_argument("--count", type=int, metavar="N", help="end after N calls")
    parser.add_argument("--seconds", type=seconds, metavar="S", help="end after S s")
    parser.add_argument("--quiet", action="store_true", help="only how long they took")


COMMANDS = (Command("monitor", run, add_arguments, MONITOR),)
