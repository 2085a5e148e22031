"""The metrics of a cache, as a Prometheus scrapes them."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from fastmmap import FastMmap
from fastmmap.contrib.prometheus import Collector


def main() -> None:
    """Use a cache, and print its metrics of reads."""
    registry = CollectorRegistry()
    with FastMmap(cache_size="1m", enable_stats=True) as cache:
        registry.register(Collector(cache))
        cache["city"] = "Lisbon"
        for key in ("city", "city", "country"):
            cache.get(key)
        for line in generate_latest(registry).decode().splitlines():
            if line.startswith(("fastmmap_reads", "fastmmap_hits")):
                name, value = line.split("{")[0], line.split("} ")[-1]
                print(name, value)


if __name__ == "__main__":
    main()
