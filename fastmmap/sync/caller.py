"""The running caller: the task of an event loop, otherwise the thread."""

import threading

from fastmmap.tasks import running_task


def caller() -> object:
    """Return the running task, otherwise the identity of the thread."""
    task = running_task()
    return threading.get_ident() if task is None else task
