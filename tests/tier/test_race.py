"""The race in short: two hosts, all faults; and what it finds without a protection.

`race` says how to run it for long.
"""

from __future__ import annotations

import leave_out
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
