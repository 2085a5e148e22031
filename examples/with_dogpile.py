"""A function whose result is made by one process while the others wait."""

from __future__ import annotations

import tempfile
import time
from multiprocessing import get_context

from dogpile.cache import make_region

region = make_region()


@region.cache_on_arguments()
def report(year: int) -> str:
    """Make the report, which takes long."""
    print("making the report", flush=True)
    time.sleep(0.5)
    return f"the report of {year}"


def work(path: str) -> str:
    """Ask for the report, as each worker does."""
    region.configure(
        "fastmmap",
        expiration_time=60,
        arguments={"share_file": path, "cache_size": "16m"},
        replace_existing_backend=True,
    )
    return str(report(2024))


def main() -> None:
    """Let three processes ask at once."""
    with tempfile.TemporaryDirectory() as folder:  # /dev/shm is a good place
        path = f"{folder}/reports.cache"
        with get_context("spawn").Pool(3) as pool:
            print(*pool.map(work, [path] * 3), sep="\n")


if __name__ == "__main__":
    main()
