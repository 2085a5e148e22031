"""Coroutines that ask a cache shared with other processes, without waiting."""

from __future__ import annotations

import asyncio
import tempfile

from aiocache import cached, caches


def configure(path: str) -> None:
    """Say what the cache is, as each worker does."""
    caches.set_config(
        {
            "default": {
                "cache": "fastmmap.contrib.aiocache.FastMmapCache",
                "share_file": path,
                "cache_size": "16m",
            }
        }
    )


@cached(alias="default", ttl=60, key_builder=lambda function, city: city)
async def weather(city: str) -> str:
    """Ask for the weather, which takes long."""
    print("asking for", city)
    await asyncio.sleep(0.1)
    return f"rain in {city}"


async def main() -> None:
    """Ask twice, and count."""
    with tempfile.TemporaryDirectory() as folder:  # /dev/shm is a good place
        configure(f"{folder}/weather.cache")
        print(await weather("Bergen"))
        print(await weather("Bergen"))
        print("visits:", await caches.get("default").increment("visits"))


if __name__ == "__main__":
    asyncio.run(main())
