"""Take the pictures of the page in ``docs/web.rst``: ``python docs/screenshots.py``.

A cache in a temporary directory is used by some processes meanwhile, for half a
minute. It needs chromium, its driver, and selenium.
"""

from __future__ import annotations

import multiprocessing
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "web")]

import browser  # noqa: E402  # of tests/web, which the path leads to

from fastmmap import FastMmap  # noqa: E402  # that of this checkout
from fastmmap.web.server import LocalServer  # noqa: E402  # the same

FIGURES = ROOT / "docs" / "figures"
SECONDS = 35
KINDS = ("user", "session", "page", "thumbnail")


def look_up(cache: FastMmap, chance: random.Random) -> None:
    """Get a value; make it where it is missing."""
    number = int(chance.paretovariate(0.5)) % 40000
    kind = min(number % 11, 3)
    key = f"{KINDS[kind]}:{number}"
    if cache.get(key) is None:
        size = int(chance.lognormvariate(5 + kind / 4, 1.1))
        cache.set(key, b"x" * size, chance.choice([None, "5m", "1h"]))


def use(path: str, seed: int) -> None:
    """Read and write as a web site does."""
    chance = random.Random(seed)
    end = time.monotonic() + SECONDS + 20
    with FastMmap(path, cache_size="6m", page_size="64k") as cache:
        for _ in range(30_000):
            look_up(cache, chance)
        while time.monotonic() < end:
            for _ in range(60):
                look_up(cache, chance)
            time.sleep(0.01 * seed)


def take(url: str) -> None:
    """Take all pictures."""
    with browser.chromium() as driver:
        for name, size, scheme in (
            ("web-light", (1280, 1000, False), "light"),
            ("web-phone", (390, 844, True), "dark"),
        ):
            browser.resize(driver, *size)
            browser.prefer(driver, scheme)
            driver.get(url)
            time.sleep(5)
            driver.save_screenshot(str(FIGURES / f"{name}.png"))


def main() -> None:
    """Use a cache, look at it, and take pictures."""
    with tempfile.TemporaryDirectory(prefix="shop-", dir="/dev/shm") as folder:
        path = f"{folder}/shop.cache"
        users = [
            multiprocessing.Process(target=use, args=(path, seed)) for seed in (1, 2, 3)
        ]
        for user in users:
            user.start()
        time.sleep(2)
        server = LocalServer([path], 0, False)
        threading.Thread(target=server.run, daemon=True).start()
        time.sleep(SECONDS - 10)
        take(server.url)
        server.end()
        for user in users:
            user.join()


if __name__ == "__main__":
    main()
