"""The options of `FastMmap`, checked and turned into what the C code takes.

Their names, types and defaults are those of its ``__init__``, where editors and type
checkers read them; the table `OPTIONS` says how each is used. Every message of a
check names the option, the value found and the expected one.
"""

import functools
import math
import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, NamedTuple, Optional, TypeVar, Union, cast

from fastmmap import compressors, durations, serializers, words
from fastmmap.compressors import Compressor
from fastmmap.read_through import with_lifetimes
from fastmmap.serializers import Serializer
from fastmmap.types import Lifetime

Size = Union[int, str]


class DefaultName(str):
    """A default that a value of the same text, given by the user, differs from."""


DEFAULT_SERIALIZER = DefaultName("pickle")


class DefaultNumber(int):
    """A default that the same number, given by the user, differs from."""

    __slots__ = ()


DEFAULT_ENTRY_SIZE = DefaultNumber(200)

#: What `on_mismatch` may be, by the numbers that C has for them.
MISMATCHES = ("error", "follow", "replace")
FOLLOW = MISMATCHES.index("follow")

#: A number; k, m, g or t; and i for powers of 1,024, b alone for powers of 1,000.
_SIZE = re.compile(r"\s*(\d+(?:\.\d*)?)\s*([kmgt]?)(i?b?)\s*", re.ASCII)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_SIZE_MAX = 2**63 - 1
_COUNT_MAX = 2**32 - 1
_DEADLOCK_SECONDS = 10


def _size_of(text: str) -> Optional[int]:
    match = _SIZE.fullmatch(text.lower())
    if match is None or (not match[2] and "i" in match[3]):
        return None
    unit = (1000 if match[3] == "b" else 1024) ** _POWERS[match[2]]
    return int(match[1]) * unit if match[1].isdigit() else int(float(match[1]) * unit)


def parse_size(name: str, value: Optional[Size]) -> int:
    """Return a size in bytes; 0 when it was not given."""
    if value is None:
        return 0
    size: Any = value
    if isinstance(value, str):
        size = _size_of(value)
    elif isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int or a str, not {type(value).__name__}")
    if size is None or not 0 < size <= _SIZE_MAX:
        raise ValueError(
            f"{name} is {value!r}: expected a number of bytes above 0, "
            'or text such as "512k", "64m", "2g", "10MB", "1GiB"'
        )
    return int(size)


def parse_near(name: str, value: Optional[Size]) -> int:
    """Return a size in bytes, which may be 0; -1 when it was not given."""
    if value is None:
        return -1
    if value == 0 and not isinstance(value, bool):
        return 0
    return parse_size(name, value)


def parse_count(name: str, value: Optional[int]) -> int:
    """Return a count above 0; 0 when it was not given."""
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if not 0 < value <= _COUNT_MAX:
        raise ValueError(f"{name} is {value}: expected 1 to {_COUNT_MAX}")
    return value


def parse_expected(name: str, value: int) -> int:
    """Return a count above 0; 0 for the default."""
    return 0 if isinstance(value, DefaultNumber) else parse_count(name, value)


def parse_mode(name: str, value: int) -> int:
    """Return the permission bits of a new file."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if not 0 < value <= 0o777:
        raise ValueError(
            f"{name} is {value!r}: expected mode bits such as 0o600, up to 0o777"
        )
    return value


def parse_timeout(name: str, value: Union[int, float, None]) -> int:
    """Return seconds to wait in milliseconds; -1 waits without end."""
    if value is None:
        return -1
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    if not math.isfinite(value) or not 0 <= value < 2**53:
        raise ValueError(
            f"{name} is {value!r}: expected 0 seconds or more, "
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


def parse_min_size(name: str, value: int) -> int:
    """Return a number of bytes, which may be 0."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if not 0 <= value <= _SIZE_MAX:
        raise ValueError(f"{name} is {value}: expected 0 bytes or more")
    return value


def parse_write_action(name: str, value: str) -> bool:
    """Return whether changed values are written back late."""
    if value not in ("write_through", "write_back"):
        raise ValueError(
            f'{name} is {value!r}: expected "write_through" or "write_back"'
        )
    return value == "write_back"


def parse_mismatch(name: str, value: str) -> int:
    """Return what C calls the way to treat a file that differs."""
    if value not in MISMATCHES:
        known = ", ".join(f'"{word}"' for word in MISMATCHES)
        raise ValueError(f"{name} is {value!r}: expected one of {known}")
    return MISMATCHES.index(value)


def parse_lifetime(name: str, value: Lifetime) -> int:
    """Return a lifetime option in milliseconds; None is never."""
    if value is None:
        return durations.NEVER
    try:
        return durations.lifetime_ms(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from None


def parse_flag(name: str, value: object) -> bool:
    """Return whether something is on."""
    return bool(value)


def parse_opposite(name: str, value: object) -> bool:
    """Return whether something is off."""
    return not value


def keep(name: str, value: Any) -> Any:
    """Return what is not looked at."""
    return value


# -------------------------------------------------------------------- the table


class Phase(Enum):
    """What an option matters for."""

    MAKING = "a new file"
    OPENING = "any open file"
    VALUES = "what values look like in the file"
    USE = "the use of the cache"
    ENDING = "the end of the object"


class Option(NamedTuple):
    """What becomes of an argument of `FastMmap`."""

    name: str
    phase: Phase
    check: Callable[[str, Any], Any] = keep  # its name and value, to what C takes
    core: str = ""  # what the C code calls it; "": it is for the package alone


OPTIONS = (
    Option("init_file", Phase.MAKING, parse_flag, "init_file"),
    Option("test_file", Phase.MAKING, parse_flag, "verify"),
    Option("on_mismatch", Phase.OPENING, parse_mismatch, "on_mismatch"),
    Option("permissions", Phase.MAKING, parse_mode, "mode"),
    Option("unlink_on_exit", Phase.ENDING),
    Option("empty_on_exit", Phase.ENDING),
    Option("cache_size", Phase.MAKING, parse_size, "cache_size"),
    Option("reserve", Phase.MAKING, parse_opposite, "sparse"),
    Option("page_size", Phase.MAKING, parse_size, "page_size"),
    Option("num_pages", Phase.MAKING, parse_count, "num_pages"),
    Option("start_slots", Phase.MAKING, parse_count, "slots"),
    Option("entry_size", Phase.MAKING, parse_expected, "entry_size"),
    Option("serializer", Phase.VALUES),
    Option("raw_values", Phase.VALUES),
    Option("compressor", Phase.VALUES),
    Option("compress", Phase.VALUES),
    Option("compress_min_size", Phase.USE, parse_min_size, "compress_min_size"),
    Option("expire_time", Phase.USE, parse_lifetime, "expire_ms"),
    Option("tombstone_expire_time", Phase.USE, parse_lifetime, "tombstone_ms"),
    Option("enable_stats", Phase.USE, parse_flag, "enable_stats"),
    Option("near", Phase.USE, parse_near, "near"),
    Option("copy", Phase.USE, parse_opposite, "share"),
    Option("context", Phase.USE, keep, "context"),
    Option("read_cb", Phase.USE, parse_callback, "read_cb"),
    Option("write_cb", Phase.USE, parse_callback, "write_cb"),
    Option("delete_cb", Phase.USE, parse_callback, "delete_cb"),
    Option("cache_not_found", Phase.USE, parse_flag, "cache_not_found"),
    Option("write_action", Phase.USE, parse_write_action, "write_back"),
    Option("allow_recursive", Phase.USE, parse_flag, "allow_recursive"),
    Option("lock_timeout", Phase.USE, parse_timeout, "lock_timeout_ms"),
    Option("catch_deadlocks", Phase.USE),
    Option("read_only", Phase.OPENING, parse_flag, "read_only"),
    Option("allow_shared", Phase.OPENING, parse_flag, "allow_shared"),
    Option("allow_network_fs", Phase.OPENING, parse_flag, "allow_network_fs"),
    Option("sigbus_guard", Phase.OPENING, parse_flag, "sigbus_guard"),
)

Given = dict[str, Any]
#: What an object that attaches to its file in another process has no use for.
_ONCE = (Phase.MAKING, Phase.ENDING)


#: What changes a file, sooner or later.
_CHANGING = (
    *("init_file", "test_file", "unlink_on_exit", "empty_on_exit"),
    *("read_cb", "write_cb", "delete_cb"),
)


def core_options(given: Mapping[str, Any], *phases: Phase) -> Given:
    """Check the options of some phases; return them in the core's own terms."""
    return {
        option.core: option.check(option.name, given[option.name])
        for option in OPTIONS
        if option.core and option.phase in phases
    }


def use_options(given: Mapping[str, Any]) -> Given:
    """Return what `_configure` takes by name."""
    if given["catch_deadlocks"] and given["lock_timeout"] is None:
        given = {**given, "lock_timeout": _DEADLOCK_SECONDS}
    if callable(given["expire_time"]):
        given = {**given, "read_cb": with_lifetimes(given), "expire_time": 0}
    return core_options(given, Phase.USE)


def check_read_only(given: Mapping[str, Any]) -> None:
    """Refuse, together with ``read_only``, what would change the file."""
    wrong = [name for name in _CHANGING if given[name]]
    if given["read_only"] and wrong:
        raise ValueError(
            f"read_only=True and {wrong[0]}={given[wrong[0]]!r} disagree: "
            "one changes what the other must leave as it is"
        )


def lasting(given: Mapping[str, Any]) -> Given:
    """Return what one who attaches to the file in another process takes along."""
    return {
        option.name: given[option.name]
        for option in OPTIONS
        if option.phase not in _ONCE
    }


_Init = TypeVar("_Init", bound=Callable[..., None])


def signature_of(start: Callable[[Any, Any, Given], None]) -> Callable[[_Init], _Init]:
    """Make a constructor of a signature alone.

    It calls ``start(self, share_file, given)``: all options by name, with the
    defaults of those that were left out.
    """

    def make(signature: _Init) -> _Init:
        defaults: Given = signature.__kwdefaults__ or {}

        @functools.wraps(signature)
        def init(self: Any, share_file: Any = None, **options: Any) -> None:
            unexpected = options.keys() - defaults.keys()
            words.refuse(signature.__qualname__, unexpected, defaults)
            start(self, share_file, {**defaults, **options})

        return cast(_Init, init)  # wraps() gives it that signature

    return make
