"""Share the steps between workers, and add up what their own pytest runs found.

Each inner run leaves a JUnit XML file in build/reports. Its test cases become
reports of this session before pytest writes its summary: the closing line
counts them, the short summary names those that failed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

import pytest
import test_steps
from xdist.scheduler import LoadScopeScheduling

REPORTS = Path(__file__).resolve().parent.parent / "build" / "reports"
Outcome = Literal["passed", "failed", "skipped"]


class ByGroup(LoadScopeScheduling):
    """Keep the steps of a group together, by their marks.

    With pytest 9.2 xdist 3.8 does not hand the groups on.
    """

    def _split_scope(self, nodeid: str) -> str:
        name = nodeid.rpartition("::")[2].partition("[")[0]
        marks = getattr(getattr(test_steps, name), "pytestmark", [])
        groups = [mark.args[0] for mark in marks if mark.name == "xdist_group"]
        return groups[0] if groups else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByGroup:
    """Return what shares the steps between the workers."""
    return ByGroup(config, log)


def outcome(case: ElementTree.Element) -> tuple[str, Outcome]:
    """Return pytest's category of a test case, and its outcome."""
    if case.find("failure") is not None:
        return "failed", "failed"
    if case.find("error") is not None:
        return "error", "failed"
    if case.find("skipped") is not None:
        return "skipped", "skipped"
    return "passed", "passed"


def inner_reports(path: Path) -> Iterator[tuple[str, pytest.TestReport]]:
    """Yield the category and a report for each test case of one inner run."""
    for case in ElementTree.parse(path).iter("testcase"):
        category, result = outcome(case)
        name = f"{path.stem}: {case.get('classname')}::{case.get('name')}"
        yield (
            category,
            pytest.TestReport(
                nodeid=name,
                location=(str(path), None, name),
                keywords={},
                outcome=result,
                longrepr=(str(path), 0, name) if result == "skipped" else None,
                when="setup" if category == "error" else "call",
            ),
        )


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Add the inner runs' reports to what is summed up; fail with them."""
    if hasattr(session.config, "workerinput"):
        return  # who started the workers sums up
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    assert terminal is not None
    for path in sorted(REPORTS.glob("*.xml")):
        for category, report in inner_reports(path):
            terminal.stats.setdefault(category, []).append(report)
            if report.failed:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
