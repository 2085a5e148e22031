"""Change a value that depends on the old one, without a race.

Two ways: a function that is called with the old value, or a block. Both hold
the page of the key meanwhile, so keep them short.
"""

from __future__ import annotations

from fastmmap import FastMmap


def main() -> None:
    """Append to a list, both ways."""
    with FastMmap(cache_size="1m") as cache:
        result = cache.get_and_set("log", lambda key, old, entry: [*(old or ()), "a"])
        print(result.value, result.stored)

        with cache.lock("log") as item:
            item.value = [*item.value, "b"]
        print(cache["log"])

        try:
            with cache.lock("log") as item:
                item.value = []
                raise RuntimeError("something went wrong")
        except RuntimeError:
            print("nothing was written:", cache["log"])


if __name__ == "__main__":
    main()
