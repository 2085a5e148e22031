"""The pulse of a listener: how long the cache can be trusted.

A listener stores the moment of its last proof that it had received everything; readers
add ``max_lag`` to it. The clock also runs while the host is suspended, and a moment
names its boot.
"""

import os
import time
from contextlib import suppress
from functools import partial
from typing import Final

from fastmmap.keyspace import Keyspace

_KEY: Final = "pulse"
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_CLOCK_ID_FILES: Final = "/proc/sys/kernel/random/boot_id", "/proc/self/ns/time"


#: Returns the seconds since the host booted, suspended or not.
moment = partial(time.clock_gettime, _CLOCK)


def _clock_id() -> str:
    """Return what tells this clock from that of another boot or time namespace."""
    boot, space = "", ""
    with suppress(OSError), open(_CLOCK_ID_FILES[0], encoding="ascii") as file:
        boot = file.read().strip()
    with suppress(OSError):
        space = os.readlink(_CLOCK_ID_FILES[1])
    return f"{boot}/{space}"


class Pulse:
    """What a listener and the readers of a host share.

    Args:
        space: A namespace of the cache.
        max_lag: Seconds that a proof is good for.
    """

    def __init__(self, space: Keyspace, max_lag: float) -> None:
        self._space = space
        self._max_lag = max_lag
        self._clock = _clock_id()

    def beat(self, proven: float) -> None:
        """Say that all changes before a moment are known here."""
        self._space.set(_KEY, f"{self._clock} {proven!r}", "never")

    def until(self) -> float:
        """Return the moment up to which the cache may be believed; 0.0: not at all."""
        text = self._space.get(_KEY)
        if isinstance(text, str):
            clock, _, proven = text.rpartition(" ")
            if clock == self._clock:
                return float(proven) + self._max_lag
        return 0.0
