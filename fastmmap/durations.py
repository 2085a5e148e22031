"""Lifetimes in all their spellings, to whole milliseconds."""

import re
from datetime import timedelta
from typing import Any, Optional

from fastmmap.types import Lifetime, LifetimeOf

NEVER = -1  #: no expiry
NOW = 0  #: expired already

_UNITS = {
    1: ("ms", "msec", "msecs", "millisecond", "milliseconds"),
    1000: ("s", "sec", "secs", "second", "seconds"),
    60 * 1000: ("m", "min", "mins", "minute", "minutes"),
    3600 * 1000: ("h", "hr", "hrs", "hour", "hours"),
    86400 * 1000: ("d", "day", "days"),
    7 * 86400 * 1000: ("w", "week", "weeks"),
}
_UNIT_MS = {name: ms for ms, names in _UNITS.items() for name in names}
_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)"
_SECONDS = re.compile(rf"\s*({_NUMBER})\s*", re.ASCII)
_PART = re.compile(rf"\s*({_NUMBER})\s*({'|'.join(_UNIT_MS)})(?![a-z])", re.ASCII)
_TEXT = re.compile(rf"(?:{_PART.pattern})+\s*", re.ASCII)
_MS_MAX = 2**63 - 1

_EXPECTED = (
    "expected seconds as an int or float, a timedelta, or text such as "
    '"500ms", "10s", "5m", "1h30m", "2 days", "1w", "now", "never"; 0 is never'
)


def _text_ms(text: str) -> Optional[float]:
    seconds = _SECONDS.fullmatch(text)
    if seconds is not None:
        return float(seconds[1]) * 1000
    if _TEXT.fullmatch(text) is None:
        return None
    return sum(float(number) * _UNIT_MS[unit] for number, unit in _PART.findall(text))


def _to_ms(value: object) -> Optional[float]:
    if isinstance(value, timedelta):
        return value / timedelta(milliseconds=1)
    if isinstance(value, str):
        return _text_ms(value.lower())
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return min(value, _MS_MAX) * 1000.0
    raise TypeError(f"a lifetime cannot be a {type(value).__name__}: {_EXPECTED}")


def lifetime_ms(value: object) -> int:
    """Return a lifetime in milliseconds, `NEVER` or `NOW`.

    What is infinite, or too long for a file to hold, is `NEVER`.

    Raises TypeError for other types, ValueError for what is negative, no number or
    unreadable.
    """
    if isinstance(value, str) and value.strip().lower() in ("now", "never"):
        return NOW if value.strip().lower() == "now" else NEVER
    ms = _to_ms(value)
    if ms is None or not ms >= 0:
        raise ValueError(f"a lifetime cannot be {value!r}: {_EXPECTED}")
    if ms == 0 or ms >= _MS_MAX:
        return NEVER
    return max(round(ms), 1)  # the shortest there is must not become "never"


def lifetime_of(value: Any, expire_time: LifetimeOf) -> Lifetime:
    """Return the lifetime of a value. Raises what the function of it raises."""
    if not callable(expire_time):
        return expire_time
    lifetime = expire_time(value)
    if lifetime is not None:
        lifetime_ms(lifetime)  # an error of the function, not of storing
    return lifetime
