"""Put a cache in front of a slow source, and write changes back later.

``read_cb`` fills a miss; with ``write_back`` a changed value reaches
``write_cb`` when it leaves the cache, here when the cache is emptied.
"""

from __future__ import annotations

from fastmmap import FastMmap

Store = dict[str, int]
Key = str | bytes


def read(store: Store, key: Key) -> int | None:
    """Fetch a value from the source."""
    print("reading", key)
    return store.get(str(key))


def write(store: Store, key: Key, value: int, expire_on: float | None) -> None:
    """Save a value at the source."""
    print("writing", key, value)
    store[str(key)] = value


def main() -> None:
    """Read twice, change, and look at what the source got."""
    store = {"apples": 3}
    with FastMmap(
        cache_size="1m",
        context=store,
        read_cb=read,
        write_cb=write,
        write_action="write_back",
    ) as cache:
        print(cache.get("apples"), cache.get("apples"))
        cache.set("apples", 4)
        print("in the source:", store["apples"])
        cache.empty()
        print("in the source:", store["apples"])


if __name__ == "__main__":
    main()
