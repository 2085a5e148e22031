"""Waiting for a key to have a value."""

from typing import Any, Union

from fastmmap import waiting
from fastmmap.errors import LockTimeout
from fastmmap.keyspace import Keyspace
from fastmmap.single_flight import ABSENT
from fastmmap.types import Key


def _steps(
    cache: Keyspace, key: Key, timeout: Union[int, float, None]
) -> waiting.Steps[Any]:
    waiting.check_timeout(timeout)
    look = waiting.Looks()
    with waiting.Patience(timeout) as patience:
        while True:
            value = look(ABSENT, cache.get, key, ABSENT)
            if value is not ABSENT:
                return value

            delay = patience.delay()
            if delay is None:
                raise LockTimeout(
                    f"{cache.share_file}: key {key!r} had no value within {timeout} s: "
                    "try again, or raise timeout"
                )
            yield delay


def wait_for_key(
    cache: Keyspace, key: Key, timeout: Union[int, float, None] = None
) -> Any:
    """Wait until a key has a value, whoever stores it.

    A value that comes and goes between two looks, some milliseconds, is missed. Each
    look is a ``get``, which asks ``read_cb`` if the cache has one.

    Args:
        cache: The cache.
        key: Its key, str or bytes.
        timeout: Seconds to wait; ``None`` for as long as it takes.

    Returns:
        The value.

    Raises:
        LockTimeout: There was none in that time; it is a TimeoutError, too.
    """
    return waiting.run(_steps(cache, key, timeout))


async def wait_for_key_async(
    cache: Keyspace, key: Key, timeout: Union[int, float, None] = None
) -> Any:
    """Wait like `wait_for_key`; the event loop continues meanwhile.

    Returns:
        The value.

    Raises:
        LockTimeout: There was none in that time.
    """
    return await waiting.run_async(_steps(cache, key, timeout))
