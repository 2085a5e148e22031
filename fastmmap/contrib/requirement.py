"""Saying which extra brings the framework of an adapter."""

import re
from importlib import metadata


def _release(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, without what follows them."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, match[0].split("."))) if match else ()


def require(package: str, oldest: str, extra: str) -> None:
    """Raise ImportError unless `package` is installed, in `oldest` or newer.

    The message names the `extra` of fastmmap that brings it.
    """
    needed = f'this part of fastmmap needs the package "{package}" {oldest} or newer'
    remedy = f"pip install fastmmap[{extra}]"
    try:
        found = metadata.version(package)
    except metadata.PackageNotFoundError as error:
        raise ImportError(f"{needed}: {remedy}") from error
    if _release(found) < _release(oldest):
        raise ImportError(f"{needed}, found {found}: {remedy}")
