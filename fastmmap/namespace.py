"""Namespaces: views of a cache with separate keys."""

from typing import Any

from fastmmap import _core
from fastmmap.keyspace import Keyspace
from fastmmap.types import NamespaceStats

_RECORDS = _core.SCAN_RECORDS


class Namespace(Keyspace):
    """A part of a cache: the same operations, on separate keys.

    It is made by ``FastMmap.namespace()``. Its values are in the file of the cache,
    with the serializer, compressor and default lifetime of that. Callbacks are not
    called for them: these know the keys of the cache only.

    ``clear()`` ends the generation that all keys of the namespace are in. That is one
    small step for all processes at once; the space of what was there is reclaimed
    when others need it.

    Args:
        parent: A `FastMmap`, or another namespace, with which this one is cleared.
        name: The name; any str of 500 bytes at most.
    """

    def __init__(self, parent: Keyspace, name: str) -> None:
        super().__init__(parent, name)
        self._parent = parent
        self._names = (*parent._names, name)

    @property
    def name(self) -> str:
        """The name that it was made with."""
        return self._names[-1]

    @property
    def _root(self) -> Keyspace:
        return self._parent._root

    @property
    def parent(self) -> Keyspace:
        """The cache or namespace that it is in."""
        return self._parent

    def stats(self) -> NamespaceStats:
        """Count what is in the namespace, those inside it aside.

        The file knows namespaces by numbers only, and keeps no counters of them: it is
        gone through as a whole, page by page, about as fast as by ``len()``.

        Returns:
            A `NamespaceStats`.
        """
        entries = size = expiring = 0
        oldest = last_access = None
        for _, taken, expire_on, stored_on, accessed, *_ in self._scan(_RECORDS):
            entries += 1
            size += taken
            expiring += expire_on is not None
            oldest = stored_on if oldest is None else min(oldest, stored_on)
            last_access = max(last_access or accessed, accessed)
        return NamespaceStats(entries, size, expiring, oldest, last_access)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the parent and the name."""
        return type(self), (self._parent, self.name)

    def __repr__(self) -> str:
        """Return the path of the file and the names that lead here."""
        state = " closed" if self.closed else ""
        names = "/".join(self._names)
        return f"<{type(self).__name__} {names!r} of {self.share_file!r}{state}>"
