"""Tasks of event loops: which one runs, and which wait for it.

A task that another has started inherits what that one computes. Only if the other
waits for it, it is a part of that computation.
"""

import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any


def trio_task() -> Any:
    """Return the running task of trio, or ``None``."""
    trio = sys.modules.get("trio")  # who has no tasks need not import it
    task = None
    if trio is not None:
        with suppress(AttributeError, RuntimeError):  # half imported; not in trio
            task = trio.lowlevel.current_task()
    return task


def asyncio_task() -> Any:
    """Return the running task of asyncio, or ``None``."""
    asyncio = sys.modules.get("asyncio")
    task = None
    if asyncio is not None:
        with suppress(AttributeError, RuntimeError):  # half imported; no loop here
            task = asyncio.current_task()
    return task


def running_task() -> Any:
    """Return the running task, or ``None``: it is a thread's own code."""
    task = trio_task()
    return asyncio_task() if task is None else task


# ------------------------------------------------------------------------- asyncio


def _held_by(callback: Any) -> Iterator[Any]:
    """Yield what a callback has: of a method, a partial, or a closure."""
    yield getattr(callback, "__self__", None)
    yield from getattr(callback, "args", ())
    for cell in getattr(callback, "__closure__", None) or ():
        with suppress(ValueError):  # it is empty
            yield cell.cell_contents


def _waiters(future: Any) -> Iterator[Any]:
    """Yield the futures and tasks that continue when that one is done."""
    for callback, _ in getattr(future, "_callbacks", None) or ():
        for thing in _held_by(callback):
            # A group of tasks has a future while it waits for them all, and
            # as_completed() a queue that who waits gets them from.
            yield from (thing, getattr(thing, "_on_completed_fut", None))
            yield from getattr(getattr(thing, "_done", thing), "_getters", ())


def _is_awaited_by(task: Any, other: Any) -> bool:
    """Tell whether another task waits for that one, itself or by way of others."""
    known, left = {id(task)}, [task]
    while left:
        for waiter in _waiters(left.pop()):
            if waiter is other:
                return True
            if id(waiter) not in known and hasattr(waiter, "_callbacks"):
                known.add(id(waiter))
                left.append(waiter)
    return False


# ---------------------------------------------------------------------------- trio


def _nurseries_above(task: Any) -> Iterator[Any]:
    """Yield the nurseries that a task is in."""
    while task is not None and task.parent_nursery is not None:
        yield task.parent_nursery
        task = task.parent_nursery.parent_task


class Computer:
    """The task that begins to compute now, or the thread if there is none."""

    def __init__(self) -> None:
        self._task = running_task()
        #: Those that are to be left after the computation.
        self._outer = tuple(getattr(self._task, "child_nurseries", ()))

    def waits_for_caller(self) -> bool:
        """Tell whether it runs here, or waits for what does."""
        task = running_task()
        if None in (task, self._task) or task is self._task:
            return True  # threads work for those who wait for them
        if not hasattr(task, "parent_nursery"):
            return _is_awaited_by(task, self._task)
        return any(
            nursery.parent_task is self._task and nursery not in self._outer
            for nursery in _nurseries_above(task)
        )
