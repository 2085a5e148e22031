"""Words of other caches, and their equivalents here.

Using one of them is an error that names the right one.
"""

from collections.abc import Iterable
from typing import Any, Final, Optional

_ALIKE: Final = 0.75  #: how much two words have in common, at least


class Elsewhere:
    """An attribute that is not there, and says what is.

    Args:
        right: What that is.
    """

    def __init__(self, right: str) -> None:
        self.right = right
        self._word = ""

    def __set_name__(self, owner: type, name: str) -> None:
        """Learn the wrong word."""
        self._word = name

    def __get__(self, instance: object, owner: Optional[type] = None) -> "Elsewhere":
        """Raise AttributeError."""
        name = (owner or type(instance)).__name__
        raise AttributeError(
            f"{name!r} has no {self._word!r}: here that is {self.right}"
        )


class OtherMethods:
    """A base of what has these methods under other names."""

    __slots__ = ()

    delete = Elsewhere("remove(key)")
    delete_multi = Elsewhere("delete_many(keys)")
    has = Elsewhere("key in cache, or exists(key)")
    has_key = Elsewhere("key in cache, or exists(key)")
    put = Elsewhere("set(key, value)")
    setex = Elsewhere("set(key, value, expire_time)")
    setnx = Elsewhere("add(key, value)")
    mget = Elsewhere("get_many(keys)")
    get_multi = Elsewhere("get_many(keys)")
    mset = Elsewhere("set_many(mapping)")
    set_multi = Elsewhere("set_many(mapping)")
    increment = Elsewhere("incr(key, delta)")
    decrement = Elsewhere("decr(key, delta)")
    cached = Elsewhere("memoize(expire_time)")
    evict = Elsewhere("invalidate_tag(tag)")
    transact = Elsewhere("lock(key), or get_and_set(key, func)")
    flushdb = Elsewhere("clear()")
    flush_all = Elsewhere("clear()")


#: Methods.
METHODS: Final = {
    name: word.right
    for name, word in vars(OtherMethods).items()
    if isinstance(word, Elsewhere)
}

#: Keyword arguments.
KEYWORDS: Final = {
    "ttl": "expire_time=",
    "timeout": "expire_time=",
    "expire": "expire_time=",
    "expires": "expire_time=",
    "ex": "expire_time=",
    "px": 'expire_time=, in seconds or as "500ms"',
    "exat": "expire_on=",
    "nx": "add()",
    "xx": "replace()",
    "tag": "tags=[...]",
    "maxsize": "cache_size=, in bytes",
    "size": "cache_size=, in bytes",
    "size_limit": "cache_size=",
}


def hint(keyword: str) -> str:
    """Return what to add to an error that says that an argument is unexpected."""
    right = KEYWORDS.get(keyword)
    return "" if right is None else f": here that is {right}"


def near(keyword: str, known: Iterable[str]) -> str:
    """Return what to add when a keyword argument looks like one of `known`."""
    import difflib  # slow, and rarely needed

    found = difflib.get_close_matches(keyword, known, 1, _ALIKE)
    return f": did you mean {found[0]}=?" if found else ""


def refuse(function: str, unexpected: Any, known: Iterable[str] = ()) -> None:
    """Raise TypeError when there are unexpected keyword arguments.

    The message names the right one of another cache's word, and that of `known`
    which is mistyped.
    """
    if unexpected:
        keyword = min(unexpected)
        raise TypeError(
            f"{function}() got an unexpected keyword argument {keyword!r}"
            f"{hint(keyword) or near(keyword, known)}"
        )
