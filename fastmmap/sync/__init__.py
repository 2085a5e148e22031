"""Locks and their like, by name, for all processes of a host that share a cache.

`Lock`, `RLock` and `Semaphore` are leases in the cache: they end with the process
that holds them. `Event`, `Counter` and `RateLimiter` are values there.
"""

from fastmmap.errors import LockLost
from fastmmap.sync.counter import Counter
from fastmmap.sync.event import Event
from fastmmap.sync.key import wait_for_key, wait_for_key_async
from fastmmap.sync.leased import Holder
from fastmmap.sync.lock import Lock
from fastmmap.sync.rate_limiter import RateLimiter
from fastmmap.sync.rlock import RLock
from fastmmap.sync.semaphore import Semaphore

__all__ = [
    "Counter",
    "Event",
    "Holder",
    "Lock",
    "LockLost",
    "RLock",
    "RateLimiter",
    "Semaphore",
    "wait_for_key",
    "wait_for_key_async",
]
