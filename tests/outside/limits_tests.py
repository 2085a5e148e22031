"""The tests of limits for its storages, on ours; put beside them by `run.py`.

Its lists of storages are replaced by ours before the tests are imported.
"""

import pickle
import tempfile

import pytest

from fastmmap.contrib.limits import AsyncFastMmapStorage, FastMmapStorage
from tests import utils

URI = f"fastmmap://{tempfile.mkdtemp()}/cache.fmm?cache_size=64m"

for kind in ("all", "moving_window", "sliding_window_counter"):
    for prefix, uri in (("", URI), ("async_", f"async+{URI}")):
        ours = pytest.param(uri, {}, None, id="fastmmap")
        marked = pytest.mark.parametrize("uri, args, fixture", [ours])
        setattr(utils, f"{prefix}{kind}_storage", marked)

from tests.aio import test_strategy as strategies_of_tasks  # noqa: E402
from tests.aio.test_storage import (  # noqa: E402  (takes our lists)
    TestConcreteStorages as TestConcreteStoragesOfTasks,
)
from tests.aio.test_strategy import *  # noqa: E402, F403  (collected by pytest)
from tests.integration.test_concurrency import *  # noqa: E402, F403
from tests.test_storage import TestConcreteStorages  # noqa: E402
from tests.test_strategy import *  # noqa: E402, F403

from tests import test_strategy  # noqa: E402

# Our windows begin at multiples of their length, as those in memory do: that is what
# the tests ask this class about.
for module in (test_strategy, strategies_of_tasks):
    module.TimestampedSlidingWindow = (FastMmapStorage, AsyncFastMmapStorage)

# A second after a hit of two seconds' life, both processors may still be busy.
for kind in (TestMovingWindow, TestAsyncMovingWindow):  # noqa: F405
    kind.test_moving_window_huge_cost = pytest.mark.flaky(max_runs=3)(
        kind.test_moving_window_huge_cost
    )


def of_ours(uri, storage):
    """Return the marks of a test that names the storage that it expects."""
    names = "uri, args, expected_instance, fixture"
    ours = pytest.param(uri, {}, storage, None, id="fastmmap")
    return pytest.mark.parametrize(names, [ours]).mark


TestConcreteStorages.pytestmark = [of_ours(URI, FastMmapStorage)]
TestConcreteStoragesOfTasks.pytestmark = [
    pytest.mark.asyncio.mark,
    of_ours(f"async+{URI}", AsyncFastMmapStorage),
]


@pytest.fixture(autouse=True)
def nothing_counted():
    """Let each test begin with a file without counters."""
    FastMmapStorage(URI).reset()


def test_a_storage_that_was_pickled_counts_on():
    storage = FastMmapStorage(URI)
    assert storage.incr("key", 60) == 1
    assert pickle.loads(pickle.dumps(storage)).incr("key", 60) == 2
