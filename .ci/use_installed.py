"""Use an installed fastmmap from outside the checkout, as a user would."""

from __future__ import annotations

from importlib import metadata
from importlib.resources import files

import fastmmap


def main() -> None:
    """Store and read back; check that the typing files were installed."""
    package = files("fastmmap")
    for name in ("py.typed", "_core.pyi"):
        assert package.joinpath(name).is_file(), f"{name} is missing"
    with fastmmap.FastMmap(cache_size="1m", compressor="zlib") as cache:
        assert cache.set("text", "words " * 1000)
        assert cache.get("text") == "words " * 1000
        assert cache.incr("count") == 1
        assert cache.check().ok
    print("fastmmap", metadata.version("fastmmap"), "works from", package)


if __name__ == "__main__":
    main()
