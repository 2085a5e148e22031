"""Any sequence of calls does what the model says, in any kind of cache."""

from __future__ import annotations

import pytest
from machine import CacheMachine

pytestmark = pytest.mark.long

TestCache = CacheMachine.TestCase
