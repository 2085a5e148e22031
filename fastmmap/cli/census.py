"""What namespaces and tags there are in a file, and how much is in each."""

import contextlib
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from fastmmap import _core
from fastmmap.cli.opening import space_of
from fastmmap.types import Key

_TAG_FACTOR: Final = (
    0x9E3779B97F4A7C15  # from the id of a tag to the hash of its record
)
_NAMESPACE, _TEXT_TAG, _BYTES_TAG = range(3)

#: The names that lead from the cache to a namespace; none of the cache itself.
Path = tuple[str, ...]


class Amount(NamedTuple):
    """How many values, and their bytes in the file."""

    entries: int = 0
    size: int = 0

    def plus(self, size: int) -> "Amount":
        """Return this with one more value."""
        return Amount(self.entries + 1, self.size + size)


class _Name(NamedTuple):
    """A name as it is noted in the file."""

    around: int
    kind: int
    text: bytes


class Census(NamedTuple):
    """What a walk over a file found.

    A name is noted where there is room for it, and forgotten when nobody has used it
    for long: so there may be groups that nobody knows by name.
    """

    namespaces: dict[Path, Amount]
    tags: dict[tuple[Path, Key], Amount]
    nameless: Amount  # in namespaces that are not known, or were cleared
    nameless_tags: int


class _Walk:
    """One walk: names by the hash of their group, amounts by number."""

    def __init__(self, cache: _core.Cache) -> None:
        self.names: dict[int, _Name] = {}
        self.scopes: dict[int, Amount] = defaultdict(Amount)
        self.tags: dict[tuple[int, int], Amount] = defaultdict(Amount)
        for is_name, key, value, size in cache._scan(_core.SCAN_GROUPS):
            if is_name:
                self._note(key, value)
            else:
                self._count(key, size)

    def _note(self, key: bytes, value: bytes) -> None:
        if len(key) == 9 and len(value) >= 9:
            (hash_,) = struct.unpack_from("=Q", key, 1)
            around, kind = struct.unpack_from("=QB", value)
            self.names[hash_] = _Name(around, kind, value[9:])

    def _count(self, groups: bytes, size: int) -> None:
        (scope,) = struct.unpack_from("=Q", groups)
        self.scopes[scope] = self.scopes[scope].plus(size)
        for id_, _ in struct.iter_unpack("=II", groups[8:]):
            hash_ = id_ * _TAG_FACTOR % 2**64
            self.tags[scope, hash_] = self.tags[scope, hash_].plus(size)


def take(cache: _core.Cache, asked: Sequence[Path] = ()) -> Census:
    """Look at all that is in a cache.

    Args:
        cache: Which one.
        asked: Namespaces that are looked for, whether their names are noted or not.

    Returns:
        The namespaces and tags that have values, and those that were asked for.
    """
    walk = _Walk(cache)
    spaces = dict(_spaces(cache, walk.names.values()))
    for path in asked:
        spaces.setdefault(space_of(cache, path)._scope(), path)
    namespaces = {
        path: walk.scopes[scope]
        for scope, path in sorted(spaces.items(), key=lambda item: item[1])
        if scope in walk.scopes or path in asked or not path
    }
    known = [walk.scopes[scope] for scope in spaces]
    tags = dict(sorted(_tags(walk, spaces), key=_tag_order))
    return Census(
        namespaces,
        tags,
        _difference(walk.scopes, known),
        len(walk.tags) - len(tags),
    )


def _tag_order(item: tuple[tuple[Path, Key], Amount]) -> tuple[Path, str]:
    (path, tag), _ = item
    return path, str(tag)


def _spaces(cache: _core.Cache, names: Iterable[_Name]) -> Iterator[tuple[int, Path]]:
    """Yield scope and path of the namespaces, the outer ones first."""
    inside = defaultdict(list)
    for name in names:
        if name.kind == _NAMESPACE:
            inside[name.around].append(name.text.decode("utf-8", "replace"))
    found: list[tuple[_core.Keyspace, int, Path]] = [(cache, 0, ())]
    while found:
        space, scope, path = found.pop()
        yield scope, path
        for text in inside.pop(scope, ()):
            with contextlib.suppress(ValueError):  # a name that none can have
                inner = _core.Keyspace(space, text)
                found.append((inner, inner._scope(), (*path, text)))


def _tags(
    walk: _Walk, spaces: Mapping[int, Path]
) -> Iterator[tuple[tuple[Path, Key], Amount]]:
    for (scope, hash_), amount in walk.tags.items():
        name = walk.names.get(hash_)
        if name is None or name.around != scope or scope not in spaces:
            continue
        text = name.text
        tag: Key = text if name.kind == _BYTES_TAG else text.decode("utf-8", "replace")
        yield (spaces[scope], tag), amount


def _difference(scopes: Mapping[int, Amount], known: Sequence[Amount]) -> Amount:
    """Return what is in none of those that are known."""
    entries = sum(amount.entries for amount in scopes.values())
    size = sum(amount.size for amount in scopes.values())
    return Amount(
        entries - sum(amount.entries for amount in known),
        size - sum(amount.size for amount in known),
    )
