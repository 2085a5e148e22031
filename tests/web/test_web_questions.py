"""What the page is told of a cache, and what it may change there."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import Client
from support import MakeCache

from fastmmap import FastMmap
from fastmmap.sync import Lock
from fastmmap.web import Pages, history, walks, watched

pytestmark = pytest.mark.once

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "\x1b[2J\r\n\0",
    "\u202egnp.exe",
    "\udcff",
    b"\xff\0<b>",
    "",
    "x" * 5000,
]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing count as seen lately."""
    monkeypatch.setattr(history, "EVERY", 0)
    monkeypatch.setattr(walks, "PAUSE", 0)
    monkeypatch.setattr(walks, "FRESH", 0)
    monkeypatch.setattr(walks, "TIMES", 0)
    monkeypatch.setattr(watched, "_FRESH", 0)


def test_the_counters_and_their_history_are_told(
    client: Client, cache: FastMmap
) -> None:
    client.ask("live")
    cache["key"] = "value"
    cache.get("key")
    cache.get("nothing")
    live = client.ask("live").value
    assert live["stats"]["entries"] == 1
    assert (live["stats"]["reads"], live["stats"]["hits"]) == (2, 1)
    rows = live["rows"]
    assert [len(row) for row in rows] == [len(live["columns"])] * len(rows)
    assert client.ask("live", since=rows[-1][0]).value["rows"][0][0] > rows[-1][0]


def test_the_map_says_what_lives_and_who_holds_it(
    client: Client, cache: FastMmap
) -> None:
    cache.update({f"key {number}": b"x" * 500 for number in range(200)})
    with cache.lock("key 1"):
        told = client.ask("live").value
    cells = told["map"]["cells"]
    assert told["map"]["pages"] == cache.num_pages == len(cells)
    assert sum(cell[3] for cell in cells) == 200
    assert all(cell[0] + cell[1] + cell[2] <= 1000 for cell in cells)
    assert [cell[6] for cell in cells if cell[6]] == [[os.getpid()]]
    assert [one["pid"] for one in told["clients"]] == [os.getpid()]


def test_a_file_of_many_pages_is_told_in_few_cells(make_cache: MakeCache) -> None:
    cache = make_cache(page_size="4k", num_pages=1500)
    cache.update({f"key {number}": 1 for number in range(1000)})
    pages = Pages(cache)
    found = Client(pages).ask("live").value["map"]
    pages.close()
    assert found["per_cell"] == 3 and len(found["cells"]) == 500
    assert sum(cell[3] for cell in found["cells"]) == 1000


def test_the_contents_are_walked_over_and_told(client: Client, cache: FastMmap) -> None:
    for number in range(50):
        cache.set(f"user:{number}", b"x" * number, expire_time=1000 + number)
    cache.set("large", b"x" * 9000, tags=["tag"])
    for _ in range(3):
        cache.get("user:7")
    found = client.ask("contents").value
    assert found["done"] and found["seen"] == 51 and found["tagged"] == 1
    assert {group["prefix"] for group in found["prefixes"]} == {"user:", ""}
    assert sum(group["entries"] for group in found["sizes"]) == 51
    first = found["first"]
    assert first["size"][0]["key"] == "large"
    assert [record["key"] for record in first["credit"]] == ["user:7"]
    assert first["expiry"][0]["key"] == "user:0"
    assert len(first["expiry"]) == walks.LISTED


def test_a_long_walk_is_made_in_slices(
    client: Client, cache: FastMmap, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.update({f"key {number}": number for number in range(3000)})
    monkeypatch.setattr(walks, "SLICE", 1e-9)
    seen = [client.ask("contents").value for _ in range(5)]
    counts = [found["seen"] for found in seen]
    assert counts[0] == walks.AT_ONCE and counts == sorted(counts)
    assert not seen[0]["done"] and seen[-1]["done"]
    cache["another"] = 1
    assert client.ask("contents").value["done"]  # what is known stands meanwhile


def test_keys_are_searched_by_prefix_and_by_pattern(
    client: Client, cache: FastMmap
) -> None:
    cache.update({"user:1": 1, "user:22": "x" * 100, b"user:bytes": 3, "page:1": 4})
    cache.namespace("inner")["user:9"] = 1

    def keys(**parameters: Any) -> list[Any]:
        found = client.ask("keys", **parameters).value
        assert found["done"]
        return [record["key"] for record in found["records"]]

    assert keys(text="user:", sort="size")[0] == "user:22"
    assert {"base64": "dXNlcjpieXRlcw=="} in keys(text="user:")
    assert sorted(keys(text="*:1")) == ["page:1", "user:1"]
    assert keys(text="", namespace="inner") == ["user:9"]
    assert keys(text="nothing") == []


def test_a_search_without_an_order_ends_with_enough_keys(
    client: Client, cache: FastMmap
) -> None:
    cache.update({f"key {number}": number for number in range(3000)})
    found = client.ask("keys", text="key").value
    assert found["done"] and found["seen"] < 3000
    assert len(found["records"]) == walks.SEARCHED


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        ("two\nlines\x1b[2J", "text", "two\nlines\\x1b[2J"),
        (b"\xff<b>", "4 bytes", "b'\\xff<b>'"),
        (7, "int", "7"),
        (1 << 60000, "int", None),
        (1.5, "float", "1.5"),
        (None, "NoneType", "None"),
        ({"plain": [1]}, None, None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_of_plain_types_are_shown(
    client: Client, cache: FastMmap, value: object, kind: Any, text: Any
) -> None:
    cache["key"] = value
    found = client.ask("value", key='"key"').value
    assert kind is None or found["kind"] in (kind, "pickle")
    assert text is None or found["text"] in (text, f"<pickle, {found['size']} bytes>")


def test_json_is_shown_indented(make_cache: MakeCache) -> None:
    cache = make_cache(serializer="json")
    cache["key"] = {"<b>": [1, 2]}
    pages = Pages(cache)
    found = Client(pages).ask("value", key='"key"').value
    pages.close()
    assert found["kind"] == "json" and json.loads(found["text"]) == {"<b>": [1, 2]}
    assert "\n" in found["text"]


def test_a_long_value_is_cut(client: Client, cache: FastMmap) -> None:
    cache["key"] = "x" * 50_000
    found = client.ask("value", key='"key"').value
    assert not found["whole"] and len(found["text"]) < 50_000


@pytest.mark.parametrize("key", HOSTILE, ids=ascii)
def test_hostile_keys_are_told_as_harmless_text(
    client_of: Callable[..., Client], cache: FastMmap, key: Any
) -> None:
    client = client_of(write=True)
    cache[key] = 1
    (record,) = client.ask("contents").value["first"]["size"]
    assert record["shown"].isprintable()
    if record["key"] is None:
        return
    shown = client.ask("value", key=json.dumps(record["key"])).value
    assert shown["text"] == "1" and shown["key"] == record["key"]
    assert client.act("delete", key=record["key"]).value == {"done": True}
    assert key not in cache


def test_the_page_may_drop_what_it_is_told_to(
    client_of: Callable[..., Client], cache: FastMmap
) -> None:
    client = client_of(write=True)
    space = cache.namespace("outer").namespace("inner")
    cache.update(one=1, two=2)
    space["three"] = 3
    cache.set("four", 4, tags=["tag"])
    assert client.act("delete", key="one").value == {"done": True}
    assert client.act("delete", key="one").value == {"done": False}
    assert client.act("invalidate-tag", tag="tag").status == 200
    assert client.act("delete", key="three", namespace=["outer"]).value == {
        "done": False
    }
    assert sorted(cache) == ["two"] and list(space) == ["three"]
    assert client.act("clear-namespace", namespace=["outer"]).status == 200
    assert list(space) == []
    assert client.act("purge").value == {"done": True}  # what the tag had
    assert client.act("clear").value == {"done": True}
    assert len(cache) == 0


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("delete", {"key": 7}),
        ("delete", {"key": "k", "namespace": "text"}),
        ("clear-namespace", {"namespace": []}),
        ("invalidate-tag", {"tag": ""}),
    ],
)
def test_an_action_without_its_object_is_refused(
    client_of: Callable[..., Client], cache: FastMmap, name: str, what: Any
) -> None:
    cache["key"] = 1
    assert client_of(write=True).act(name, **what).status == 400
    assert cache["key"] == 1


def test_who_has_a_lock_is_told(client: Client, cache: FastMmap) -> None:
    with Lock(cache, "import"):
        told = client.ask("lock", lock="import").value
    assert told["lock"]["pid"] == os.getpid() and told["computing"] is None
    assert client.ask("lock", lock="import").value["lock"] is None


def test_another_file_of_that_name_is_looked_at(
    client: Client, cache: FastMmap, make_cache: MakeCache
) -> None:
    cache.update(one=1, two=2)
    assert client.ask("live").value["stats"]["entries"] == 2
    os.rename(cache.share_file, f"{cache.share_file}.old")
    make_cache(share_file=cache.share_file, cache_size="512k")["three"] = 3
    assert client.ask("live").value["stats"]["entries"] == 1


def test_a_file_that_is_gone_or_none_is_a_problem_and_no_more(
    client: Client, cache: FastMmap
) -> None:
    name = client.cache_id()
    os.unlink(cache.share_file)
    assert client.ask("live", cache=name).status == 503
    Path(cache.share_file).write_bytes(b"no cache" * 1000)
    assert client.ask("live", cache=name).status == 503
    listed = client.request("GET", "/api/caches")
    assert json.loads(listed.body)["caches"][0]["problem"]


def test_without_names_the_caches_of_the_host_are_found(cache: FastMmap) -> None:
    pages = Pages()
    answer = Client(pages).request("GET", "/api/caches")
    found = {one["path"]: one for one in json.loads(answer.body)["caches"]}
    pages.close()
    assert found[cache.share_file]["problem"] is None


@pytest.fixture
def writing(cache: FastMmap) -> Iterator[None]:
    """Let another thread change the cache all the time."""
    ended = threading.Event()

    def write() -> None:
        number = 0
        while not ended.is_set():
            cache[f"key {number % 5000}"] = b"x" * 200
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    yield
    ended.set()
    writer.join()


@pytest.mark.usefixtures("writing")
def test_many_may_look_at_once_while_others_write(client: Client) -> None:
    statuses: list[int] = []

    def look() -> None:
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            for name in ("live", "contents", "keys"):
                statuses.append(client.ask(name).status)

    lookers = [threading.Thread(target=look) for _ in range(4)]
    for looker in lookers:
        looker.start()
    for looker in lookers:
        looker.join()
    assert set(statuses) == {200}
