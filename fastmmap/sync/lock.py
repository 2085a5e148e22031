"""`Lock`: one at a time, of all processes."""

from fastmmap.sync.exclusive import Exclusive


class Lock(Exclusive):
    """A lock by name that one process, thread or task holds at a time.

    It is like `threading.Lock` for all processes that have the cache open: not
    reentrant, and any thread of the holder's process may release it, through the
    same object. If its process dies, or the object is garbage-collected, it is free
    at once.

    Args:
        cache: The cache that all processes sharing the lock have open.
        name: The name of the lock; any text.
        lease_time: How long one caller may hold it, as a lifetime; then it is free
            for others, even if its holder lives. "never" is a day, the maximum; see
            `extend`.
        timeout: Seconds that `acquire`, ``with`` and ``async with`` wait; ``None``
            for as long as it takes.

    Raises:
        TypeError, ValueError: An argument is out of its range.
    """
