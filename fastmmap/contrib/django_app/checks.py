"""What goes wrong with a cache in production, seen in the settings.

No file is opened, or made.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from typing import Any, Optional

from django import conf
from django.core.checks import CheckMessage, Warning
from django.utils.module_loading import import_string

from fastmmap.cli.output import size_text
from fastmmap.contrib.django import FastMmapCache
from fastmmap.errors import Error
from fastmmap.options import parse_size

#: Bytes of a cache that is given no size.
_DEFAULT_SIZE = 16 << 20
#: Directories that are cleaned, and that services may have of their own.
_TEMPORARY = {"/tmp", "/var/tmp", tempfile.gettempdir()}


def locations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the alias, the path and the options of each cache of ours."""
    for alias, params in conf.settings.CACHES.items():
        try:
            backend = import_string(params["BACKEND"])
        except (ImportError, KeyError):  # which is for Django to tell
            continue
        options = params.get("OPTIONS", {})
        if not isinstance(backend, type):
            continue
        if issubclass(backend, FastMmapCache):
            yield alias, os.fsdecode(params.get("LOCATION") or ""), options
        elif is_tiered(backend) and options.get("share_file"):
            yield alias, os.fsdecode(options["share_file"]), options


def is_tiered(backend: type) -> bool:
    """Tell whether a class is a `TieredCache`, without a need for redis-py."""
    module = sys.modules.get("fastmmap.contrib.django_tiered")
    return module is not None and issubclass(backend, module.TieredCache)


def check_caches(**_: Any) -> list[CheckMessage]:
    """Warn of files of others, and of sizes that there is no room for."""
    return [
        warning
        for alias, path, options in locations()
        for warning in (_owner(alias, path), _room(alias, path, options))
        if warning is not None
    ]


def check_deployment(**_: Any) -> list[CheckMessage]:
    """Warn of caches that the processes of a site will not share."""
    found = (_place(alias, path) for alias, path, _ in locations())
    return [warning for warning in found if warning is not None]


def _warning(number: int, alias: str, text: str, hint: str) -> Warning:
    return Warning(f"CACHES[{alias!r}]: {text}", hint=hint, id=f"fastmmap.W{number:03}")


def _owner(alias: str, path: str) -> Optional[Warning]:
    """Warn of a file of somebody else, whom the site would trust with its pickles."""
    try:
        user = os.stat(path).st_uid
    except OSError:
        return None
    if user == os.geteuid():
        return None
    text = f"{path} belongs to the user {user}, and this process runs as {os.geteuid()}"
    return _warning(1, alias, text, "Run all processes that use the cache as one user.")


def _room(alias: str, path: str, options: dict[str, Any]) -> Optional[Warning]:
    """Warn of a new file that its file system has no room for."""
    folder = os.path.dirname(os.path.abspath(path))
    try:
        size = parse_size("cache_size", _size_of(options))
        if not path or os.path.exists(path):
            return None
        found = os.statvfs(folder)
    except (Error, OSError, TypeError, ValueError):  # which the backend tells
        return None
    free = found.f_bavail * found.f_frsize
    if size <= free:
        return None
    text = f"cache_size is {size_text(size)}, and {folder} has {size_text(free)} left"
    return _warning(2, alias, text, "Make it smaller, or that file system larger.")


def _size_of(options: dict[str, Any]) -> Any:
    """Return the size of a new file; 0 where it is that of its pages together."""
    unknown = 0 if "num_pages" in options else _DEFAULT_SIZE
    return options.get("cache_size") or unknown


def _place(alias: str, path: str) -> Optional[Warning]:
    """Warn of a file that is cleaned away, or that services do not share."""
    if not path:
        text = "without a LOCATION each process that was not forked has its own"
        return _warning(3, alias, text, "Name a path, such as /dev/shm/mysite.cache.")
    folder = os.path.dirname(os.path.realpath(path))
    if not any(_inside(folder, place) for place in _TEMPORARY):
        return None
    text = f"{path} is in a temporary directory: it may be cleaned away, and a service "
    text += "with PrivateTmp has a separate directory"
    return _warning(4, alias, text, "Use /dev/shm, or a directory of the site.")


def _inside(folder: str, place: str) -> bool:
    real = os.path.realpath(place)
    return os.path.commonpath([folder, real]) == real
