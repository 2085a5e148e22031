"""Functions whose results are kept on the server."""

import functools
from collections.abc import Callable, Mapping
from inspect import iscoroutinefunction as is_async
from typing import Any

from fastmmap import memoize
from fastmmap.keyspace import Keyspace
from fastmmap.redis.names import text_of
from fastmmap.types import Lifetime

_NAMING = {"key": None, "ignore": (), "typed": False, "name": None, "version": None}


def memoized(
    tier: Any, space: Keyspace, prefix: str, ttl: Lifetime, naming: Mapping[str, Any]
) -> Callable[[Any], Any]:
    """Return the decorator of `RedisTier.memoize`; awaited, of an async one."""
    named = memoize.naming(**{**_NAMING, **naming})

    def decorate(func: Any) -> Any:
        memoize.refuse_generator(func)
        if is_async(func) and not is_async(tier.get_or_set):
            raise TypeError(f"{func.__qualname__} is async def: use AsyncRedisTier")
        key_of = named.keys_for(func, named.name_for(space, func))

        def cache_key(*args: Any, **kwargs: Any) -> str:
            return prefix + text_of(key_of(*args, **kwargs))

        @functools.wraps(func)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            compute = functools.partial(func, *args, **kwargs)
            return tier.get_or_set(cache_key(*args, **kwargs), compute, ttl)

        def invalidate(*args: Any, **kwargs: Any) -> Any:
            return tier.delete(cache_key(*args, **kwargs))

        wrapper.cache_key = cache_key  # type: ignore[attr-defined]  # a function takes attributes
        wrapper.invalidate = invalidate  # type: ignore[attr-defined]  # the same
        return wrapper

    return decorate
