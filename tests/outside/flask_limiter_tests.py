"""Flask-Limiter's tests on our storage; put beside them by `run.py`.

Whole modules are taken over. What they count "in memory" is counted in a file of ours,
by the clock that they move.
"""

import datetime
import math
import tempfile
import time

import hiro
import pytest
from tests.test_blueprints import *  # noqa: F403  (collected by pytest)
from tests.test_commands import *  # noqa: F403
from tests.test_configuration import *  # noqa: F403
from tests.test_context_manager import *  # noqa: F403
from tests.test_decorators import *  # noqa: F403
from tests.test_error_handling import *  # noqa: F403
from tests.test_flask_ext import *  # noqa: F403
from tests.test_regressions import *  # noqa: F403
from tests.test_views import *  # noqa: F403

from fastmmap import _core
from fastmmap.contrib.limits import FastMmapStorage

FOLDER = tempfile.mkdtemp()
METHODS = (
    *("incr", "get", "get_expiry", "acquire_entry", "get_moving_window"),
    *("acquire_sliding_window_entry", "get_sliding_window"),
)


class InFile(FastMmapStorage):
    """What the tests take for the storage in memory: each has a new file."""

    STORAGE_SCHEME = ["memory"]  # noqa: RUF012  (as its base declares it)
    made = 0

    def __init__(self, uri=None, wrap_exceptions=False, **options):
        InFile.made += 1
        uri = f"fastmmap://{FOLDER}/{InFile.made}.fmm?cache_size=1m"
        super().__init__(uri, wrap_exceptions=wrap_exceptions, **options)
        assert self.check()  # opens it, which takes more time than to count


def by_their_clock(method):
    """Return the method; our clock is set by `time.time`, which they move, before.

    It is ahead of theirs by a little: ours cannot stand still.
    """

    def called(*args, **kwargs):
        distance = math.ceil((time.time() - _core.now()) * 1000)
        _core.set_travel(_core.get_travel() + distance)
        return method(*args, **kwargs)

    return called


for method in METHODS:
    setattr(InFile, method, by_their_clock(getattr(FastMmapStorage, method)))


def a_little_further(forward):
    """Return the method of their clock, which makes up for that."""

    def called(timeline, amount):
        if not isinstance(amount, datetime.timedelta):
            amount = datetime.timedelta(seconds=amount)
        return forward(timeline, amount + datetime.timedelta(milliseconds=60))

    return called


def early_in_a_second(freeze):
    """Return the method that stops their clock; not just before its second ends."""

    def called(timeline):
        freeze(timeline)
        timeline.freeze_point = math.floor(timeline.freeze_point) + 0.1
        return timeline

    return called


hiro.Timeline.forward = a_little_further(hiro.Timeline.forward)
hiro.Timeline.freeze = early_in_a_second(hiro.Timeline.freeze)


@pytest.fixture(autouse=True)
def of_our_clock():
    """Let the next test begin at the time of the day."""
    yield
    _core.set_travel(0)
