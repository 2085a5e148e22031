"""`make report` goes on after what failed, and tells it all."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
report = pytest.importorskip("report")

pytestmark = pytest.mark.once


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_report_tells_what_failed_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(report, "BUILD", tmp_path / "build")
    monkeypatch.setattr(report, "REPORT", tmp_path / "report.txt")
    monkeypatch.setattr(report, "LIMIT", 5)
    failing = python("print('why'); print('more'); raise SystemExit(3)")
    monkeypatch.setattr(report, "before", lambda: [failing, ["./not-there"]])
    hanging = python("print('so far', flush=True); import time; time.sleep(60)")
    passing = python("print('first'); print('last line')")
    monkeypatch.setattr(report, "after", lambda: [hanging, passing])
    report.main()
    text = report.REPORT.read_text("utf-8")
    assert "FAILED (3), " in text and "    why\n    more\n" in text
    assert text.count("DID NOT BEGIN") == text.count("DID NOT END") == 1
    assert "    so far\n" in text
    assert "    last line\n" in text and "    first\n" not in text
    assert text.endswith("1 of 4 commands passed\n")
    assert sys.version.split()[0] in text
