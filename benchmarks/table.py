"""Turn what bench_basic.py measured into tables: a plain one, and README's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

README = Path(__file__).resolve().parent.parent / "README.rst"
BEGIN = ".. bench_basic.py writes from here\n"
END = ".. to here\n"
OPERATIONS = ("get hit", "get miss", "set", "incr", "get dict", "set dict")
README_OPERATIONS = ("get hit", "set", "incr", "get dict", "set dict")

Measured = dict[str, Any]


def nanoseconds(measured: Measured, peer: str, operation: str) -> float | None:
    """Return the median of an operation; None if the peer has it not."""
    found = measured["results"].get(peer, {}).get(operation)
    return float(found["ns"]) if found else None


def ratio(measured: Measured, peer: str, operation: str, base: str) -> str:
    """Return how many times the time of `base` the peer takes."""
    own = nanoseconds(measured, peer, operation)
    other = nanoseconds(measured, base, operation)
    return f"{own / other:.2f}" if own and other else "-"


def absolute(measured: Measured, peer: str, operation: str) -> str:
    """Return median and spread as text."""
    found = measured["results"][peer].get(operation)
    return f"{found['ns']:,.0f} ±{found['spread']:.0%}" if found else "-"


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


def as_text(measured: Measured) -> str:
    """Return nanoseconds, then the ratios to fastmmap and to dict."""
    peers = list(measured["results"])
    rows = [["ns per call ± quartile distance", *OPERATIONS]]
    rows += [[p, *(absolute(measured, p, op) for op in OPERATIONS)] for p in peers]
    text = ["", *align(rows)]
    for base in ("fastmmap", "dict"):
        rows = [[f"times {base}", *OPERATIONS]]
        for peer in peers:
            rows.append([peer, *(ratio(measured, peer, o, base) for o in OPERATIONS)])
        text += ["", *align(rows)]
    return "\n".join(text)


def readme_cell(measured: Measured, peer: str, operation: str) -> str:
    """Return nanoseconds, and the ratio to fastmmap in brackets."""
    own = nanoseconds(measured, peer, operation)
    base = nanoseconds(measured, "fastmmap", operation)
    if own is None or base is None:
        return "\\-"
    return f"{own:,.0f}" if peer == "fastmmap" else f"{own:,.0f} ({own / base:.1f})"


def as_rst(measured: Measured) -> str:
    """Return README's table with the line that says what was measured."""
    rows = [["", *README_OPERATIONS]]
    for peer in measured["results"]:
        name = f"{peer} {measured['versions'][peer]}".strip()
        rows.append(
            [name, *(readme_cell(measured, peer, o) for o in README_OPERATIONS)]
        )
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
