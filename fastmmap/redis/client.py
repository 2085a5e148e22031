"""The client library: redis-py, or valkey-py, whose names are the same."""

import importlib
from typing import Any

#: Seconds that a server may take, when a URL does not say so.
_TIMEOUT = 5.0


def client_of(where: Any, library: str = "") -> Any:
    """Return a client: the given one, or that of a URL.

    Args:
        where: A client, or a URL; its query may have options, see redis-py.
        library: ".asyncio" for one that is to be awaited.

    Raises:
        ImportError: There is no redis-py.
        ValueError: The client decodes what it reads.
    """
    client = where
    if isinstance(where, str):
        from fastmmap.contrib.requirement import require  # for a URL only

        require("redis", "5.0", extra="redis")
        redis = importlib.import_module("redis" + library)
        timeouts = {"socket_timeout": _TIMEOUT, "socket_connect_timeout": _TIMEOUT}
        client = redis.Redis.from_url(where, **timeouts)
    if client.connection_pool.connection_kwargs.get("decode_responses"):
        raise ValueError("the client has decode_responses=True: values are bytes here")
    return client


def is_away(client: Any) -> tuple[type[Exception], ...]:
    """Return the exceptions that say that the server cannot be reached."""
    package = type(client.connection_pool).__module__.partition(".")[0]
    exceptions = importlib.import_module(f"{package}.exceptions")
    return exceptions.ConnectionError, exceptions.TimeoutError
