"""Leases on a weakly ordered machine, by exhaustive search; see memory.py.

The three words of a lease are read without a lock, and a lease is ended without
one while its entry is being moved. Each runs in every order that the memory
orders of the engine allow, and each of these is taken away once, to see that the
search notices.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from memory import Memory, Operation, Thread, fence, load, outcomes, store, swap

# ------------------------------------------------------- the words of a lease

WORDS: Memory = {"token": "old", "deadline": "old", "owner": "old"}

# fmm_entry_set_lease: a lease that is over is taken over.
TAKER: dict[str, Operation] = {
    "take the token away": store("token", "0", "release"),
    "fence after that": fence("release"),
    "store the deadline": store("deadline", "new"),
    "store the owner": store("owner", "new"),
    "store the token": store("token", "new", "release"),
}

# load_lease.
READER: dict[str, Operation] = {
    "load the token": load("token before", "token", "acquire"),
    "load the deadline": load("deadline read", "deadline"),
    "load the owner": load("owner read", "owner"),
    "fence before the check": fence("acquire"),
    "load the token again": load("token after", "token"),
}


def is_taken(end: Memory) -> bool:
    """Return whether the reader takes what it read for a lease."""
    before = end["token before"]
    return before != "0" and end.get("token after", before) == before


def mixed(taker: Thread, reader: Thread) -> list[Memory]:
    """Return the ends at which parts of two leases are taken for one."""
    return [
        end
        for end in outcomes((taker, reader), WORDS)
        if is_taken(end)
        and {end["deadline read"], end["owner read"]} != {end["token before"]}
    ]


def without(thread: dict[str, Operation], step: str) -> Thread:
    """Return the thread with one step's memory order taken away."""
    kept = dict(thread)
    if kept[step].kind == "fence":
        del kept[step]
    else:
        kept[step] = replace(kept[step], order="relaxed")
    return tuple(kept.values())


def test_the_words_that_are_read_are_those_of_one_lease() -> None:
    assert mixed(tuple(TAKER.values()), tuple(READER.values())) == []


def test_old_and_new_lease_are_both_read() -> None:
    ends = outcomes((tuple(TAKER.values()), tuple(READER.values())), WORDS)
    read = {e["token before"] for e in ends if e["token before"] == e["token after"]}
    assert read == {"old", "0", "new"}


def test_three_plain_loads_mix_two_leases() -> None:
    plain = (
        load("token before", "token"),
        load("deadline read", "deadline"),
        load("owner read", "owner"),
    )
    ends = mixed(tuple(TAKER.values()), plain)
    # A new token with an owner who is dead: the living one would be robbed.
    assert any(e["token before"] == "new" and e["owner read"] == "old" for e in ends)


@pytest.mark.parametrize("step", ["fence after that", "store the token"])
def test_each_memory_order_of_the_taker_is_needed(step: str) -> None:
    assert mixed(without(TAKER, step), tuple(READER.values()))


@pytest.mark.parametrize("step", ["load the token", "fence before the check"])
def test_each_memory_order_of_the_reader_is_needed(step: str) -> None:
    assert mixed(tuple(TAKER.values()), without(READER, step))


# -------------------------------------------- a lease that ends while it moves

PLACES: Memory = {"slot": "old", "token in old": "T", "token in new": "-"}

# tail_copy, fmm_entry_follow_lease.
MOVER: dict[str, Operation] = {
    "read the token": load("copied", "token in old"),
    "write the copy": store("token in new", source="copied"),
    "name the copy": store("slot", "new", "release"),
    "fence after that": fence("full"),
    "look at the old token": load("seen", "token in old"),
    "end the copy's lease": store("token in new", "0", only=("seen", "0")),
}


def end_where(look: str) -> dict[str, Operation]:
    """Return the steps that take the token away where a look at the slot led."""
    return {
        f"{look} at the slot": load(look, "slot", "acquire"),
        f"{look}: end the old": swap("token in old", "T", "0", (look, "old")),
        f"{look}: end the new": swap("token in new", "T", "0", (look, "new")),
    }


# end_unlocked: two rounds of its loop.
ENDER: dict[str, Operation] = {
    **end_where("first look"),
    "fence between the looks": fence("full"),
    **end_where("second look"),
}


def left(mover: Thread, ender: Thread) -> list[Memory]:
    """Return the ends at which the lease is still there."""
    ends = outcomes((mover, ender), PLACES)
    return [end for end in ends if end["token in new"] == "T"]


def test_a_lease_that_is_moved_meanwhile_ends() -> None:
    assert left(tuple(MOVER.values()), tuple(ENDER.values())) == []


def test_one_look_is_not_enough() -> None:
    assert left(tuple(MOVER.values()), tuple(end_where("first look").values()))


def test_a_mover_that_is_killed_before_it_looks_again_brings_the_lease_back() -> None:
    # That is why a release without the page is confirmed later.
    assert left(tuple(MOVER.values())[:4], tuple(ENDER.values()))


def test_the_fence_of_the_mover_is_needed() -> None:
    assert left(without(MOVER, "fence after that"), tuple(ENDER.values()))


def test_the_fence_between_the_looks_is_needed() -> None:
    assert left(tuple(MOVER.values()), without(ENDER, "fence between the looks"))
