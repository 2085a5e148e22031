"""Serializers: by name, by pair, recorded in the file."""

from __future__ import annotations

import inspect
import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support import MakeCache

from fastmmap import FastMmap, FormatError
from fastmmap.options import use_options

PLAIN = {"a": [1, 2.5, "text", None, True], "b": {"c": "ü"}}


@pytest.mark.quick
@pytest.mark.parametrize("name", ["pickle", "json", "msgpack"])
def test_plain_data_survives_every_serializer(make_cache: MakeCache, name: str) -> None:
    cache = make_cache(serializer=name)
    assert cache.serializer == name
    cache.set("key", PLAIN)
    assert cache.get("key") == PLAIN


@pytest.mark.parametrize("raw", ["raw", "", None])
def test_raw_has_three_spellings(make_cache: MakeCache, raw: str | None) -> None:
    cache = make_cache(serializer=raw)
    assert cache.serializer == "raw"
    cache.set("key", bytearray(b"x"))
    assert cache.get("key") == b"x"


def test_raw_values_is_the_older_spelling(make_cache: MakeCache) -> None:
    assert make_cache(raw_values=True).serializer == "raw"


def test_raw_values_false_means_pickle(make_cache: MakeCache) -> None:
    assert make_cache(raw_values=False).serializer == "pickle"


def test_raw_values_against_a_serializer_is_a_value_error(path: str) -> None:
    with pytest.raises(ValueError, match="raw_values"):
        FastMmap(path, raw_values=True, serializer="json")
    assert not Path(path).exists()


def test_pickle_is_the_default(cache: FastMmap) -> None:
    assert cache.serializer == "pickle"


def test_a_pair_of_functions_serializes(make_cache: MakeCache) -> None:
    cache = make_cache(
        serializer=(lambda value: repr(value).encode(), lambda data: eval(data))
    )
    cache.set("key", (1, "two"))
    assert cache.get("key") == (1, "two")


def test_a_file_remembers_its_serializer(make_cache: MakeCache) -> None:
    first = make_cache(serializer="json", unlink_on_exit=False)
    first.set("key", PLAIN)
    first.close()
    second = make_cache()
    assert second.serializer == "json"
    assert second.get("key") == PLAIN


@pytest.mark.quick
def test_another_serializer_than_the_file_has_is_a_format_error(
    cache: FastMmap, path: str
) -> None:
    cache.set("key", 1)
    with pytest.raises(FormatError) as caught:
        FastMmap(path, serializer="json")
    assert "json" in str(caught.value) and "pickle" in str(caught.value)
    assert path in str(caught.value)
    assert cache.get("key") == 1


def test_a_file_of_custom_functions_needs_them_again(make_cache: MakeCache) -> None:
    pair = (pickle.dumps, pickle.loads)
    first = make_cache(serializer=pair, unlink_on_exit=False)
    first.set("key", [1])
    with pytest.raises(FormatError, match="serializer"):
        make_cache()
    assert make_cache(serializer=pair).get("key") == [1]


@pytest.mark.parametrize(
    "serializer",
    ["yaml", "PICKLE", 1, (), (repr,), (repr, None), (repr, repr, repr)],
    ids=repr,
)
def test_an_unknown_serializer_is_refused(path: str, serializer: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="serializer"):
        FastMmap(path, serializer=serializer)
    assert not Path(path).exists()


def test_a_missing_package_is_an_import_error_that_names_it(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "msgpack", None)
    with pytest.raises(ImportError, match="msgpack"):
        FastMmap(path, serializer="msgpack")
    assert not Path(path).exists()


def test_what_json_cannot_say_raises_and_the_old_value_stays(
    make_cache: MakeCache,
) -> None:
    cache = make_cache(serializer="json")
    cache.set("key", "old")
    with pytest.raises(TypeError):
        cache.set("key", {1, 2})
    assert cache.get("key") == "old"


def test_dumps_must_return_bytes(make_cache: MakeCache) -> None:
    cache = make_cache(serializer=(lambda value: 1.5, lambda data: data))
    with pytest.raises(TypeError):
        cache.set("key", ["value"])
    assert "key" not in cache


def test_errors_of_custom_functions_come_out_unchanged(one_page: FastMmap) -> None:
    error = OSError("mine")

    def fail(value: object) -> bytes:
        raise error

    with FastMmap(page_size="64k", num_pages=1, serializer=(fail, fail)) as cache:
        with pytest.raises(OSError) as caught:
            cache.set("key", ["value"])
        assert caught.value is error
        assert cache.incr("n") == 1


class Gone:
    """A class of which pickles are made, and which then disappears."""


@pytest.mark.quick
def test_a_pickle_of_a_class_that_is_gone_says_so_and_is_not_lost(
    cache: FastMmap, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.set("key", Gone())
    with monkeypatch.context() as patch:
        patch.delattr(sys.modules[__name__], "Gone")
        with pytest.raises(AttributeError, match="Gone"):
            cache.get("key")
        assert "key" in cache
    assert isinstance(cache.get("key"), Gone)


def test_a_broken_pickle_raises_and_can_be_replaced(make_cache: MakeCache) -> None:
    broken = make_cache(serializer=(lambda value: b"\x80\x05broken", pickle.loads))
    broken.set("key", ["value"])
    with pytest.raises(pickle.UnpicklingError):
        broken.get("key")
    assert broken.remove("key") is True
    assert broken.get("key") is None


class Hostile:
    """A value whose unpickling uses the cache it comes from."""

    cache: FastMmap | None = None

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Hostile.read, ("other",))

    @staticmethod
    def read(key: str) -> object:
        assert Hostile.cache is not None
        return Hostile.cache.get(key)


def test_unpickling_may_use_the_cache(one_page: FastMmap) -> None:
    Hostile.cache = one_page
    one_page.set("other", "found")
    one_page.set("key", Hostile())
    assert one_page.get("key") == "found"
    assert list(one_page.get_many(["key"]).values()) == ["found"]
    Hostile.cache = None


@dataclass
class Unread:
    """The bytes of a value that was not unpickled."""

    data: bytes


def test_functions_given_to_a_pickle_file_take_the_place_of_pickle(
    make_cache: MakeCache,
) -> None:
    cache = make_cache()
    cache["object"], cache["text"] = PLAIN, "text"
    given = inspect.unwrap(FastMmap.__init__).__kwdefaults__  # type: ignore[misc]
    looker = make_cache()
    looker._configure(
        lambda value: value.data, Unread, None, None, **use_options(given)
    )
    unread = looker["object"]
    assert pickle.loads(unread.data) == PLAIN
    assert looker["text"] == "text"
    looker["copy"], looker["int"] = unread, 5
    assert cache["copy"] == PLAIN
    assert cache["int"] == 5
