"""Profiles of the property tests: `--hypothesis-profile=long`, say.

"quick" is for each run of the suite, "ci" for one run of each change, "long" for a
machine that has the night.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from support import LONG

_COMMON = {
    "deadline": None,
    "print_blob": True,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}
settings.register_profile(
    "quick", max_examples=25 * LONG, stateful_step_count=40, **_COMMON
)
settings.register_profile("ci", max_examples=400, stateful_step_count=50, **_COMMON)
settings.register_profile(
    "long", max_examples=20_000, stateful_step_count=60, **_COMMON
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
