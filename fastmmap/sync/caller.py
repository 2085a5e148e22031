"""Who is running: the task of an event loop, or else the thread."""

import threading

from fastmmap.tasks import running_task


def caller() -> object:
    """Return who is running: the task, or else the identity of the thread."""
    task = running_task()
    return threading.get_ident() if task is None else task
