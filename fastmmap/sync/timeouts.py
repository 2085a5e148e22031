"""How long a caller waits: what the arguments of `acquire` say."""

import threading
from typing import Union

from fastmmap import waiting

Timeout = Union[int, float, None]


def patience_of(blocking: bool, timeout: Timeout, default: Timeout) -> Timeout:
    """Return how long `acquire` waits, seconds; -1 is ``None``, as in threading."""
    if not blocking:
        if timeout is not None and timeout != -1:
            raise ValueError("timeout is for a call that waits: leave blocking=True")
        return 0
    if timeout is None:
        return default
    if timeout == -1:
        return None
    waiting.check_timeout(timeout)
    if timeout > threading.TIMEOUT_MAX:
        raise OverflowError(
            f"timeout is {timeout!r}: more than {threading.TIMEOUT_MAX} s"
        )
    return timeout
