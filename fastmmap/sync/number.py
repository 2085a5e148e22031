"""An integer in the cache, of any size.

It is stored as text, which every serializer takes.
"""

from fastmmap.types import Key


def write(number: int) -> str:
    """Return the stored form of a number."""
    return str(number)


def read(key: Key, value: object) -> int:
    """Return the number of what is stored; 0 when there is nothing.

    Raises ValueError when something else is there.
    """
    if value is None:
        return 0
    if not isinstance(value, str) or not value.isdecimal():
        raise ValueError(
            f"key {key!r} holds {value!r}, which is not a number of fastmmap.sync"
        )
    return int(value)
