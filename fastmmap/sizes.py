"""How large a value is, and what a cache takes: for those whose value it refused."""

import pickle
from typing import Any, Optional

NEAR = 0.9  # of the limit: what is around a value takes room, too


def size_of(value: object) -> Optional[int]:
    """Return how many bytes a value takes, pickled if need be; None: it cannot be."""
    if isinstance(value, (bytes, bytearray)):
        return len(value)
    buffers: list[pickle.PickleBuffer] = []
    try:
        data = pickle.dumps(value, 5, buffer_callback=buffers.append)
        return len(data) + sum(buffer.raw().nbytes for buffer in buffers)
    except Exception:
        return None


def exceeds(cache: Any, value: object) -> bool:
    """Tell whether a value that a cache refused would not fit an empty one either."""
    size = size_of(value)
    return size is None or size >= NEAR * cache._root._info()["max_value"]


def explain_refusal(cache: Any, value: object) -> str:
    """Return why a cache did not store a value, and which option is to be another."""
    size, limit = size_of(value), cache._root._info()["max_value"]
    if size is not None and size < NEAR * limit:
        return f"changed values that wait for write_cb fill its page: {size:,} bytes"
    told = "" if size is None else f"it takes about {size:,} bytes, and "
    return f"{told}key and value take at most {limit:,} here: raise cache_size"
