"""Lock-free reads on a weakly ordered machine, by exhaustive search.

An x86 hides a missing fence. Here the accesses of a writer that reclaims and
overwrites an entry, and of a reader of that entry, run in every order that
their memory orders allow (see memory.py). The reader must never accept a
value of which one half is old and the other new; and each memory order that
the engine asks for is taken away once, to see that the search notices.

One entry lies at the same place in two laps of a ring of size 10: "old" at
position 0, named by slot word "old", and "new" at position 10. The tail goes
from 0 to 5, past the old entry.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from memory import Memory, Operation, Thread, fence, load, outcomes, store

BEGIN: Memory = {"tail": "0", "slot": "old", "half0": "old", "half1": "old"}

# fmm_index_publish, store_tail, fmm_ring append, fmm_index_publish.
WRITER: dict[str, Operation] = {
    "clear the slot": store("slot", "none", "release"),
    "move the tail": store("tail", "5", "release"),
    "fence after the tail": fence("release"),
    "write the first half": store("half0", "new"),
    "write the second half": store("half1", "new"),
    "publish": store("slot", "new", "release"),
}

# look_once, fmm_index_word, fmm_copy_out, is_whole.
READER: dict[str, Operation] = {
    "load the tail": load("before", "tail", "acquire"),
    "load the slot": load("word", "slot", "acquire"),
    "copy the first half": load("got0", "half0"),
    "copy the second half": load("got1", "half1"),
    "fence before the check": fence("acquire"),
    "load the tail again": load("after", "tail"),
}


def accepted(end: Memory) -> bool:
    """Return whether the reader takes what it copied for whole."""
    if end["word"] == "none":
        return False
    position = 0 if end["before"] == "0" else 10  # the one in [tail, tail + 10)
    return int(end["after"]) <= position


def torn(writer: Thread, reader: Thread) -> list[Memory]:
    ends = outcomes((writer, reader), BEGIN)
    return [e for e in ends if accepted(e) and e["got0"] != e["got1"]]


def weakened(thread: dict[str, Operation], step: str) -> Thread:
    """Return the thread with one step's memory order taken away."""
    kept = dict(thread)
    if kept[step].kind == "fence":
        del kept[step]
    else:
        kept[step] = replace(kept[step], order="relaxed")
    return tuple(kept.values())


def swapped(thread: dict[str, Operation], one: str, other: str) -> Thread:
    order = {one: other, other: one}
    return tuple(thread[order.get(step, step)] for step in thread)


def test_a_reader_never_accepts_a_torn_value() -> None:
    assert torn(tuple(WRITER.values()), tuple(READER.values())) == []


def test_a_reader_does_accept_the_old_and_the_new_value() -> None:
    ends = outcomes((tuple(WRITER.values()), tuple(READER.values())), BEGIN)
    assert {e["got0"] for e in ends if accepted(e)} == {"old", "new"}
    assert not all(map(accepted, ends))


@pytest.mark.parametrize("step", ["move the tail", "fence after the tail", "publish"])
def test_each_memory_order_of_the_writer_is_needed(step: str) -> None:
    assert torn(weakened(WRITER, step), tuple(READER.values()))


@pytest.mark.parametrize(
    "step", ["load the tail", "load the slot", "fence before the check"]
)
def test_each_memory_order_of_the_reader_is_needed(step: str) -> None:
    assert torn(tuple(WRITER.values()), weakened(READER, step))


def test_the_slot_is_cleared_before_the_tail_moves() -> None:
    writer = swapped(WRITER, "clear the slot", "move the tail")
    assert torn(writer, tuple(READER.values()))


def test_the_tail_is_loaded_before_the_slot() -> None:
    reader = swapped(READER, "load the tail", "load the slot")
    assert torn(tuple(WRITER.values()), reader)


def test_the_check_comes_after_the_copy() -> None:
    steps = list(READER.values())
    assert torn(tuple(WRITER.values()), (*steps[:2], *steps[4:], *steps[2:4]))
