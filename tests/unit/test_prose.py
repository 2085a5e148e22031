"""What users read avoids the turns of phrase that docs/style.rst lists."""

from __future__ import annotations

from pathlib import Path

import prose
import pytest

pytestmark = [pytest.mark.quick, pytest.mark.once]

SAMPLES = [
    "A lock is not to be had within 0.1 s.",
    "It computes the value anew.",
    "It sleeps as of ``threading``.",
    "A key that is no str raises.",
    "Nothing moves. Who waits sleeps.",
    "Evictions for want of a slot.",
    "The other process goes on.",
    "It shows what is stored.",
    "A new file takes its place.",
    "A process of its own.",
    "So many at a time.",
    "The file shall exist.",
    "All but for one.",
    "It mends the file.",
    "The log tells of it.",
    "zlib, else nothing.",
    "It looks after files.",
    "The name stands in the header.",
    "A compiler must be there.",
    "The file lies on a disk.",
]
FINE = """
What is in the file, and who has it open? There is no server. The value
is no longer there.
As of 0.2 users who have it open wait::

    anew, goes on, shall

``anew`` is a word.

>>> "goes on"
"""


def hits(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, name: str) -> int:
    """Return how many turns are found in a file with this text."""
    monkeypatch.setattr(prose, "ROOT", folder)
    path = folder / name
    path.write_text(text, "utf-8")
    return len(prose.findings(path))


def test_no_file_has_a_turn_to_avoid() -> None:
    found = [str(each) for path in prose.files() for each in prose.findings(path)]
    assert found == []


def test_every_turn_is_found_by_its_own_pattern() -> None:
    pairs = list(zip(prose.turns(), SAMPLES, strict=True))
    assert [text for turn, text in pairs if not turn.pattern.search(text)] == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("page.rst", "Fine.\n\nIt is computed anew.\n"),
        ("page.rst", ".. note::\n\n    It is computed anew.\n"),
        ("module.py", 'def f():\n    """Compute it anew."""\n'),
        ("module.py", 'raise ValueError(f"{1}: compute it anew")\n'),
        ("module.c", 'say("compute it anew");\n'),
        ("module.c", 'doc = "f()\\n\\\n--\\n\\n\\\nCompute it anew.";\n'),
    ],
)
def test_pages_and_strings_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    assert hits(tmp_path, monkeypatch, text, name) == 1


def test_code_literals_and_plain_english_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hits(tmp_path, monkeypatch, FINE, "page.rst") == 0
