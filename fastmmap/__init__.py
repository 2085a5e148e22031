"""A cache that the processes of one host share through a memory-mapped file."""

from fastmmap._core import LockedItem
from fastmmap.cache import FastMmap
from fastmmap.errors import (
    ClosedError,
    CorruptError,
    Error,
    FormatError,
    LockError,
    LockTimeout,
    VersionError,
)
from fastmmap.namespace import Namespace
from fastmmap.registered import register_argument
from fastmmap.types import (
    KEEP,
    CacheInfo,
    CheckReport,
    Client,
    Entry,
    GetAndSetResult,
    NamespaceStats,
    RemoveResult,
    ResizeReport,
    Stats,
    Store,
)

__version__ = "0.1.0"

__all__ = [
    "KEEP",
    "CacheInfo",
    "CheckReport",
    "Client",
    "ClosedError",
    "CorruptError",
    "Entry",
    "Error",
    "FastMmap",
    "FormatError",
    "GetAndSetResult",
    "LockError",
    "LockTimeout",
    "LockedItem",
    "Namespace",
    "NamespaceStats",
    "RemoveResult",
    "ResizeReport",
    "Stats",
    "Store",
    "VersionError",
    "__version__",
    "register_argument",
]
