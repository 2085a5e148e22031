"""Views of a cache whose iteration copies one page at a time.

The general views of `collections.abc` look each key up again, which would
miss what another process removes meanwhile, and call ``read_cb``.
"""

from collections.abc import ItemsView, Iterator, ValuesView
from typing import TYPE_CHECKING, Any

from fastmmap import _core
from fastmmap.types import Key

if TYPE_CHECKING:
    from fastmmap.keyspace import Keyspace


class CacheItems(ItemsView[Key, Any]):
    """The items of a cache."""

    _mapping: "Keyspace"

    def __iter__(self) -> Iterator[tuple[Key, Any]]:
        """Yield pairs of key and value."""
        return self._mapping._scan(_core.SCAN_ITEMS)

    def __contains__(self, item: object) -> bool:
        """Tell whether a key has this value or one that is equal to it."""
        if not isinstance(item, tuple) or len(item) != 2:
            return False
        key, value = item
        found = self._mapping.get_many((key,))
        return any(one is value or one == value for one in found.values())


class CacheValues(ValuesView[Any]):
    """The values of a cache."""

    _mapping: "Keyspace"

    def __iter__(self) -> Iterator[Any]:
        """Yield values."""
        return self._mapping._scan(_core.SCAN_VALUES)

    def __contains__(self, value: object) -> bool:
        """Tell whether a value is this one or equal to it."""
        return any(found is value or found == value for found in self)
