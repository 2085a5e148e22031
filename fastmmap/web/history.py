"""What happened in a cache, second by second, for as long as it is looked at."""

import threading
import time
from collections import deque

from fastmmap import _core
from fastmmap.cli.rates import RATES, Look, Watch

#: Looks that are kept, and the seconds between two.
LOOKS, EVERY = 600, 1.0
#: What a row says, in this order; rates are those a second since the row before.
COLUMNS = ("moment", *RATES, "bytes_live", "entries")
Row = tuple[float, ...]


def _row(look: Look) -> Row:
    return look.moment, *look.rates, look.stats.bytes_live, look.stats.entries


class History:
    """The looks of the last minutes."""

    def __init__(self, cache: _core.Cache) -> None:
        self._lock = threading.Lock()
        self._watch = Watch(cache)
        self._rows: deque[Row] = deque(maxlen=LOOKS)
        self._last = self._watch.look()
        self._looked = time.monotonic()

    def look(self) -> Look:
        """Look, unless that was done within a second; return the last look."""
        with self._lock:
            if time.monotonic() - self._looked >= EVERY * 0.9:
                self._last = self._watch.look()
                self._looked = time.monotonic()
                self._rows.append(_row(self._last))
            return self._last

    def since(self, moment: float) -> list[Row]:
        """Return the rows after a moment, seconds since 1970."""
        with self._lock:
            return [row for row in self._rows if row[0] > moment]
