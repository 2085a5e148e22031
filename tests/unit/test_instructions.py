"""The guard of the instruction counts: what it lets pass, and what not."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
HERE = "CPython 3.11.7, GCC 12.2.0, x86_64"

pytestmark = pytest.mark.quick


@pytest.fixture
def guard(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import instructions

    return instructions


def test_over_a_tenth_more_is_a_regression_by_name(
    guard: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    record = {HERE: {"get": 1000, "set": 1000}}
    wrong = guard.check(record, HERE, {"get": 1101, "set": 1000})
    assert ": get." in wrong
    assert "make instructions" in wrong
    shown = capsys.readouterr().out.splitlines()
    assert shown[1].split() == ["get", "1,000", "1,101", "+10.1%", "too", "much"]
    assert shown[2].split() == ["set", "1,000", "1,000", "+0.0%"]


def test_a_regression_ends_the_program_with_an_error(
    guard: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    record = tmp_path / "record.json"
    record.write_text(json.dumps({HERE: {"get": 1000}}))
    monkeypatch.setattr(guard, "RECORD", record)
    monkeypatch.setattr(guard, "configuration", lambda: HERE)
    monkeypatch.setattr(guard, "count", lambda: {"get": 1101})
    monkeypatch.setattr("sys.argv", ["instructions.py", "--check"])
    with pytest.raises(SystemExit, match="above the record: get"):
        guard.main()
    assert json.loads(record.read_text()) == {HERE: {"get": 1000}}


def test_a_tenth_more_and_anything_less_passes(guard: ModuleType) -> None:
    record = {HERE: {"get": 1000, "set": 1000}}
    assert guard.check(record, HERE, {"get": 1100, "set": 500}) == ""


def test_an_operation_that_was_not_recorded_is_new(
    guard: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert guard.check({HERE: {"get": 1000}}, HERE, {"get": 1000, "add": 9}) == ""
    assert "add" in capsys.readouterr().out


def test_a_configuration_that_was_not_recorded_passes_by_name(
    guard: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    other = "CPython 3.12.1, GCC 13.2.0, aarch64"
    assert guard.check({HERE: {"get": 1}}, other, {"get": 1000}) == ""
    assert f"Nothing is recorded for {other}" in capsys.readouterr().out


def test_counts_are_of_the_long_run_without_the_short_one(
    guard: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = [("get", 10, 30), ("set", 10, 30)]
    totals = [9, 999, 9, 1500, 9, 2500, 8, 999, 8, 1500, 8, 4500]
    monkeypatch.setattr(guard, "run_counted", lambda directory, spare: done)
    monkeypatch.setattr(guard, "read_totals", lambda directory: totals)
    assert guard.count() == {"get": 50, "set": 150}


def test_totals_are_read_in_the_order_of_the_marks(
    guard: ModuleType, tmp_path: Path
) -> None:
    for number, total in ((1, 5), (2, 70), (10, 600)):
        (tmp_path / f"count.{number}").write_text(f"fn=x\n0 5\ntotals: {total}\n")
    (tmp_path / "count").write_text("totals: 1\n")
    assert guard.read_totals(str(tmp_path)) == [5, 70, 600]


def test_the_record_holds_the_same_operations_everywhere(guard: ModuleType) -> None:
    record = json.loads(guard.RECORD.read_text(encoding="utf-8"))
    assert record
    assert len({tuple(sorted(counts)) for counts in record.values()}) == 1
