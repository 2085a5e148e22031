"""What a tier answers: the operations, beside a client that knows of none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from support import MakeCache
from tier_support import LIMIT, MakeTier, settle

from fastmmap.redis import RedisTier
from fastmmap.waiting import Patience, pause


def asked(client: Any) -> int:
    """Return how many keys the server was asked for."""
    stats = client.info("commandstats")
    return int(stats.get("cmdstat_get", {}).get("calls", 0))


def test_a_value_is_read_from_the_server_once(tier: RedisTier, client: Any) -> None:
    client.set("app:a", b"\x80\x04K\x05.")  # a pickle
    settle(tier)
    before = asked(client)
    assert [tier.get("app:a") for _ in range(3)] == [5, 5, 5]
    assert asked(client) == before + 1


def test_a_missing_key_is_asked_for_once(tier: RedisTier, client: Any) -> None:
    before = asked(client)
    assert [tier.get("app:none", 7) for _ in range(3)] == [7, 7, 7]
    assert asked(client) == before + 1
    client.set("app:none", 1)
    settle(tier)
    assert tier.get("app:none") == 1


def test_other_prefixes_are_not_kept(tier: RedisTier, client: Any) -> None:
    tier.set("other", "x")
    settle(tier)
    before = asked(client)
    assert [tier.get("other"), tier.get("other")] == ["x", "x"]
    assert asked(client) == before + 2


def test_none_is_a_value(tier: RedisTier) -> None:
    tier.set("app:a", None)
    assert [tier.get("app:a", 1), tier.get("app:a", 1)] == [None, None]


def test_str_and_bytes_are_one_key(tier: RedisTier, client: Any) -> None:
    tier.set(b"app:\xff", "x")
    assert tier.get(b"app:\xff") == tier.get("app:\udcff") == "x"
    client.delete(b"app:\xff")
    settle(tier)
    assert tier.get(b"app:\xff") is tier.get("app:\udcff") is None


@pytest.mark.parametrize("value", [1, -(2**70), True, 1.5, "x", b"x", [1, {"a": None}]])
def test_values_come_back_as_they_were(tier: RedisTier, value: Any) -> None:
    assert tier.set("app:a", value)
    read = [tier.get("app:a"), tier.get("app:a")]
    assert read == [value, value]
    assert {type(one) for one in read} == {type(value)}


def test_an_own_write_is_read_at_once(tier: RedisTier) -> None:
    for number in range(200):
        tier.set("app:a", number)
        assert tier.get("app:a") == number


def test_a_write_elsewhere_is_seen(tier: RedisTier, client: Any) -> None:
    for number in range(20):
        client.set("app:a", number)
        settle(tier)
        assert tier.get("app:a") == number


def test_get_many(tier: RedisTier) -> None:
    assert tier.set_many({"app:a": 1, b"app:b": 2, "other": 3, "app:n": None})
    wanted = ["app:a", b"app:b", "other", "app:n", "app:none"]
    expected = {"app:a": 1, b"app:b": 2, "other": 3, "app:n": None}
    assert tier.get_many(wanted) == tier.get_many(wanted) == expected
    assert tier.get_many([]) == {}


def test_get_many_answers_for_both_forms_of_a_key(tier: RedisTier) -> None:
    tier.set("app:a", 1)
    wanted: list[str | bytes] = ["app:a", b"app:a"]
    for _ in range(2):  # by the server, then by this host
        assert tier.get_many(wanted) == {"app:a": 1, b"app:a": 1}


def test_add_stores_only_what_is_not_there(tier: RedisTier) -> None:
    assert tier.add("app:a", 1) and not tier.add("app:a", 2)
    assert tier.get("app:a") == 1


def test_delete_tells_how_many_there_were(tier: RedisTier) -> None:
    tier.set_many({"app:a": 1, "app:b": 2})
    assert tier.get("app:a") == 1
    assert tier.delete("app:a", "app:b", "app:c") == 2
    assert tier.delete() == 0
    assert tier.get("app:a") is None


def test_incr_counts_on_the_server(tier: RedisTier, client: Any) -> None:
    assert tier.incr("app:n", 2) == 2
    assert tier.incr("app:n", -5) == tier.get("app:n") == -3
    assert client.get("app:n") == b"-3"
    assert tier.incr("app:m", initial=10, ttl=60) == 11
    assert 59_000 < client.pttl("app:m") <= 60_000
    assert tier.incr("app:m", ttl=600) == 12
    assert client.pttl("app:m") <= 60_000


def test_a_new_counter_that_is_over_at_once_is_not_kept(
    tier: RedisTier, client: Any
) -> None:
    assert tier.incr("app:n", 2, ttl="now") == 2
    assert client.pttl("app:n") != -1  # -1: for ever
    with Patience(LIMIT) as patience:
        while client.exists("app:n"):
            pause(patience.delay() or pytest.fail("the counter is kept"))
    tier.set("app:n", 5)
    assert tier.incr("app:n", ttl="now") == 6
    assert client.get("app:n") == b"6" and client.pttl("app:n") == -1


def test_touch_changes_the_lifetime(tier: RedisTier, client: Any) -> None:
    tier.set("app:a", 1, ttl=60)
    assert tier.touch("app:a", "never") and client.pttl("app:a") == -1
    assert tier.touch("app:a", "never")
    assert tier.touch("app:a", 5) and client.pttl("app:a") <= 5000
    assert tier.touch("app:a", "now") and tier.get("app:a") is None
    assert not tier.touch("app:a", 5) and not tier.touch("app:a", "never")


def test_lifetimes_end_on_this_host_too(tier: RedisTier, client: Any) -> None:
    """The server says nothing before it looks at an expired key."""
    client.set("app:a", 1, px=60_000)
    settle(tier)
    assert tier.get("app:a") == 1
    ttl = tier._values.ttl("app:a")
    assert ttl is not None and 59 < ttl <= 60


def test_the_default_lifetime_is_that_of_the_server(
    make_tier: MakeTier, client: Any
) -> None:
    tier = make_tier(default_ttl="1m")
    tier.set("app:a", 1)
    tier.set("app:b", 1, ttl="never")
    assert 59_000 < client.pttl("app:a") <= 60_000 and client.pttl("app:b") == -1


def test_get_or_set_stores_on_the_server(tier: RedisTier, client: Any) -> None:
    assert tier.get_or_set("app:a", lambda: 5, ttl=60) == 5
    assert tier.get_or_set("app:a", lambda: 6) == 5
    assert client.get("app:a") == b"5" and client.pttl("app:a") > 59_000
    assert tier.get_or_set("app:b", 7) == tier.get("app:b") == 7


def test_memoize_keeps_results_on_the_server(tier: RedisTier, client: Any) -> None:
    calls: list[int] = []

    @tier.memoize(60, name="double")
    def double(number: int) -> int:
        calls.append(number)
        return 2 * number

    assert [double(4), double(4), double(number=4)] == [8, 8, 8]
    assert calls == [4]
    key = double.cache_key(4)  # type: ignore[attr-defined]  # added by memoize()
    assert client.get(key) == b"8"
    assert double.invalidate(4)  # type: ignore[attr-defined]  # the same
    assert double(4) == 8 and calls == [4, 4]


def test_get_or_set_refuses_what_must_be_awaited(tier: RedisTier, client: Any) -> None:
    async def compute() -> int:
        return 5

    with pytest.raises(TypeError, match="must be awaited"):
        tier.get_or_set("app:a", compute)
    assert not client.exists("app:a")
    assert tier.get_or_set("app:a", lambda: 5) == 5


def test_memoize_refuses_functions_without_a_plain_result(tier: RedisTier) -> None:
    async def awaited() -> int:
        return 5

    def generator() -> Iterator[int]:
        yield 5

    with pytest.raises(TypeError, match="AsyncRedisTier"):
        tier.memoize()(awaited)
    with pytest.raises(TypeError, match="is a generator"):
        tier.memoize()(generator)


@pytest.mark.parametrize("serializer", ["raw", "json", "msgpack"])
def test_other_serializers(make_tier: MakeTier, serializer: str, client: Any) -> None:
    tier = make_tier(cache={"serializer": serializer})
    value: Any = b"x" if serializer == "raw" else [1, "x"]
    tier.set("app:a", value)
    assert [tier.get("app:a"), tier.get("app:a")] == [value, value]
    assert tier.get("app:none") is tier.get("app:none") is None


def test_counting_needs_a_serializer_that_writes_digits(make_tier: MakeTier) -> None:
    with pytest.raises(TypeError, match="serializers"):
        make_tier(serializer="msgpack", live=False).incr("app:a")


def test_two_sets_of_prefixes_share_nothing(
    make_tier: MakeTier, make_cache: MakeCache, client: Any
) -> None:
    one, other = make_tier(), make_tier(prefixes=("app:", "web:"))
    client.set("app:a", 1)
    settle(one)
    settle(other)
    assert one.get("app:a") == other.get("app:a") == 1
    one._values.clear()
    assert "app:a" in other._values and "app:a" not in one._values


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prefixes": ()}, "there is none"),
        ({"prefixes": ("a", "ab")}, "begins with"),
        ({"max_lag": 0}, "max_lag"),
        ({"max_lag": float("nan")}, "max_lag"),
        ({"retry_after": -1}, "retry_after"),
        ({"retry_after": float("nan")}, "retry_after"),
        ({"on_down": "wait"}, "on_down"),
        ({"default_ttl": -1}, "lifetime"),
    ],
)
def test_options_out_of_range_are_refused(
    make_tier: MakeTier, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_tier(live=False, **options)


@pytest.mark.parametrize("name", ["max_lag", "retry_after"])
@pytest.mark.parametrize("value", ["1s", True, None])
def test_seconds_are_numbers(make_tier: MakeTier, name: str, value: object) -> None:
    with pytest.raises(TypeError, match=f"{name} is .*expected seconds"):
        make_tier(live=False, **{name: value})


def test_a_client_that_decodes_is_refused(make_tier: MakeTier, server: Any) -> None:
    with pytest.raises(ValueError, match="decode_responses"):
        make_tier(server.client(decode_responses=True), live=False)


def test_a_key_of_another_type_is_refused(tier: RedisTier) -> None:
    with pytest.raises(TypeError, match="str or bytes"):
        tier.get(5)  # type: ignore[arg-type]  # wrong on purpose
