"""What the demo shows: live progress, the table at the end, the plot."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

PLAIN_INTERVAL = 5.0  # seconds between two lines when the output is no terminal


class RichBars:
    """A bar per worker, drawn by rich."""

    def __init__(self, title: str, workers: int, total: int) -> None:
        from rich.progress import Progress

        self.progress = Progress()
        self.progress.start()
        self.progress.console.print(f"[bold]{title}")
        self.tasks = [
            self.progress.add_task(f"worker {number + 1}", total=total)
            for number in range(workers)
        ]

    def show(self, done: Sequence[int]) -> None:
        """Move the bars to what each worker has done."""
        for task, count in zip(self.tasks, done, strict=True):
            self.progress.update(task, completed=count)

    def close(self) -> None:
        """Stop drawing."""
        self.progress.stop()


class PlainLines:
    """A line of text every few seconds."""

    def __init__(self, title: str, workers: int, total: int) -> None:
        self.total = total
        self.next = time.monotonic() + PLAIN_INTERVAL
        print(title, flush=True)

    def show(self, done: Sequence[int]) -> None:
        """Print what each worker has done, if it is time for a line."""
        if time.monotonic() >= self.next:
            counts = "  ".join(f"{count:5d}" for count in done)
            print(f"  {counts}  of {self.total} each", flush=True)
            self.next = time.monotonic() + PLAIN_INTERVAL

    def close(self) -> None:
        """Do nothing: there is nothing to clear."""


class Progress:
    """Progress of some workers, in a ``with`` block."""

    def __init__(self, title: str, workers: int, total: int) -> None:
        rich = sys.stdout.isatty() and find_spec("rich") is not None
        self.view = (RichBars if rich else PlainLines)(title, workers, total)

    def __enter__(self) -> RichBars | PlainLines:
        return self.view

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.view.close()


def print_table(title: str, rows: Sequence[tuple[str, str]]) -> None:
    """Print names and values as a table."""
    if find_spec("rich") is None:
        width = max(len(name) for name, _ in rows)
        print(f"\n{title}")
        for name, value in rows:
            print(f"  {name:{width}}  {value:>16}")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


class Curve(NamedTuple):
    """A line of the plot: outlines delivered, over seconds."""

    name: str
    points: Sequence[tuple[float, int]]


def save_plot(
    path: Path, curves: Sequence[Curve], memory: Sequence[tuple[str, float]]
) -> bool:
    """Draw progress over time and MiB of memory; False without matplotlib."""
    if find_spec("matplotlib") is None:
        return False
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(2, 1))
    for curve in curves:
        left.plot(*zip(*curve.points, strict=True), label=curve.name)
    left.set(xlabel="seconds", ylabel="outlines delivered", ylim=(0, None))
    left.legend()
    bars = right.bar(*zip(*memory, strict=True), color=("C0", "C1"))
    right.bar_label(bars, fmt="%.1f")
    right.set(ylabel="MiB of memory")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    return True
