"""README.rst: its example runs, its figures are the measured ones."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.rst").read_text(encoding="utf-8")

pytestmark = pytest.mark.quick


def code_blocks(text: str) -> list[str]:
    """Return the Python blocks of a reStructuredText file."""
    blocks = []
    for part in text.split(".. code-block:: python\n")[1:]:
        lines = []
        for line in part.splitlines():
            if line and not line.startswith("    "):
                break
            lines.append(line)
        blocks.append(textwrap.dedent("\n".join(lines)))
    return blocks


def test_example_runs(tmp_path: Path) -> None:
    (code,) = code_blocks(README)
    code = code.replace("/dev/shm", str(tmp_path))
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert os.listdir(tmp_path) == []


def test_example_is_about_ten_lines_long() -> None:
    (code,) = code_blocks(README)
    assert len([line for line in code.splitlines() if line]) <= 10


def test_length_is_what_one_reads_at_once() -> None:
    assert 110 <= len(README.splitlines()) <= 150


@pytest.mark.parametrize("question", ["doors", "basic"])
def test_tables_show_the_measured_figures(
    monkeypatch: pytest.MonkeyPatch, question: str
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import table

    begin = table.BEGIN.format(question)
    shown = README.partition(begin)[2].partition(table.END)[0]
    assert shown == table.as_rst(question, table.load(question))


def rows(name: str) -> list[dict[str, str]]:
    """Return the rows of a table of the docs."""
    path = ROOT / "docs" / "tables" / f"{name}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_reasons_show_the_measured_figures() -> None:
    text = " ".join(README.split())
    memory = {row["workers"].split()[0]: float(row["8"]) for row in rows("memory")}
    ratios = [(float(row["fastmmap"]), float(row["lru"])) for row in rows("hitratio")]
    more = sum(own > lru for own, lru in ratios)
    (storm,) = (row for row in rows("storm") if row["mode"] == "total")
    kills = int(storm["kills"].replace(",", ""))
    assert f"need {memory['fastmmap']:.1f} bytes per cached byte" in text
    assert f"worker they need {memory['dict']:.1f}." in text
    assert f"LRU in {more} of {len(ratios)} measured" in text
    assert "20,000 kills" in text and kills >= 20_000


def test_every_link_leads_to_a_file_of_the_project() -> None:
    links = re.findall(r"https://github.com/fastmmap/fastmmap/blob/main/(\S+)", README)
    assert len(links) > 10
    assert [link for link in links if not (ROOT / link).exists()] == []
