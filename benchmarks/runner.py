"""What every question shares: how much to do, in which order, what to write.

A measurement is one call that returns one number. `interleaved` makes all of
them in each round, in an order that rotates, so that the machine's moods meet
all alike. The median over the rounds counts; the distance between the quartiles
says how far to trust it.
"""

from __future__ import annotations

import datetime
import gc
import json
import os
import platform
import statistics
import sys
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

ROOT = Path(__file__).resolve().parent.parent
PUBLISHED = ROOT / "benchmarks" / "results"
BUILD = ROOT / "build" / "bench"

T = TypeVar("T")
Name = TypeVar("Name", bound=Hashable)
Figures = dict[str, Any]


class Scale(NamedTuple):
    """How much to do: ``full`` is published, ``smoke`` only shows it works."""

    name: str

    def pick(self, full: T, quick: T, smoke: T) -> T:
        """Return what fits this scale."""
        return {"full": full, "quick": quick, "smoke": smoke}[self.name]


class Skipped(dict[str, str]):
    """Who was left out, and why; each said aloud once."""

    def __init__(self, quiet: bool = False) -> None:
        super().__init__()
        self.quiet = quiet

    def note(self, name: str, reason: object) -> None:
        """Remember and print one."""
        if name not in self:
            if not self.quiet:
                print(f"skipped: {name} ({reason})", flush=True)
            self[name] = str(reason)


def rotations(items: Sequence[T], rounds: int) -> Iterator[list[T]]:
    """Yield the items in a rotated order for each round."""
    for turn in range(rounds):
        cut = turn % len(items) if items else 0
        yield [*items[cut:], *items[:cut]]


def interleaved(
    cases: Mapping[Name, Callable[[], T]], rounds: int
) -> dict[Name, list[T]]:
    """Make each measurement once per round; return the samples of each."""
    samples: dict[Name, list[T]] = {name: [] for name in cases}
    gc.collect()
    gc.disable()
    try:
        for order in rotations(list(cases), rounds):
            for name in order:
                samples[name].append(cases[name]())
    finally:
        gc.enable()
    return samples


def ratios(values: Sequence[float], others: Sequence[float]) -> list[float]:
    """Return one measurement as a multiple of another, round by round.

    The machine's mood changes from round to round, and both were in the same.
    """
    return [a / b for a, b in zip(values, others, strict=True)]


def significant(value: float, digits: int = 4) -> float:
    """Return the value without digits that say nothing."""
    return float(f"{value:.{digits}g}")


def summarise(values: Sequence[float]) -> Figures:
    """Return the median, and the distance of the quartiles as a part of it."""
    median = statistics.median(values)
    low, _, high = (
        statistics.quantiles(values, n=4) if len(values) > 1 else 3 * [median]
    )
    spread = (high - low) / median if median else 0.0
    return {"median": significant(median), "spread": round(spread, 3)}


def nest(figures: Mapping[Any, Any]) -> Figures:
    """Return ``{("a", "b"): x}``, by tuples of str, as ``{"a": {"b": x}}``."""
    nested: Figures = {}
    for path, value in figures.items():
        level = nested
        for name in path[:-1]:
            level = level.setdefault(name, {})
        level[path[-1]] = value
    return nested


def summaries(samples: Mapping[Any, Sequence[float]]) -> Figures:
    """Return the summary of each list of samples, nested by its name."""
    return nest({name: summarise(values) for name, values in samples.items()})


def processor() -> str:
    """Return the processor's name, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2] for line in lines if line.startswith("model name")]
    return names[0].strip() if names else platform.processor()


def describe_machine() -> Figures:
    """Return what the figures depend on."""
    return {
        "python": platform.python_version(),
        "system": platform.system() + " " + platform.release().partition("-")[0],
        "machine": platform.machine(),
        "processor": processor(),
        "cpus": os.cpu_count(),
        "memory_gib": round(
            os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1
        ),
    }


def write(directory: Path, question: str, figures: Figures) -> Path:
    """Write the figures of a question as JSON; return the path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{question}.json"
    path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return path


def report(scale: Scale, skipped: Skipped, **figures: Any) -> Figures:
    """Return what goes into the file of a question."""
    return {
        "date": datetime.date.today().isoformat(),
        "scale": scale.name,
        "machine": describe_machine(),
        "skipped": dict(skipped),
        **figures,
    }


def progress(*words: object) -> None:
    """Say on stderr what is being done."""
    print(*words, file=sys.stderr, flush=True)
