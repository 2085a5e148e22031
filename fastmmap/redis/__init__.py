"""The cache of a host in front of Redis or Valkey, coherent by one listener.

`RedisTier` reads known values from this host, nanoseconds away, and asks the server
for the rest; one listener per host learns of every change. ``docs/redis.rst`` says
how old a value can be, and why.
"""

from fastmmap.redis.async_tier import AsyncRedisTier
from fastmmap.redis.tier import RedisTier

__all__ = ["AsyncRedisTier", "RedisTier"]
