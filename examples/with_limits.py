"""Limit what passes, for all processes of the host together."""

from __future__ import annotations

from limits import parse
from limits.strategies import MovingWindowRateLimiter

from fastmmap.contrib.limits import FastMmapStorage


def main() -> None:
    """Let two of three pass."""
    limiter = MovingWindowRateLimiter(FastMmapStorage("fastmmap://?cache_size=1m"))
    for number in (1, 2, 3):
        passed = limiter.hit(parse("2 per minute"), "login", "203.0.113.7")
        print(number, "passes" if passed else "has to wait")


if __name__ == "__main__":
    main()
