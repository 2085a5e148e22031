"""The options of `FastMmap`, checked and turned into what the C code takes.

Every message names the option, the value found and what was expected.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional, Union

from fastmmap import compressors, durations, serializers
from fastmmap.compressors import Compressor
from fastmmap.serializers import Serializer
from fastmmap.types import Lifetime

Size = Union[int, str]


class DefaultName(str):
    """A default that a value of the same text, given by the user, differs from."""


DEFAULT_SERIALIZER = DefaultName("pickle")

_SIZE = re.compile(r"\s*(\d+)\s*([kmg]?)\s*", re.ASCII)
_SHIFT = {"": 0, "k": 10, "m": 20, "g": 30}
_SIZE_MAX = 2**63 - 1
_COUNT_MAX = 2**32 - 1
_DEADLOCK_MS = 10_000


def parse_size(name: str, value: Optional[Size]) -> int:
    """Return a size in bytes; 0 when it was not given."""
    if value is None:
        return 0
    size: Any = value
    if isinstance(value, str):
        match = _SIZE.fullmatch(value.lower())
        size = int(match[1]) << _SHIFT[match[2]] if match else None
    elif isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int or a str, not {type(value).__name__}")
    if size is None or not 0 < size <= _SIZE_MAX:
        raise ValueError(
            f"{name} is {value!r}: expected a number of bytes above 0, "
            'or text such as "512k", "64m", "2g"'
        )
    return int(size)


def parse_count(name: str, value: Optional[int]) -> int:
    """Return a count above 0; 0 when it was not given."""
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if not 0 < value <= _COUNT_MAX:
        raise ValueError(f"{name} is {value}: expected 1 to {_COUNT_MAX}")
    return value


def parse_mode(value: int) -> int:
    """Return the permission bits of a new file."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"permissions must be an int, not {type(value).__name__}")
    if not 0 < value <= 0o777:
        raise ValueError(
            f"permissions is {value!r}: expected mode bits such as 0o600, up to 0o777"
        )
    return value


def parse_timeout(value: Union[int, float, None], catch_deadlocks: bool) -> int:
    """Return ``lock_timeout`` in milliseconds; -1 waits without end."""
    if value is None:
        return _DEADLOCK_MS if catch_deadlocks else -1
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"lock_timeout must be a number, not {type(value).__name__}")
    if not math.isfinite(value) or not 0 <= value < 2**53:
        raise ValueError(
            f"lock_timeout is {value!r}: expected seconds from 0 on, "
            "or None to wait as long as it takes"
        )
    return math.ceil(value * 1000)


def parse_callback(name: str, value: Any) -> Any:
    """Return a callback, which is a callable or None."""
    if value is not None and not callable(value):
        raise TypeError(f"{name} must be callable or None, not {type(value).__name__}")
    return value


def choose_serializer(
    value: object, raw_values: Optional[bool]
) -> Optional[Serializer]:
    """Return the serializer that was asked for, or None to follow the file."""
    given = not isinstance(value, DefaultName)
    if raw_values is None:
        return serializers.resolve(value) if given else None
    chosen = serializers.resolve(value if given else "raw" if raw_values else "pickle")
    if (chosen.name == "raw") != bool(raw_values):
        raise ValueError(
            f"raw_values={raw_values!r} and serializer={value!r} disagree: "
            "give one of them"
        )
    return chosen


def choose_compressor(value: object, compress: Optional[bool]) -> Optional[Compressor]:
    """Return the compressor that was asked for, or None to follow the file."""
    if value is not None:
        if compress is not None and not compress:
            raise ValueError(
                f"compress={compress!r} and compressor={value!r} disagree: "
                "give one of them"
            )
        return compressors.resolve(value)
    if compress is None:
        return None
    return Compressor("zlib") if compress else compressors.NONE


def parse_min_size(value: int) -> int:
    """Return ``compress_min_size`` in bytes."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"compress_min_size must be an int, not {type(value).__name__}")
    if not 0 <= value <= _SIZE_MAX:
        raise ValueError(f"compress_min_size is {value}: expected bytes from 0 on")
    return value


def parse_write_action(value: str) -> bool:
    """Return whether changed values are written back late."""
    if value not in ("write_through", "write_back"):
        raise ValueError(
            f'write_action is {value!r}: expected "write_through" or "write_back"'
        )
    return value == "write_back"


def parse_lifetime(name: str, value: Lifetime) -> int:
    """Return a lifetime option in milliseconds; None is never."""
    if value is None:
        return durations.NEVER
    try:
        return durations.lifetime_ms(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from None


@dataclass(frozen=True)
class FileOptions:
    """What matters while the file is opened, in the core's own terms."""

    cache_size: int = 0
    page_size: int = 0
    num_pages: int = 0
    slots: int = 0
    entry_size: int = 0
    mode: int = 0
    init_file: bool = False
    must_exist: bool = False
    sparse: bool = False
    verify: bool = False
    allow_shared: bool = False
    allow_network_fs: bool = False
    sigbus_guard: bool = False


@dataclass(frozen=True)
class UseOptions:
    """What matters while the cache is used. Times are milliseconds."""

    compress_min_size: int
    expire_ms: int
    tombstone_ms: int
    lock_timeout_ms: int
    enable_stats: bool
    context: Any
    read_cb: Any
    write_cb: Any
    delete_cb: Any
    cache_not_found: bool
    write_back: bool
    allow_recursive: bool


#: What an object that re-attaches to its file in another process takes along.
REATTACHED = (
    "serializer",
    "raw_values",
    "compressor",
    "compress",
    "compress_min_size",
    "expire_time",
    "tombstone_expire_time",
    "enable_stats",
    "context",
    "read_cb",
    "write_cb",
    "delete_cb",
    "cache_not_found",
    "write_action",
    "allow_recursive",
    "lock_timeout",
    "catch_deadlocks",
    "allow_shared",
    "allow_network_fs",
    "sigbus_guard",
)


def file_options(given: Mapping[str, Any]) -> FileOptions:
    """Check the arguments of `FastMmap` that matter at opening."""
    return FileOptions(
        cache_size=parse_size("cache_size", given["cache_size"]),
        page_size=parse_size("page_size", given["page_size"]),
        num_pages=parse_count("num_pages", given["num_pages"]),
        slots=parse_count("start_slots", given["start_slots"]),
        entry_size=parse_count("entry_size", given["entry_size"]),
        mode=parse_mode(given["permissions"]),
        init_file=bool(given["init_file"]),
        sparse=not given["reserve"],
        verify=bool(given["test_file"]),
        allow_shared=bool(given["allow_shared"]),
        allow_network_fs=bool(given["allow_network_fs"]),
        sigbus_guard=bool(given["sigbus_guard"]),
    )


def use_options(given: Mapping[str, Any]) -> UseOptions:
    """Check the arguments of `FastMmap` that matter while it is used."""
    lock_timeout, catch = given["lock_timeout"], given["catch_deadlocks"]
    tombstones = given["tombstone_expire_time"]
    return UseOptions(
        compress_min_size=parse_min_size(given["compress_min_size"]),
        expire_ms=parse_lifetime("expire_time", given["expire_time"]),
        tombstone_ms=parse_lifetime("tombstone_expire_time", tombstones),
        lock_timeout_ms=parse_timeout(lock_timeout, bool(catch)),
        enable_stats=bool(given["enable_stats"]),
        context=given["context"],
        read_cb=parse_callback("read_cb", given["read_cb"]),
        write_cb=parse_callback("write_cb", given["write_cb"]),
        delete_cb=parse_callback("delete_cb", given["delete_cb"]),
        cache_not_found=bool(given["cache_not_found"]),
        write_back=parse_write_action(given["write_action"]),
        allow_recursive=bool(given["allow_recursive"]),
    )
