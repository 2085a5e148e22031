"""Where a lock and the like is in the cache: the key that its name makes."""

import hashlib

from fastmmap.keyspace import Keyspace

#: Longer keys, characters, end in a digest.
_KEY_MAX = 200
_DIGEST_SIZE = 20


def names_of(cache: Keyspace) -> tuple[str, ...]:
    """Return the names of the namespaces that lead from the cache to that one.

    Raises TypeError unless it is a cache.
    """
    if not isinstance(cache, Keyspace):
        raise TypeError(
            f"expected a FastMmap or a Namespace, not {type(cache).__name__}"
        )
    return cache._names


def key_of(kind: str, *parts: object) -> str:
    """Return the key of something of that kind.

    The parts are str, bytes or int, the first one the name that a user gave. The key
    is ASCII, the same in every process, and no other parts have it.

    Raises TypeError for a name that is not a str, and a part that is neither.
    """
    if not isinstance(parts[0], str):
        raise TypeError(f"a name must be str, not {type(parts[0]).__name__}")
    for part in parts:
        if not isinstance(part, (str, bytes, int)):
            raise TypeError(
                f"a key must be str, bytes or int, not {type(part).__name__}"
            )
    key = f"fastmmap.sync.{kind}{parts!a}"
    if len(key) <= _KEY_MAX:
        return key
    digest = hashlib.blake2b(key.encode(), digest_size=_DIGEST_SIZE).hexdigest()
    return f"fastmmap.sync.{kind}#{digest}"
