"""A circuit: while the server is away, few calls find that out for all."""

from fastmmap import _core


class Circuit:
    """Lets calls through, until one finds that the server is down.

    After that all are refused, except one every ``retry_after`` seconds; the first that
    succeeds lets all through again. One process has one circuit.
    """

    def __init__(self, retry_after: float) -> None:
        self._retry_after = retry_after
        self._next_try = 0.0  #: monotonic; 0.0: calls go through

    def admits(self) -> bool:
        """Tell whether a call may be made now; if so, it has to be."""
        if not self._next_try:
            return True
        now = _core.monotonic()
        if now < self._next_try:
            return False
        self._next_try = now + self._retry_after
        return True

    def failed(self) -> bool:
        """Note that the server was away; tell whether all went through before."""
        opens = not self._next_try
        self._next_try = _core.monotonic() + self._retry_after
        return opens

    def succeeded(self) -> None:
        """Note that it answered."""
        self._next_try = 0.0
