"""`Lock`: one at a time, of all processes."""

from fastmmap.sync.exclusive import Exclusive


class Lock(Exclusive):
    """A lock that one process, thread or task has at a time, by its name.

    It is like `threading.Lock` for all processes that have the cache open: not
    reentrant, and any thread of the holder's process may release it, through the
    same object. When the process that has it dies, it is free at once. So it is
    when the object that has it is forgotten.

    Args:
        cache: The cache that all who share the lock have open.
        name: What the lock is called; any text.
        lease_time: How long one may have it, in any spelling of a lifetime; then
            it is free for others, though its holder lives. "never" is a day, the
            longest there is; see `extend`.
        timeout: Seconds that `acquire`, ``with`` and ``async with`` wait; ``None``
            for as long as it takes.

    Raises:
        TypeError, ValueError: An argument is out of its range.
    """
