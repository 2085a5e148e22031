"""The tree of exceptions, and messages that help."""

from __future__ import annotations

import pytest

import fastmmap
from fastmmap import FastMmap


@pytest.mark.quick
@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (fastmmap.FormatError, ValueError),
        (fastmmap.VersionError, fastmmap.FormatError),
        (fastmmap.CorruptError, Exception),
        (fastmmap.LockError, RuntimeError),
        (fastmmap.LockTimeout, TimeoutError),
        (fastmmap.ClosedError, ValueError),
    ],
)
def test_each_error_is_an_error_and_a_builtin_one(
    error: type[Exception], builtin: type[Exception]
) -> None:
    assert issubclass(error, fastmmap.Error)
    assert issubclass(error, builtin)
    assert error.__doc__
    assert error.__module__.startswith("fastmmap")


def test_the_base_is_a_plain_exception() -> None:
    assert issubclass(fastmmap.Error, Exception)
    assert not issubclass(fastmmap.Error, (ValueError, OSError, RuntimeError))


def test_a_missing_directory_is_the_systems_own_error(tmp_path: object) -> None:
    path = f"{tmp_path}/nowhere/cache"
    with pytest.raises(FileNotFoundError) as caught:
        FastMmap(path)
    assert caught.value.filename == path
    assert caught.value.errno


def test_a_closed_error_names_the_file(cache: FastMmap, path: str) -> None:
    cache.close()
    with pytest.raises(fastmmap.ClosedError, match=r"cache\.fmm"):
        cache.get("key")


def test_a_lock_error_says_what_to_do(one_page: FastMmap) -> None:
    with one_page.lock("key"), pytest.raises(fastmmap.LockError) as caught:
        one_page.get("other")
    assert len(str(caught.value)) > 20
    assert one_page.share_file in str(caught.value)
