"""Lifetimes in all their spellings, to whole milliseconds."""

import math
import re
from datetime import timedelta
from typing import Optional

NEVER = -1  #: no expiry
NOW = 0  #: expired already

_UNITS = {
    "ms": 1,
    "": 1000,
    "s": 1000,
    "m": 60 * 1000,
    "h": 3600 * 1000,
    "d": 86400 * 1000,
    "w": 7 * 86400 * 1000,
}
_TEXT = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(ms|s|m|h|d|w|)\s*", re.ASCII)
_MS_MAX = 2**63 - 1

_EXPECTED = (
    "expected seconds as an int or float, a timedelta, or text such as "
    '"500ms", "10s", "5m", "1h", "2d", "1w", "now", "never"; 0 is never'
)


def _text_ms(text: str) -> Optional[float]:
    match = _TEXT.fullmatch(text.lower())
    if match is None:
        return None
    number, unit = match.groups()
    return float(number) * _UNITS[unit]


def _to_ms(value: object) -> Optional[float]:
    if isinstance(value, timedelta):
        return value / timedelta(milliseconds=1)
    if isinstance(value, str):
        return _text_ms(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return min(value, _MS_MAX) * 1000.0
    raise TypeError(f"a lifetime cannot be a {type(value).__name__}: {_EXPECTED}")


def lifetime_ms(value: object) -> int:
    """Return a lifetime in milliseconds, `NEVER` or `NOW`.

    Raises TypeError for other types, ValueError for what is negative, not
    finite, unreadable or beyond what a file can hold.
    """
    if isinstance(value, str) and value.strip().lower() in ("now", "never"):
        return NOW if value.strip().lower() == "now" else NEVER
    ms = _to_ms(value)
    if ms is None or not math.isfinite(ms) or ms < 0 or ms >= _MS_MAX:
        raise ValueError(f"a lifetime cannot be {value!r}: {_EXPECTED}")
    # The shortest lifetime there is must not become "never".
    return max(round(ms), 1) if ms > 0 else NEVER
