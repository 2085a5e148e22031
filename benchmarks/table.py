"""Write the tables of README.rst from what bench_doors.py and bench_basic.py found."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from runner import PUBLISHED, ROOT

README = ROOT / "README.rst"
BEGIN = ".. bench_{}.py writes from here\n"
END = ".. to here\n"
OURS = "fastmmap"
OPERATIONS = ("get hit", "set", "incr", "get dict", "set dict")
#: Those whom README shows; docs/performance.rst has all.
PEERS = (
    OURS,
    "dict",
    "lmdb",
    "Cache::FastMmap",
    "diskcache",
    "memcached, pylibmc",
    "Redis",
)
DOORS = (
    ("get, near, 1000 keys", "dict"),
    ("get of a small dict, copy=False", "dict"),
    ("memoize", "functools.lru_cache"),
    ("memoize", "warp_cache, shared"),
    ("memoize", "diskcache"),
    ("Django get", "LocMemCache"),
    ("dogpile decorated", "memory_pickle"),
    ("Flask memoize", "SimpleCache"),
    ("aiocache get", "SimpleMemoryCache"),
)

Measured = dict[str, Any]


def nanoseconds(measured: Measured, outer: str, inner: str) -> float | None:
    """Return a median by the two names that it has; None where there is none."""
    found = measured["results"].get(outer, {}).get(inner)
    return float(found["median"]) if found else None


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the rows as lines with columns of equal width: the first left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = [first.ljust(widths[0])]
        cells += [
            cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def cell(own: float | None, base: float | None) -> str:
    """Return nanoseconds, and the ratio to fastmmap in brackets."""
    return f"{own:,.0f} ({own / base:.1f})" if own and base else "\\-"


def of_basic(measured: Measured) -> list[list[str]]:
    """Return single calls, by peer."""
    own = [nanoseconds(measured, OURS, call) or 0 for call in OPERATIONS]
    rows = [["ns per call", *OPERATIONS]]
    for peer in (name for name in PEERS if name in measured["results"]):
        theirs = [nanoseconds(measured, peer, call) for call in OPERATIONS]
        cells = [cell(*pair) for pair in zip(theirs, own, strict=True)]
        rows.append([f"{peer} {measured['versions'][peer]}".strip(), *cells])
    rows[1][1:] = [f"{figure:,.0f}" for figure in own]
    return rows


def of_doors(measured: Measured) -> list[list[str]]:
    """Return front doors, each beside what people would take instead."""
    rows = [["ns per call", OURS, "beside it", ""]]
    for door, other in DOORS:
        own, theirs = (nanoseconds(measured, door, who) for who in (OURS, other))
        rows.append([door, f"{own or 0:,.0f}", cell(theirs, own), other])
    return rows


TABLES: dict[str, Callable[[Measured], list[list[str]]]] = {
    "doors": of_doors,
    "basic": of_basic,
}


def machine_of(measured: Measured) -> str:
    """Return the line that says where it was measured."""
    machine = measured["machine"]
    return (
        f"Python {machine['python']}, {machine['system']}, {machine['machine']}, "
        f"{machine['cpus']} CPUs."
    )


def as_rst(question: str, measured: Measured) -> str:
    """Return one of README's tables; the last has a line that says on which machine."""
    rows = TABLES[question](measured)
    header, *body = align(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = "  ".join("=" * width for width in widths)
    note = ["", machine_of(measured)] if question == "basic" else []
    return "\n".join(["", rule, header, rule, *body, rule, *note, "", ""])


def load(question: str) -> Measured:
    """Return what a question recorded."""
    path = PUBLISHED / f"{question}.json"
    measured: Measured = json.loads(path.read_text(encoding="utf-8"))
    return measured


def update_readme(question: str) -> None:
    """Replace a table in README.rst."""
    begin = BEGIN.format(question)
    before, rest = README.read_text(encoding="utf-8").split(begin)
    _, after = rest.split(END, 1)
    text = before + begin + as_rst(question, load(question)) + END + after
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for name in TABLES:
        update_readme(name)
