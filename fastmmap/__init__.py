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
)
from fastmmap.namespace import Namespace
from fastmmap.types import (
    KEEP,
    CheckReport,
    Entry,
    GetAndSetResult,
    RemoveResult,
    Stats,
    Store,
)

__version__ = "0.1.0"

__all__ = [
    "KEEP",
    "CheckReport",
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
    "RemoveResult",
    "Stats",
    "Store",
    "__version__",
]
