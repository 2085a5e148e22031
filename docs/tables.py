"""Write the tables of reliability.rst and performance.rst from recorded results.

Reads ``benchmarks/results/*.json``, writes ``docs/tables/*.csv``. Run
``python docs/tables.py`` after a long run or a benchmark; a test sees to it that
the tables are those of the recorded results. A table without results says so.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import performance
import targets

DOCS = Path(__file__).resolve().parent
RESULTS = DOCS.parent / "benchmarks" / "results"
TABLES = DOCS / "tables"

Results = dict[str, Any]
Rows = list[list[str]]

FAULTS = ("lost", "torn", "stale", "hung", "emptied", "errors")


def number(value: float | None) -> str:
    """Return a number as it is printed; what was not counted as a dash."""
    return f"{value:,}" if value is not None else "-"


def picked(record: Results, names: Iterable[str]) -> list[str]:
    """Return some figures of a record."""
    return [number(record.get(name, 0)) for name in names]


def storm(results: Results) -> Rows:
    """Return a row for each mode of the storm, and the totals."""
    columns = ("kills", "stops", "operations", "reads", *FAULTS)
    records = [*results["modes"], results["total"]]
    rows = [[record["mode"], *picked(record, columns)] for record in records]
    return [["mode", *columns], *rows]


def described(store: Results) -> str:
    """Return a store's name and version."""
    return f"{store['store']} {store['version']}"


def peers(*results: Results) -> Rows:
    """Return a row for each store and mode that the peers can do, too."""
    columns = ("kills", "operations", "reads", *FAULTS)
    modes = [record["mode"] for record in results[-1]["modes"]]
    rows = [
        [described(store), record["mode"], *picked(record, columns)]
        for mode in modes
        for store in results
        for record in store["modes"]
        if record["mode"] == mode
    ]
    return [["store", "mode", *columns], *rows]


def steps(results: Results) -> Rows:
    """Return a row for each scenario that was stepped through."""
    rows = [
        [program.removeprefix("test_"), scenario, *stepped(figures)]
        for program, scenarios in results["programs"].items()
        for scenario, figures in scenarios.items()
        if isinstance(figures, dict)
    ]
    heading = ["program", "scenario", "changes", "instructions", "images", "failures"]
    return [heading, *rows]


def stepped(figures: Results) -> list[str]:
    """Return what was counted in a scenario; the programs stop at a failure."""
    changes = figures.get("changes", figures.get("calls", figures.get("readers")))
    counted = (changes, figures.get("instructions"), figures.get("images"))
    return [*map(number, counted), number(figures.get("failures", 0))]


def mutants(results: Results) -> Rows:
    """Return a row for each mutant: what it breaks, and who noticed."""
    rows = [
        [record["name"].replace("_", " "), record["kind"], record["caught_by"] or "-"]
        for record in results["mutants"]
    ]
    return [["mutant", "kind", "caught by"], *rows]


def fuzz(results: Results) -> Rows:
    """Return a row for each fuzzer, and the sum."""
    columns = ("runs", "seconds", "runs_per_second", "edges", "findings")
    rows = [[target, *picked(record, columns)] for target, record in results.items()]
    sums = {name: sum(r[name] for r in results.values()) for name in columns}
    sums["runs_per_second"] = sums["edges"] = None
    return [
        ["target", "runs", "seconds", "runs/s", "edges", "findings"],
        *rows,
        ["total", *picked(sums, columns)],
    ]


def facts(*columns: str) -> Callable[[Results], Rows]:
    """Return a table of one record: a row for each figure."""
    return lambda results: [
        ["figure", "value"],
        *([name.replace("_", " "), number(results[name])] for name in columns),
    ]


SOURCES: dict[str, tuple[tuple[str, ...], Callable[..., Rows]]] = {
    "storm": (("storm",), storm),
    "peers": (("storm", "storm-diskcache", "storm-perl"), peers),
    "order": (
        ("order",),
        facts("seconds", "kills", "changes", "writes", "deletions", "violations"),
    ),
    "steps": (("steps",), steps),
    "mutants": (("mutants",), mutants),
    "fuzz": (("fuzz",), fuzz),
    "soak": (
        ("soak",),
        facts("seconds", "failures", "memory_kb_warm", "memory_kb_end"),
    ),
    "leaks": (("leaks",), facts("operations", "opens", "leaks", "seconds")),
    "exceptions": (
        ("exceptions",),
        facts("exceptions", "operations", "left", "seconds"),
    ),
    "reentry": (
        ("reentry",),
        facts("seconds", "threads", "actions", "exceptions", "wrong"),
    ),
    "targets": (targets.QUESTIONS, targets.targets),
    **performance.SOURCES,
}


def load(name: str) -> Results:
    """Return what a program recorded; nothing if it has not run."""
    path = RESULTS / f"{name}.json"
    results: Results = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return results


def table(name: str) -> str:
    """Return a table as CSV."""
    files, make = SOURCES[name]
    results = [load(file) for file in files]
    rows = make(*results) if any(results) else [["not measured yet"], ["-"]]
    text = io.StringIO()
    # A dash alone would begin a list.
    shown = [["\\-" if cell == "-" else cell for cell in row] for row in rows]
    csv.writer(text, lineterminator="\n").writerows(shown)
    return text.getvalue()


def main() -> None:
    """Write all tables."""
    TABLES.mkdir(exist_ok=True)
    for name in SOURCES:
        (TABLES / f"{name}.csv").write_text(table(name), encoding="utf-8")


if __name__ == "__main__":
    main()
