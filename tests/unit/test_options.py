"""The constructor: defaults, attributes, and what it refuses."""

from __future__ import annotations

import inspect
import os
import re
from pathlib import Path
from typing import Any

import pytest
from support import MakeCache

from fastmmap import FastMmap, FormatError, _core
from fastmmap.options import OPTIONS, Phase

#: What the package says to the core by itself.
#: ``lock_timeout`` is one of use; opening with ``init_file`` waits as long, too.
_OWN_WORDS = {
    "path",
    "only_whole",
    "serializer",
    "compressor",
    "serializer_follows",
    "compressor_follows",
    "must_exist",
    "renew_old",
    "inspect",
    "lock_timeout_ms",
}


@pytest.mark.quick
def test_the_defaults_are_those_of_the_contract(path: str) -> None:
    with FastMmap(path) as cache:
        assert cache.share_file == path
        assert cache.serializer == "pickle"
        assert cache.compressor is None
        assert not cache.expire_time
        assert cache.closed is False
        assert 16 << 20 <= cache.cache_size < 17 << 20


@pytest.mark.parametrize(
    "name",
    [
        "share_file",
        "cache_size",
        "page_size",
        "num_pages",
        "serializer",
        "compressor",
        "expire_time",
        "closed",
    ],
)
def test_attributes_are_read_only(cache: FastMmap, name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(cache, name, None)
    with pytest.raises(AttributeError):
        delattr(cache, name)


def test_share_file_may_be_any_kind_of_path(tmp_path: Path) -> None:
    paths: list[Any] = [
        str(tmp_path / "a"),
        os.fsencode(tmp_path / "b"),
        tmp_path / "c",
    ]
    for number, given in enumerate(paths):
        with FastMmap(given, cache_size="512k") as cache:
            cache.set("key", number)
            assert os.path.exists(given)
            assert cache.share_file == os.fsdecode(given)


def test_a_path_that_is_no_utf_8_works(tmp_path: Path) -> None:
    given = os.fsencode(tmp_path) + b"/\xff\xfe"
    with FastMmap(given, cache_size="512k") as cache:
        assert cache.set("key", 1)
        assert os.path.exists(given)


def test_a_relative_path_stays_right_when_the_directory_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with FastMmap("relative", cache_size="512k") as cache:
        monkeypatch.chdir("/")
        assert cache.share_file == str(tmp_path / "relative")
    assert (tmp_path / "relative").exists()


def test_options_but_the_path_are_named(path: str) -> None:
    with pytest.raises(TypeError):
        FastMmap(path, True)  # type: ignore[call-arg]  # on purpose


def test_an_unknown_option_is_a_type_error(path: str) -> None:
    with pytest.raises(TypeError, match="cash_size"):
        FastMmap(path, cash_size="1m")  # type: ignore[call-arg]  # on purpose


@pytest.mark.parametrize(
    ("option", "bad"),
    [
        ("permissions", -1),
        ("permissions", 0o10000),
        ("permissions", "rw"),
        ("lock_timeout", -1),
        ("lock_timeout", float("nan")),
        ("lock_timeout", "long"),
        ("expire_time", "12x"),
        ("tombstone_expire_time", -1),
        ("tombstone_expire_time", "12x"),
        ("write_action", None),
        ("write_action", "write-back"),
    ],
)
def test_a_bad_option_is_refused_by_name_and_makes_no_file(
    path: str, option: str, bad: Any
) -> None:
    with pytest.raises((ValueError, TypeError), match=option):
        FastMmap(path, **{option: bad})
    assert not os.path.exists(path)


@pytest.mark.quick
def test_a_file_keeps_its_geometry(make_cache: MakeCache) -> None:
    first = make_cache(page_size="16k", num_pages=5, start_slots=64)
    second = make_cache()
    assert (second.page_size, second.num_pages) == (16384, 5)
    assert second.cache_size == first.cache_size


@pytest.mark.quick
@pytest.mark.parametrize(
    ("option", "given", "found"),
    [
        ("page_size", "32k", "16384"),
        ("num_pages", 7, "5"),
        ("cache_size", "16m", None),
        ("start_slots", 128, "64"),
    ],
)
def test_an_option_that_disagrees_is_a_format_error_that_names_both(
    make_cache: MakeCache, path: str, option: str, given: Any, found: str | None
) -> None:
    cache = make_cache(page_size="16k", num_pages=5, start_slots=64)
    cache.set("key", 1)
    with pytest.raises(FormatError) as caught:
        FastMmap(path, **{option: given})
    message = str(caught.value)
    assert option in message and path in message
    assert found is None or found in message
    assert cache.get("key") == 1


@pytest.mark.parametrize(
    "same",
    [
        {"page_size": "16k"},
        {"page_size": 17000},
        {"num_pages": 5},
        {"start_slots": 64},
        {"page_size": 16384, "num_pages": 5},
        {"entry_size": 999},
    ],
    ids=str,
)
def test_an_option_that_agrees_is_fine(
    make_cache: MakeCache, path: str, same: dict[str, Any]
) -> None:
    make_cache(page_size="16k", num_pages=5, start_slots=64)
    with FastMmap(path, **same) as cache:
        assert cache.num_pages == 5


def test_a_cache_size_that_made_the_file_agrees_with_it(
    make_cache: MakeCache, path: str
) -> None:
    for size in ("512k", "3m", 1_000_000):
        make_cache(cache_size=size).close()
        first = make_cache(cache_size=size, unlink_on_exit=False)
        with FastMmap(path, cache_size=size) as second:
            assert second.cache_size == first.cache_size
        os.unlink(path)


@pytest.mark.quick
def test_init_file_starts_empty(make_cache: MakeCache) -> None:
    make_cache().set("key", 1)
    again = make_cache(init_file=True, cache_size="512k")
    assert len(again) == 0


def test_init_file_may_change_the_geometry(make_cache: MakeCache) -> None:
    make_cache(page_size="16k", num_pages=5)
    again = make_cache(init_file=True, page_size="64k", num_pages=3, serializer="json")
    assert (again.page_size, again.num_pages) == (65536, 3)
    assert again.serializer == "json"


def test_catch_deadlocks_and_lock_timeout_are_accepted(make_cache: MakeCache) -> None:
    assert make_cache(catch_deadlocks=True).set("key", 1)
    assert make_cache(lock_timeout=0).set("key", 1)
    assert make_cache(lock_timeout=2.5).set("key", 1)


@pytest.mark.parametrize("serializer", ["raw", "json", "msgpack"])
def test_allow_shared_goes_with_safe_values(
    make_cache: MakeCache, serializer: str
) -> None:
    assert make_cache(allow_shared=True, serializer=serializer).set("key", "value")


@pytest.mark.parametrize("serializer", ["pickle", (repr, eval)], ids=str)
def test_allow_shared_with_pickled_values_is_refused(
    path: str, serializer: Any
) -> None:
    with pytest.raises(ValueError, match="allow_shared"):
        FastMmap(path, allow_shared=True, serializer=serializer)
    assert not os.path.exists(path)


def test_allow_shared_is_refused_where_the_file_says_pickle(
    make_cache: MakeCache, path: str
) -> None:
    make_cache()
    with pytest.raises(ValueError, match="allow_shared"):
        FastMmap(path, allow_shared=True)


def test_repr_names_the_file(cache: FastMmap, path: str) -> None:
    assert "FastMmap" in repr(cache)
    assert path in repr(cache)


def test_a_subclass_keeps_working(path: str) -> None:
    class Sessions(FastMmap):
        extra = "attribute"

    with Sessions(path, cache_size="512k") as cache:
        cache["key"] = 1
        assert cache["key"] == 1
        assert cache.extra == "attribute"


# -------------------------------------------------------------------- the table


def named(*phases: Phase) -> list[str]:
    """Return what the core calls the options of some phases."""
    return [each.core for each in OPTIONS if each.core and each.phase in phases]


#: Spellings of options that only the page on Perl explains.
PERLS = {"catch_deadlocks", "compress", "raw_values"}
DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.quick
def test_an_option_of_the_signature_has_a_row_in_the_table_and_its_words() -> None:
    names = [each.name for each in OPTIONS]
    assert list(inspect.signature(FastMmap).parameters) == ["share_file", *names]
    words = inspect.getdoc(FastMmap) or ""
    errors = ["FormatError", "ImportError", "OSError"]
    described = re.findall(r"^    (\w+): ", words, re.MULTILINE)
    assert {*described, *PERLS} == {"share_file", *names, *errors}
    assert len(described) + len(PERLS) == 1 + len(names) + len(errors)
    page = (DOCS / "perl.rst").read_text("utf-8")
    assert all(f"``{name}=True``" in page for name in PERLS)


def test_the_options_come_in_groups() -> None:
    words = inspect.getdoc(FastMmap) or ""
    groups = ["File", "Size", "Values", "Lifetimes", "Callbacks", "Rare", "Raises"]
    assert re.findall(r"^(\w+):$", words, re.MULTILINE) == groups


def test_the_core_takes_by_name_what_the_table_hands_down() -> None:
    opening = set(inspect.signature(_core.Cache).parameters) - _OWN_WORDS
    assert sorted(named(Phase.MAKING, Phase.OPENING)) == sorted(opening)
    parameters = inspect.signature(_core.Cache._configure).parameters.values()
    use = [each.name for each in parameters if each.kind is each.KEYWORD_ONLY]
    assert sorted(named(Phase.USE)) == sorted(use)
    assert not named(Phase.VALUES, Phase.ENDING)


def test_a_misspelt_option_is_named(path: str) -> None:
    with pytest.raises(TypeError, match=r"FastMmap.__init__\(\) .* 'cachesize'"):
        FastMmap(path, cachesize=1)  # type: ignore[call-arg]  # on purpose
    assert not os.path.exists(path)
