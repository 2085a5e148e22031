"""A rolling deploy of a new version of the format, and its rollback, under load.

The other version is a copy of this one, built with the next number of the format.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from deploying import serve
from header import VERSION_AT, word_at
from sources import ROOT, copy_sources
from support import Scenario

import fastmmap

WORKERS = 8
#: Seconds between one worker that is stopped and the next.
PACE = 0.3
#: The least number of requests that a worker serves in its life.
FEW = 20

pytestmark = pytest.mark.once


class Version(NamedTuple):
    """A version of fastmmap, and where its package is."""

    number: int
    place: str


def number_in(source: str) -> int:
    (number,) = re.findall(r"#define FMM_VERSION (\d+)u", source)
    return int(number)


@pytest.fixture(scope="module")
def this() -> Version:
    header = (ROOT / "csrc" / "core" / "fmm_format.h").read_text("utf-8")
    return Version(number_in(header), str(Path(fastmmap.__file__).parents[1]))


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory, this: Version) -> Version:
    """Build the next version; it differs in the number of its format alone."""
    if shutil.which(os.environ.get("CC", "cc")) is None:
        pytest.skip("no C compiler")
    tree = tmp_path_factory.mktemp("newer")
    copy_sources(tree)
    header = tree / "csrc" / "core" / "fmm_format.h"
    own, next_one = f"FMM_VERSION {this.number}u", f"FMM_VERSION {this.number + 1}u"
    header.write_text(header.read_text("utf-8").replace(own, next_one), "utf-8")
    subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
        cwd=tree,
        env={**os.environ, "FASTMMAP_DEBUG": "1"},  # which is built faster
        check=True,
        capture_output=True,
        timeout=600,
    )
    return Version(this.number + 1, str(tree))


class Report(NamedTuple):
    """What a worker has to tell in the end."""

    requests: int
    hits: int
    told: list[str]


class Site:
    """Workers on one cache file; each may be of another version."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._stack = ExitStack()
        self.workers: list[Scenario] = []

    def __enter__(self) -> Site:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self, version: Version, size: str = "1m") -> None:
        """Start a worker, and wait until it has served a request."""
        assert self.begin(version, size).hear() == "serving"

    def begin(self, version: Version, size: str = "1m") -> Scenario:
        """Start a worker, and do not wait for it."""
        worker = Scenario(serve, version.place, self.path, size, timeout=240)
        self.workers.append(self._stack.enter_context(worker))
        return worker

    def stop_oldest(self) -> Report:
        """Stop the worker that was started first, between two of its requests."""
        worker = self.workers.pop(0)
        worker.tell("stop")
        requests, hits, told = worker.result()
        assert requests >= FEW
        return Report(requests, hits, told)

    def roll(self, version: Version, size: str = "1m") -> list[Report]:
        """Replace one worker after the other; return what the old ones report."""
        reports = []
        for _ in range(len(self.workers)):
            self.start(version, size)
            time.sleep(PACE)
            reports.append(self.stop_oldest())
        return reports

    def stop(self) -> list[Report]:
        """Stop all workers."""
        time.sleep(PACE)
        return [self.stop_oldest() for _ in range(len(self.workers))]


@pytest.fixture
def site(path: str) -> Iterator[Site]:
    with Site(path) as site:
        yield site


def those_that_say(reports: list[Report], text: str) -> int:
    return sum(any(text in line for line in report.told) for report in reports)


# ----------------------------------------------------------------------- tests


def test_no_request_fails_while_a_newer_version_is_rolled_out_and_back(
    site: Site, this: Version, newer: Version
) -> None:
    for _ in range(WORKERS):
        site.start(this)
    assert word_at(site.path, VERSION_AT) == this.number
    old = site.roll(newer)
    assert word_at(site.path, VERSION_AT) == newer.number
    assert all(report.hits > report.requests // 2 for report in old)
    assert those_that_say(old, "uses the old one") >= WORKERS - 4

    new = site.roll(this)
    assert word_at(site.path, VERSION_AT) == newer.number
    assert all(report.hits > report.requests // 2 for report in new)
    assert those_that_say(new, "replaced by an empty file") == 1

    back = site.stop()
    assert all(report.hits == 0 for report in back)
    assert [len(report.told) for report in back] == [1] * WORKERS
    assert those_that_say(back, "newer fastmmap made it") == WORKERS


def test_after_a_rollback_the_cache_is_back_once_the_newer_file_is_gone(
    site: Site, this: Version, newer: Version
) -> None:
    site.start(newer)
    site.roll(this)
    os.unlink(site.path)
    time.sleep(1.5)
    assert word_at(site.path, VERSION_AT) == this.number
    (report,) = site.stop()
    assert report.hits > 0


def test_no_request_fails_while_another_size_is_rolled_out(
    site: Site, this: Version
) -> None:
    for _ in range(WORKERS):
        site.start(this, "1m")
    old = site.roll(this, "2m")
    new = site.stop()
    for report in (*old, *new):
        assert report.hits > report.requests // 2
    assert those_that_say(new, "others have it open") == WORKERS
    site.start(this, "2m")
    (alone,) = site.stop()
    assert those_that_say([alone], "replaced by an empty file") == 1


def test_of_workers_that_start_together_one_renews_the_file(
    site: Site, this: Version, newer: Version
) -> None:
    site.start(this)
    site.stop()
    starting = [site.begin(newer) for _ in range(WORKERS)]
    assert [worker.hear() for worker in starting] == ["serving"] * WORKERS
    reports = site.stop()
    assert those_that_say(reports, "replaced by an empty file") == 1
    assert all(report.hits > report.requests // 2 for report in reports)
