"""Who is running: the task of an event loop, or else the thread."""

import sys
import threading
from contextlib import suppress
from typing import Any


def _trio_task() -> Any:
    """Return the running task of trio, or ``None``."""
    trio = sys.modules.get("trio")  # who has no tasks need not import it
    task = None
    if trio is not None:
        with suppress(AttributeError, RuntimeError):  # half imported; not in trio
            task = trio.lowlevel.current_task()
    return task


def _asyncio_task() -> Any:
    """Return the running task of asyncio, or ``None``."""
    asyncio = sys.modules.get("asyncio")
    task = None
    if asyncio is not None:
        with suppress(AttributeError, RuntimeError):  # half imported; no loop here
            task = asyncio.current_task()
    return task


def caller() -> object:
    """Return who is running: the task, or else the identity of the thread."""
    for task in (_trio_task(), _asyncio_task()):
        if task is not None:
            return task
    return threading.get_ident()
