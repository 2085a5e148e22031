"""django-axes's tests of its cache handler, on ours; put beside them by `run.py`."""

import json
import os
from datetime import timedelta

from django.test import override_settings
from tests.test_handlers import (
    AxesCacheHandlerTestCase,
    ResetAttemptsCacheHandlerTestCase,  # noqa: F401  (found by the runner)
)
from tests.test_helpers import *  # noqa: F403
from tests.test_login import CacheLoginTestCase

# Ten log-ins take a second where both processors are busy.
override_settings(AXES_COOLOFF_TIME=timedelta(seconds=6))(AxesCacheHandlerTestCase)

for name in json.loads(os.environ["DESELECTED"]):
    assert hasattr(CacheLoginTestCase, name), f"deselected, but gone: {name}"
    setattr(CacheLoginTestCase, name, None)
