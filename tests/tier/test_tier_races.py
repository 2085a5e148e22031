"""What happens between two steps of a tier: each race, made to happen.

Each test fails when the protection that its name tells of is left out; the storm of
`race` finds the same without being told where to look.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from tier_support import MakeTier, settle

from fastmmap.redis import RedisTier, pulse
from fastmmap.redis.commands import Command
from fastmmap.redis.tracking import Tracking


def after_answer(tier: RedisTier, monkeypatch: Any, then: Callable[[], object]) -> None:
    """Let something happen between the server's next answer and its use."""
    execute = tier._execute

    def slowly(command: Command) -> Any:
        answer = execute(command)
        monkeypatch.setattr(tier, "_execute", execute)
        then()
        return answer

    monkeypatch.setattr(tier, "_execute", slowly)


def read_one(tier: RedisTier) -> Any:
    return tier.get("app:a")


def read_many(tier: RedisTier) -> Any:
    return tier.get_many(["app:a", "app:b"])["app:a"]


READS = pytest.mark.parametrize("read", [read_one, read_many])


@READS
def test_a_change_while_the_server_is_asked_keeps_the_answer_out(
    tier: RedisTier, client: Any, monkeypatch: Any, read: Callable[[RedisTier], Any]
) -> None:
    def change() -> None:
        client.set("app:a", 2)
        settle(tier)

    client.set("app:a", 1)
    settle(tier)
    after_answer(tier, monkeypatch, change)
    assert read(tier) == 1
    assert read(tier) == 2


@READS
def test_an_own_change_while_another_asks_keeps_the_answer_out(
    tier: RedisTier, client: Any, monkeypatch: Any, read: Callable[[RedisTier], Any]
) -> None:
    """Nothing is heard of it yet: it is the writer who forgets."""
    client.set("app:a", 1)
    settle(tier)
    monkeypatch.setattr(tier._listener, "_drop", lambda messages: None)
    after_answer(tier, monkeypatch, lambda: tier.set("app:a", 2))
    assert read(tier) == 1
    assert read(tier) == 2


@READS
def test_a_new_epoch_while_the_server_is_asked_keeps_the_answer_out(
    tier: RedisTier, client: Any, monkeypatch: Any, read: Callable[[RedisTier], Any]
) -> None:
    client.set("app:a", 1)
    settle(tier)
    after_answer(tier, monkeypatch, tier._listener._begin_epoch)
    assert read(tier) == 1
    assert "app:a" not in tier._values


@pytest.mark.parametrize("by_push", [False, True])
def test_a_change_is_seen_by_who_reads_before_the_server_has_it(
    tier: RedisTier, client: Any, monkeypatch: Any, by_push: bool
) -> None:
    """The cache forgets after the server knows, not before."""
    tier.set("app:a", 1)
    settle(tier)
    execute = tier._execute

    def read_first(command: Command) -> Any:
        monkeypatch.setattr(tier, "_execute", execute)
        assert tier.get("app:a") == 1
        answer = execute(command)
        if by_push:
            settle(tier)
        return answer

    monkeypatch.setattr(tier, "_execute", read_first)
    if not by_push:
        monkeypatch.setattr(tier._listener, "_drop", lambda messages: None)
    tier.set("app:a", 2)
    assert tier.get("app:a") == 2


def test_a_change_of_unknown_outcome_is_forgotten(
    tier: RedisTier, client: Any, monkeypatch: Any
) -> None:
    tier.set("app:a", 1)
    settle(tier)
    assert tier.get("app:a") == 1

    def fail(command: Command) -> Any:
        execute(command)
        raise tier._away[1]("no answer")

    execute = tier._execute
    monkeypatch.setattr(tier._listener, "_drop", lambda messages: None)
    monkeypatch.setattr(tier, "_execute", fail)
    with pytest.raises(tier._away):
        tier.set("app:a", 2)
    monkeypatch.setattr(tier, "_execute", execute)
    assert tier.get("app:a") == 2


def test_what_was_flushed_is_gone(tier: RedisTier, client: Any) -> None:
    tier.set("app:a", 1)
    settle(tier)
    assert tier.get("app:a") == 1
    client.flushall()
    settle(tier)
    assert tier.get("app:a") is None


def test_what_expires_on_the_server_is_dropped(tier: RedisTier, client: Any) -> None:
    client.set("app:a", 1, px=1)
    while client.get("app:a") is not None:
        pass
    settle(tier)
    assert tier.get("app:a") is None


def test_a_cut_connection_begins_a_new_epoch(tier: RedisTier, client: Any) -> None:
    """What changed while nobody listened is not told any more."""
    tier.set("app:a", 1)
    settle(tier)
    assert tier.get("app:a") == 1
    silent = threading.Event()
    begin = tier._listener._begin_epoch

    def begin_late() -> None:
        silent.wait(20)
        begin()

    tier._listener._begin_epoch = begin_late  # type: ignore[method-assign]  # made late on purpose
    cut(client)
    client.set("app:a", 2)
    silent.set()
    settle(tier)
    assert tier.get("app:a") == 2


def cut(client: Any) -> None:
    """End the connections of all listeners, and see that they are gone."""
    for one in client.client_list():
        if "t" in one["flags"]:
            client.client_kill_filter(_id=one["id"])


def test_the_epoch_begins_when_the_server_tells_of_changes(
    make_tier: MakeTier, client: Any, monkeypatch: Any
) -> None:
    """What is stored before that may be of a change that nobody heard of."""
    prove = Tracking._prove
    order: list[str] = []
    tier = make_tier(live=False)
    begin_epoch = tier._listener._begin_epoch
    monkeypatch.setattr(
        Tracking, "_prove", lambda *args: (prove(*args), order.append("told"))
    )
    monkeypatch.setattr(
        tier._listener, "_begin_epoch", lambda: (order.append("epoch"), begin_epoch())
    )
    assert tier.wait_until_live(20)
    assert order == ["told", "epoch"]


def test_nothing_is_believed_when_the_pulse_is_too_old(
    tier: RedisTier, client: Any, monkeypatch: Any
) -> None:
    tier.set("app:a", 1)
    settle(tier)
    assert tier.get("app:a") == 1
    monkeypatch.setattr(tier._listener, "_drop", lambda messages: None)
    monkeypatch.setattr(tier._listener, "_confirm", lambda asked: None)
    client.set("app:a", 2)
    assert tier.get("app:a") == 1  # nobody has told
    later = pulse.moment() + 2 * tier._pulse._max_lag
    for module in ("tier", "base"):
        monkeypatch.setattr(f"fastmmap.redis.{module}.moment", lambda: later)
    assert tier.get("app:a") == 2
    assert tier.get_many(["app:a"]) == {"app:a": 2}


def test_a_pulse_of_another_boot_is_none(tier: RedisTier, monkeypatch: Any) -> None:
    assert tier.live
    monkeypatch.setattr(tier._pulse, "_clock", "another")
    assert tier._pulse.until() == 0.0


def test_the_pulse_is_that_of_the_question(tier: RedisTier, monkeypatch: Any) -> None:
    """An answer says nothing of what came after the question."""
    beats: list[float] = []
    asked: list[float] = []
    done = threading.Event()
    ask = Tracking.ask

    def ask_and_note(self: Tracking) -> bytes:
        asked.append(pulse.moment())
        return ask(self)

    def beat(proven: float) -> None:
        beats.append(proven)
        done.set()

    monkeypatch.setattr(tier._listener._pulse, "beat", beat)
    monkeypatch.setattr(Tracking, "ask", ask_and_note)
    cut(tier._client)
    assert done.wait(20)
    assert beats[0] <= asked[0]


def test_what_was_told_is_dropped_before_the_pulse(
    tier: RedisTier, client: Any, monkeypatch: Any
) -> None:
    order: list[str] = []
    done = threading.Event()
    drop, confirm = tier._listener._drop, tier._listener._confirm

    def note_drop(messages: list[Any]) -> None:
        drop(messages)
        order.append("drop")

    def note_confirm(asked: float) -> None:
        confirm(asked)
        order.append("pulse")
        done.set()

    monkeypatch.setattr(tier._listener, "_drop", note_drop)
    monkeypatch.setattr(tier._listener, "_confirm", note_confirm)
    assert done.wait(20)
    assert order[-2:] == ["drop", "pulse"]
