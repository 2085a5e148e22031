"""The race in short: two hosts, all faults; and what it finds without a protection.

`race` says how to run it for long.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import leave_out
import namespaces
import pytest
import race
from support import LONG

#: Found within few rounds; the others take a while.
QUICK = ("lease", "epoch", "clock", "order")
SLOW = tuple(name for name in leave_out.ALL if name not in QUICK)

pytestmark = pytest.mark.once


@pytest.mark.long
def test_two_hosts_show_what_the_server_has() -> None:
    found = race.run(40 * LONG, list(race.FAULTS))
    wrong = {name: found[name] for name in ("stale", "late", "unseen")}
    assert wrong == {"stale": 0, "late": 0, "unseen": 0}
    assert found["reads"] > 0


@pytest.mark.long
@pytest.mark.parametrize("name", QUICK if LONG == 1 else QUICK + SLOW)
def test_a_protection_left_out_is_seen(name: str) -> None:
    found = race.run(2000, ["kill", "stop", "cut"], leave_out=name)
    assert found["stale"] + found["late"] + found["unseen"] > 0


@pytest.mark.long
def test_two_hosts_show_what_a_cluster_has_while_slots_move() -> None:
    faults = ["kill", "cut", "flush", "reshard"]
    found = race.run(8 * LONG, faults, cluster=True)
    wrong = {name: found[name] for name in ("stale", "late", "unseen")}
    assert wrong == {"stale": 0, "late": 0, "unseen": 0}
    assert found["reads"] > 0


@pytest.fixture(scope="module")
def can_have_namespaces() -> None:
    """Skip when namespaces cannot be had; say why."""
    reason = namespaces.why_not()
    if reason:
        pytest.skip(reason)


def race_in_namespaces(*options: str) -> int:
    """Run it in a process of its own, which moves; return its exit status."""
    words = (sys.executable, race.__file__, "--namespaces", "--seed", "1", *options)
    with subprocess.Popen(words, start_new_session=True) as process:
        try:
            return process.wait(600)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise


@pytest.mark.long
@pytest.mark.usefixtures("can_have_namespaces")
def test_two_hosts_behind_links_show_what_the_server_has() -> None:
    rounds = str(25 * LONG)
    assert race_in_namespaces("--faults", "all", "--rounds", rounds) == 0


@pytest.mark.long
@pytest.mark.skipif(LONG == 1, reason="takes a while: FASTMMAP_LONG=5")
@pytest.mark.usefixtures("can_have_namespaces")
@pytest.mark.parametrize("name", ["lease", "drop", "clock"])
def test_a_protection_left_out_is_seen_behind_links(name: str) -> None:
    options = ("--leave-out", name, "--rounds", "2000")
    assert race_in_namespaces("--faults", "link", *options) == race.WRONG
