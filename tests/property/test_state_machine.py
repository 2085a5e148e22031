"""Any sequence of calls does what the model says, in any kind of cache."""

from __future__ import annotations

from machine import CacheMachine

TestCache = CacheMachine.TestCase
