"""Write the table of README.rst from what bench_basic.py recorded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from runner import PUBLISHED, ROOT

README = ROOT / "README.rst"
BEGIN = ".. bench_basic.py writes from here\n"
END = ".. to here\n"
OPERATIONS = ("get hit", "set", "incr", "get dict", "set dict")

Measured = dict[str, Any]


def nanoseconds(measured: Measured, peer: str, operation: str) -> float | None:
    """Return the median of an operation; None if the peer has it not."""
    found = measured["results"].get(peer, {}).get(operation)
    return float(found["median"]) if found else None


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the rows as lines with columns of equal width."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = [first.ljust(widths[0])]
        cells += [
            cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def cell(measured: Measured, peer: str, operation: str) -> str:
    """Return nanoseconds, and the ratio to fastmmap in brackets."""
    own = nanoseconds(measured, peer, operation)
    base = nanoseconds(measured, "fastmmap", operation)
    if own is None or base is None:
        return "\\-"
    return f"{own:,.0f}" if peer == "fastmmap" else f"{own:,.0f} ({own / base:.1f})"


def as_rst(measured: Measured) -> str:
    """Return README's table with the line that says what was measured."""
    rows = [["", *OPERATIONS]]
    for peer in measured["results"]:
        name = f"{peer} {measured['versions'][peer]}".strip()
        rows.append([name, *(cell(measured, peer, o) for o in OPERATIONS)])
    rows[0][0] = "ns per call"
    header, *body = align(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = "  ".join("=" * width for width in widths)
    machine = measured["machine"]
    note = (
        f"Python {machine['python']}, {machine['system']}, {machine['machine']}, "
        f"{machine['cpus']} CPUs."
    )
    return "\n".join(["", rule, header, rule, *body, rule, "", note, "", ""])


def update_readme(measured: Measured) -> None:
    """Replace the table in README.rst."""
    text = README.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    README.write_text(before + BEGIN + as_rst(measured) + END + after)


if __name__ == "__main__":
    update_readme(json.loads((PUBLISHED / "basic.json").read_text(encoding="utf-8")))
