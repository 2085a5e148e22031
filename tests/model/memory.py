"""A model of weakly ordered memory, explored exhaustively.

Threads are short lists of loads, stores and fences. The machine may run the
operations of a thread in any order that their memory orders and their
addresses allow, one operation of all threads at a time on one memory: that is
ARMv8 without its last subtleties (it is multi-copy atomic too; Pulte et al.,
"Simplifying ARM Concurrency", POPL 2018), and it allows far more than x86. Data
dependencies and branches order no loads here, so speculation is covered; what is
stored does wait for the registers that it depends on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Order = Literal["relaxed", "acquire", "release", "full"]
Memory = dict[str, str]


@dataclass(frozen=True)
class Operation:
    """A load into a register of its own name, a store, a swap, or a fence.

    What is stored is a value, or that of the register `source`; with `only`, if a
    register has some value. A swap stores if `expected` is there.
    """

    kind: Literal["load", "store", "swap", "fence"]
    order: Order
    place: str = ""
    value: str = ""
    name: str = ""
    source: str = ""
    only: tuple[str, str] = ("", "")
    expected: str = ""


def load(name: str, place: str, order: Order = "relaxed") -> Operation:
    return Operation("load", order, place, name=name)


def store(
    place: str,
    value: str = "",
    order: Order = "relaxed",
    *,
    source: str = "",
    only: tuple[str, str] = ("", ""),
) -> Operation:
    return Operation("store", order, place, value, source=source, only=only)


def swap(place: str, expected: str, value: str, only: tuple[str, str]) -> Operation:
    return Operation("swap", "relaxed", place, value, only=only, expected=expected)


def fence(order: Order) -> Operation:
    return Operation("fence", order)


def keeps_order(first: Operation, second: Operation) -> bool:
    """Return whether a thread must run the first before the second."""
    if first.place and first.place == second.place:
        return True
    if first.order == "full" or second.order == "full":
        return True  # a fence of all
    if first.name and first.name in (second.source, second.only[0]):
        return True  # what is stored depends on it
    if second.order == "release":
        return True  # a store or a fence: after all that came before it
    if first.order == "acquire":
        return True  # a load or a fence: before all that comes after it
    if first.kind == "fence":
        return second.kind == "store"  # a release fence
    if second.kind == "fence":
        return first.kind == "load"  # an acquire fence
    return False


Thread = tuple[Operation, ...]
State = tuple[tuple[frozenset[int], ...], tuple[tuple[str, str], ...]]


def ready(thread: Thread, done: frozenset[int]) -> Iterator[int]:
    """Yield the operations that may run next."""
    for i, operation in enumerate(thread):
        before = (j for j in range(i) if keeps_order(thread[j], operation))
        if i not in done and all(j in done for j in before):
            yield i


def run(operation: Operation, values: Memory) -> Memory:
    """Return memory and registers after an operation."""
    if operation.kind == "load":
        return values | {operation.name: values[operation.place]}
    if operation.kind == "fence" or not stores(operation, values):
        return values
    value = values[operation.source] if operation.source else operation.value
    return values | {operation.place: value}


def stores(operation: Operation, values: Memory) -> bool:
    """Return whether a store or swap does so, as things are."""
    register, wanted = operation.only
    if register and values[register] != wanted:
        return False
    return operation.kind == "store" or values[operation.place] == operation.expected


def steps(threads: tuple[Thread, ...], state: State) -> Iterator[State]:
    """Yield every state that one operation leads to."""
    done, values = state
    for n, thread in enumerate(threads):
        for i in ready(thread, done[n]):
            after = run(thread[i], dict(values))
            ran = (*done[:n], done[n] | {i}, *done[n + 1 :])
            yield ran, tuple(sorted(after.items()))


def outcomes(threads: tuple[Thread, ...], memory: Memory) -> list[Memory]:
    """Return memory and registers at every possible end."""
    begin: State = (tuple(frozenset() for _ in threads), tuple(sorted(memory.items())))
    seen, pending, ends = {begin}, [begin], []
    while pending:
        state = pending.pop()
        following = set(steps(threads, state))
        if not following:
            ends.append(dict(state[1]))
        pending.extend(following - seen)
        seen |= following
    return ends
