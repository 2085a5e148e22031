"""Let nobody try more than five passwords an hour, whichever worker is asked.

A token is taken by one step in the cache, so the workers together never let one
more through. The limiter has a separate file, so nothing in it is evicted.
"""

from __future__ import annotations

from multiprocessing import get_context

from fastmmap import FastMmap
from fastmmap.sync import RateLimiter

WORKERS = 3
TRIES = 50


def log_in(limiter: RateLimiter, user: str, password: str) -> str:
    """Handle one attempt, as a view would."""
    if not limiter.take(user):
        return "429 Too Many Requests"
    if password != "correct horse":
        return "401 Unauthorized"
    limiter.reset(user)
    return "200 OK"


def attack(limiter: RateLimiter) -> list[str]:
    """Be one worker that somebody tries passwords on."""
    return [log_in(limiter, "ada", f"guess {number}") for number in range(TRIES)]


def main() -> None:
    """Try many passwords in several workers, and count the answers."""
    with FastMmap(cache_size="1m") as cache:
        limiter = RateLimiter(cache, "log in", 5, "1h")
        with get_context("spawn").Pool(WORKERS) as pool:
            parts = pool.map(attack, [limiter] * WORKERS, chunksize=1)
        answers = [answer for part in parts for answer in part]
        for answer in sorted(set(answers)):
            print(answers.count(answer), "x", answer)
        print("another user:", log_in(limiter, "bob", "correct horse"))


if __name__ == "__main__":
    main()
