"""Words of other caches: the error names the right one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fastmmap import FastMmap, words

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.quick
@pytest.mark.parametrize(("word", "right"), words.METHODS.items())
def test_a_method_of_another_cache_names_that_of_this_one(
    cache: FastMmap, word: str, right: str
) -> None:
    for thing in (cache, cache.namespace("a"), FastMmap):
        with pytest.raises(AttributeError) as caught:
            getattr(thing, word)
        assert str(caught.value).endswith(f"has no {word!r}: here that is {right}")
        assert not hasattr(thing, word)
    assert word not in dir(cache)


@pytest.mark.parametrize("right", words.METHODS.values())
def test_what_an_error_names_is_there(cache: FastMmap, right: str) -> None:
    for call in right.split(" or "):
        name = call.split("(")[0].split()[-1]
        assert name == "cache," or callable(getattr(cache, name))


def test_a_subclass_may_have_such_a_method(path: str) -> None:
    class Mine(FastMmap):
        def delete(self, key: str) -> bool:
            return self.remove(key)

    with Mine(path, cache_size="64k") as cache:
        cache["key"] = 1
        assert cache.delete("key") is True


def test_other_names_are_missing_as_ever(cache: FastMmap) -> None:
    with pytest.raises(AttributeError, match=r"object has no attribute 'nothing'$"):
        cache.nothing  # type: ignore[attr-defined]  # noqa: B018  (on purpose)


@pytest.mark.quick
@pytest.mark.parametrize(("word", "right"), words.KEYWORDS.items())
def test_an_argument_of_another_cache_names_that_of_this_one(
    cache: FastMmap, word: str, right: str
) -> None:
    calls: list[Any] = [
        lambda: cache.set("key", 1, **{word: 60}),
        lambda: cache.namespace("a").add("key", 1, **{word: 60}),
        lambda: FastMmap(cache.share_file, **{word: 60}),
    ]
    if word != "timeout":  # which is another thing there
        calls.append(lambda: cache.memoize(**{word: 60}))  # type: ignore[call-overload]
    for call in calls:
        with pytest.raises(TypeError) as caught:
            call()
        told = f"got an unexpected keyword argument {word!r}: here that is {right}"
        assert str(caught.value).endswith(told)
    assert len(cache) == 0


def test_other_arguments_are_unexpected_as_ever(cache: FastMmap) -> None:
    for call in (cache.get_entry, cache.memoize):
        with pytest.raises(TypeError, match=r"unexpected keyword argument 'other'$"):
            call(other=1)  # type: ignore[call-overload, call-arg]


def test_the_docs_show_the_table() -> None:
    text = (DOCS / "moving" / "index.rst").read_text("utf-8")
    rows = [line.split("``") for line in text.splitlines() if line.startswith("``")]
    shown = {row[1].rstrip("()="): row[3] for row in rows if len(row) > 3}
    for word, right in {**words.METHODS, **words.KEYWORDS}.items():
        assert right.startswith(shown[word]), word


@pytest.mark.parametrize("word", ["cache_sise", "cachesize", "expiretime"])
def test_a_mistyped_option_names_the_right_one(cache: FastMmap, word: str) -> None:
    right = "expire_time" if word == "expiretime" else "cache_size"
    with pytest.raises(TypeError, match=rf"{word}': did you mean {right}=\?$"):
        FastMmap(cache.share_file, **{word: 60})  # type: ignore[arg-type]


def test_an_option_like_no_other_is_only_unexpected(cache: FastMmap) -> None:
    with pytest.raises(TypeError, match=r"keyword argument 'colour'$"):
        FastMmap(cache.share_file, colour=1)  # type: ignore[call-arg]
