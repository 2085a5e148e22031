"""`Counter`: a number that all processes count."""

from fastmmap.keyspace import Keyspace
from fastmmap.sync.naming import key_of
from fastmmap.types import Lifetime


class Counter:
    """A number by name that begins at 0 and that all processes can change.

    Each change is one step in the cache, so none is lost. If its key is evicted,
    expires or is cleared, it begins at 0 again.

    Args:
        cache: The cache that all processes sharing the counter have open.
        name: Its name; any text.
        expire_time: How long it lasts from its first change on, for example to
            count what happens in a minute; ``None`` is the cache's default.

    Raises:
        TypeError: The name is not a str.
    """

    def __init__(
        self, cache: Keyspace, name: str, *, expire_time: Lifetime = None
    ) -> None:
        self._cache, self._name, self._expire_time = cache, name, expire_time
        self._key = key_of("counter", name)

    @property
    def name(self) -> str:
        """The name that it was made with."""
        return self._name

    def add(self, delta: int = 1) -> int:
        """Add to it, a negative number too.

        Returns:
            The new number.

        Raises:
            OverflowError: Beyond 64 bits; it stays as it is.
        """
        return self._cache.incr(self._key, delta, expire_time=self._expire_time)

    def value(self) -> int:
        """Return the number."""
        value: int = self._cache.get(self._key, 0)
        return value

    def reset(self) -> int:
        """Start at 0 again.

        Returns:
            The old number.
        """
        value: int = self._cache.get_and_remove(self._key, 0).value
        return value

    def __repr__(self) -> str:
        """Return its name and where it is."""
        return f"<fastmmap.sync.Counter object {self._name!r} at {id(self):#x}>"
