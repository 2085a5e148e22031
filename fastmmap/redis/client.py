"""The client library: redis-py, or valkey-py, whose names are the same."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

#: Seconds that a server may take, when a URL does not say so.
_TIMEOUT = 5.0


def client_of(where: Any, library: str = "", kind: str = "Redis") -> Any:
    """Return a client: the given one, or that of a URL.

    Args:
        where: A client, or a URL; its query may have options, see redis-py.
        library: ".asyncio" for an asynchronous one.
        kind: "RedisCluster" for the URL of a node of a cluster.

    Raises:
        ImportError: There is no redis-py.
        ValueError: The client decodes what it reads, or reads from replicas.
    """
    client = where
    if isinstance(where, str):
        from fastmmap.contrib.requirement import require  # for a URL only

        require("redis", "5.0", extra="redis")
        redis = importlib.import_module("redis" + library)
        timeouts = {"socket_timeout": _TIMEOUT, "socket_connect_timeout": _TIMEOUT}
        client = getattr(redis, kind).from_url(where, **timeouts)
    if _settings(client).get("decode_responses"):
        raise ValueError("the client has decode_responses=True: values are bytes here")
    if is_cluster(client) and _reads_from_replicas(client):
        raise ValueError(
            "the client reads from replicas: they may still have an old value when "
            "its change was told"
        )
    return client


def is_cluster(client: Any) -> bool:
    """Tell whether a client is one of a cluster."""
    return hasattr(client, "nodes_manager")


def _settings(client: Any) -> Mapping[str, Any]:
    """Return how a client connects."""
    source = client.nodes_manager if is_cluster(client) else client.connection_pool
    settings: Mapping[str, Any] = source.connection_kwargs
    return settings


def _reads_from_replicas(client: Any) -> bool:
    names = "read_from_replicas", "load_balancing_strategy"
    return any(getattr(client, name, None) for name in names)


#: Exceptions of those that `is_away` returns which are about the caller, or the user.
_MISUSE = (
    "AuthenticationError",
    "AuthorizationError",
    "CrossSlotTransactionError",
    "ExternalAuthProviderError",
    "InvalidPipelineStack",
    "MaxConnectionsError",
)
#: How those begin that have no type of their own.
_MISUSE_TEXTS = (
    "No connection available",
    "Too many connections",
    "transaction is deprecated",
)


def _exceptions_of(client: Any) -> Any:
    """Return the module with the exceptions of a client."""
    part = client.nodes_manager if is_cluster(client) else client.connection_pool
    package = type(part).__module__.partition(".")[0]
    return importlib.import_module(f"{package}.exceptions")


def misuse_of(client: Any) -> Callable[[BaseException], bool]:
    """Return what tells whether an error that looks like a server's absence is none.

    The pool has no connection left, the password is wrong, or the client cannot do
    what it is asked for.
    """
    known = _exceptions_of(client)
    kinds = tuple(getattr(known, name) for name in _MISUSE if hasattr(known, name))

    def is_misuse(error: BaseException) -> bool:
        if isinstance(error, kinds) or str(error).startswith(_MISUSE_TEXTS):
            return True
        return error.__cause__ is not None and is_misuse(error.__cause__)

    return is_misuse


def refusals_of(client: Any) -> tuple[type[Exception], ...]:
    """Return the exceptions that a server answers with, so it is there."""
    known = _exceptions_of(client)
    return known.ResponseError, known.AuthenticationError


def is_away(client: Any) -> tuple[type[Exception], ...]:
    """Return the exceptions that say that the server cannot be reached.

    Some of them may say something else: see `misuse_of`.
    """
    known = _exceptions_of(client)
    away = known.ConnectionError, known.TimeoutError
    if not is_cluster(client):
        return away
    names = "RedisClusterException", "ValkeyClusterException"
    others = [getattr(known, name) for name in names if hasattr(known, name)]
    return (*away, known.ClusterError, *others)


def client_of_node(client: Any, node: Any) -> Any:
    """Return the client of one node of a cluster."""
    if hasattr(client, "get_redis_connection"):
        return client.get_redis_connection(node)
    return client.get_valkey_connection(node)


def place_in(client: Any) -> tuple[Any, ...]:
    """Return what tells a server and database, or a cluster, from others.

    A cluster has no name: it is that of its first node, by their ids. Raises what
    the client does when no node of it can be reached.
    """
    if is_cluster(client):
        nodes = client.cluster_nodes().values()
        lasting = (one for one in nodes if "handshake" not in one["flags"])
        return "cluster", min(one["node_id"] for one in lasting)
    pool = client.connection_pool
    known = pool.connection_kwargs
    where = [known.get(word) for word in ("host", "port", "path", "db")]
    return (getattr(pool, "service_name", None), *where)
