"""`Event`: something that happened, for all processes to see."""

from typing import Optional, Union

from fastmmap import waiting
from fastmmap.errors import LockError
from fastmmap.keyspace import Keyspace
from fastmmap.sync import number
from fastmmap.sync.naming import key_of
from fastmmap.types import KEEP, Entry, Keep, Key, Store


class Event:
    """A flag by name that all processes can set, clear and wait for.

    It is like `threading.Event` for all processes that have the cache open. It is
    a number in the cache, of its changes, and odd when it is set: so one who waits
    sees that it was set, though it was cleared at once. It stays when the process
    that set it ends, and for longer than values of the cache do. When its key is
    evicted or cleared, it is not set any more.

    Args:
        cache: The cache that all processes sharing the event have open.
        name: Its name; any text.

    Raises:
        TypeError: The name is not a str.
    """

    def __init__(self, cache: Keyspace, name: str) -> None:
        self._cache, self._name = cache, name
        self._key = key_of("event", name)

    @property
    def name(self) -> str:
        """The name that it was made with."""
        return self._name

    def _change(self, was_set: bool) -> None:
        """Count one more change, if it is in that state."""
        due = False

        def step(key: Key, value: object, entry: Optional[Entry]) -> Union[Store, Keep]:
            nonlocal due
            changes = number.read(key, value)
            due = changes % 2 == was_set
            return Store(number.write(changes + 1), "never") if due else KEEP

        stored = self._cache.get_and_set(self._key, step).stored
        if due and not stored:
            raise LockError(
                f"{self._cache.share_file}: no room for {self!r}: give it a separate "
                "cache file"
            )

    def set(self) -> None:
        """Set it, and wake all waiters. LockError: there is no room."""
        self._change(was_set=False)

    def clear(self) -> None:
        """Clear it; from now on, waiters wait for the next `set`."""
        self._change(was_set=True)

    def _look(self) -> int:
        return number.read(self._key, self._cache.get(self._key))

    def is_set(self) -> bool:
        """Return whether it is set."""
        return self._look() % 2 == 1

    def _steps(self, timeout: Union[int, float, None]) -> waiting.Steps[bool]:
        waiting.check_timeout(timeout)
        look = waiting.Looks()
        before: Optional[int] = None
        with waiting.Patience(timeout) as patience:
            while True:
                now: Optional[int] = look(before, self._look)
                if now is not None and now % 2:
                    return True
                if now is not None and before is not None and now > before:
                    return True  # it was, and was cleared again
                before = now
                delay = patience.delay()
                if delay is None:
                    return False
                yield delay

    def wait(self, timeout: Union[int, float, None] = None) -> bool:
        """Wait until it is set.

        Args:
            timeout: Seconds to wait; ``None`` for as long as it takes.

        Returns:
            Whether it was set in that time.
        """
        return waiting.run(self._steps(timeout))

    async def wait_async(self, timeout: Union[int, float, None] = None) -> bool:
        """Wait like `wait`; the event loop continues meanwhile.

        Returns:
            Whether it was set in that time.
        """
        return await waiting.run_async(self._steps(timeout))

    def __repr__(self) -> str:
        """Return its name and where it is."""
        return f"<fastmmap.sync.Event object {self._name!r} at {id(self):#x}>"
