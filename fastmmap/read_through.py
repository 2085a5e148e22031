"""What a ``read_cb`` returns, with a lifetime that is a function of it."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from fastmmap import durations
from fastmmap.types import LifetimeOf, Store


def with_lifetimes(given: Mapping[str, Any]) -> Callable[..., Any]:
    """Return the ``read_cb`` of these options, for values that live as they say.

    Raises TypeError when there is none.
    """
    if given["read_cb"] is None:
        raise TypeError(
            "expire_time is a function of what read_cb returns, but there is no "
            "read_cb: give one, or a lifetime for all values"
        )
    return functools.partial(
        _read, given["read_cb"], given["expire_time"], bool(given["cache_not_found"])
    )


def _read(
    read_cb: Any, expire_time: LifetimeOf, keeps_none: bool, context: Any, key: Any
) -> Any:
    said = read_cb(context, key)
    if said is None and not keeps_none:
        return said
    if isinstance(said, Store):
        if said.expire_time is None and said.expire_on is None:
            lifetime = durations.lifetime_of(said.value, expire_time)
            return said._replace(expire_time=lifetime)
        return said
    return Store(said, durations.lifetime_of(said, expire_time))
