"""``fastmmap top``: what happens in a cache, live."""

import argparse
import curses
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fastmmap import _core
from fastmmap.cli import clients, watch
from fastmmap.cli.command import FINE, Command, add_file, add_interval, add_json
from fastmmap.cli.opening import opened
from fastmmap.cli.output import percent_text, plain_table, printable, size_text
from fastmmap.cli.rates import RATES, Look, Watch
from fastmmap.types import Client

TOP = """\
Show what happens in a cache, once a second: gets, hits, sets, evictions and waits,
in total and for each process that has the file open. Keys: q quits, p pauses, s
sorts the processes by the next column. Without a terminal it prints lines, as
`watch` does. It takes no lock.
"""

_BARS = " ▁▂▃▄▅▆▇█"
_HISTORY = 60
#: A client, and what it does a second, in the order of `clients.COUNTED`.
_Busy = tuple[Client, tuple[float, ...]]
_Order = Callable[[_Busy], Any]
#: Those of `clients.HEAD`; who does most comes first.
_ORDERS: tuple[_Order, ...] = (
    lambda busy: busy[0].pid,
    lambda busy: busy[0].since,
    lambda busy: -busy[1][0],
    lambda busy: -busy[1][1],
    lambda busy: -busy[1][2],
    lambda busy: -busy[1][3],
    lambda busy: busy[0].command,
)


def sparkline(history: Sequence[float]) -> str:
    """Return a bar for each number; the largest is as high as can be."""
    most = max(history, default=0) or 1
    return "".join(_BARS[-int(-8 * rate // most)] for rate in history)


class ClientWatch:
    """What each client does a second, from look to look; at first nothing."""

    def __init__(self) -> None:
        self._before: dict[tuple[object, ...], tuple[int, ...]] = {}
        self._looked = 0.0

    def look(self, found: Sequence[Client]) -> list[_Busy]:
        """Return all clients and their rates since the last look."""
        now = time.monotonic()
        span = max(now - self._looked, 1e-9)
        counted = {_name(client): clients.counts_of(client) for client in found}
        busy = []
        for client in found:
            counts = counted[_name(client)]
            before = self._before.get(_name(client), counts)
            pairs = zip(counts, before, strict=True)
            busy.append((client, tuple((new - old) / span for new, old in pairs)))
        self._before, self._looked = counted, now
        return busy


def _name(client: Client) -> tuple[object, ...]:
    return client.pid, client.since


class Screen:
    """What is shown: the last minute, and who has the file open."""

    def __init__(self, cache: _core.Cache) -> None:
        self._path = cache.share_file
        self._cache = cache
        self._watch = Watch(cache)
        self._look: Look = self._watch.look()
        self._history: dict[str, deque[float]] = {
            name: deque(maxlen=_HISTORY) for name in RATES
        }
        self._clients = ClientWatch()
        self._busy: list[_Busy] = []
        self.order = 0
        self.paused = False

    def update(self) -> None:
        """Look again, unless it is paused."""
        if self.paused:
            return
        self._look = self._watch.look()
        for name, rate in zip(RATES, self._look.rates, strict=True):
            self._history[name].append(rate)
        self._busy = self._clients.look(clients.clients_of(self._cache))

    def sort(self) -> None:
        """Sort the processes by the next column."""
        self.order = (self.order + 1) % len(_ORDERS)

    def lines(self) -> Iterator[str]:
        """Yield what is shown."""
        stats = self._look.stats
        yield f"{printable(self._path)}{'  (paused)' if self.paused else ''}"
        yield (
            f"{stats.entries} entries, {size_text(stats.bytes_live)} of "
            f"{size_text(stats.bytes_total)} "
            f"({percent_text(stats.bytes_live, stats.bytes_total)}), "
            f"hit ratio {percent_text(self._look.rates[1], self._look.rates[0])}"
        )
        yield ""
        for name, rate in zip(RATES, self._look.rates, strict=True):
            yield f"{name:9} {rate:10.0f}/s  {sparkline(self._history[name])}"
        yield ""
        yield from self._client_lines()
        yield ""
        yield f"q quit  p pause  s sort (now by {clients.HEAD[self.order].lower()})"

    def _client_lines(self) -> Iterator[str]:
        busy = sorted(self._busy, key=_ORDERS[self.order])
        return plain_table(clients.HEAD, [clients.row(*each) for each in busy])


def _draw(window: "curses.window", lines: Iterator[str]) -> None:
    window.erase()
    height, width = window.getmaxyx()
    for row, line in zip(range(height), lines, strict=False):
        window.addnstr(row, 0, line, width - 1)
    window.refresh()


def _obey(screen: Screen, key: int) -> bool:
    """Do what a key says; False: end."""
    if key == ord("p"):
        screen.paused = not screen.paused
    elif key == ord("s"):
        screen.sort()
    return key not in (ord("q"), 27)


def _live(window: "curses.window", screen: Screen, interval: float) -> None:
    curses.use_default_colors()
    due, going = time.monotonic(), True
    while going:
        if time.monotonic() >= due:
            screen.update()
            due = time.monotonic() + interval
        _draw(window, screen.lines())
        window.timeout(max(round((due - time.monotonic()) * 1000), 0))
        going = _obey(screen, window.getch())


def run(arguments: argparse.Namespace) -> int:
    """Show what happens in a cache, live."""
    if arguments.json or not (sys.stdout.isatty() and sys.stdin.isatty()):
        return watch.run(arguments)
    with opened(arguments.file) as cache:
        curses.wrapper(_live, Screen(cache), arguments.interval)
    return FINE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``top``."""
    add_file(parser)
    add_json(parser)
    add_interval(parser, 1)
    parser.add_argument(
        "--count", type=int, metavar="N", help="without a terminal: end after N lines"
    )


COMMANDS = (Command("top", run, add_arguments, TOP),)
