"""The names that a file may be given."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fastmmap import FastMmap


@pytest.mark.parametrize(
    "name", ["plain", b"bytes", Path("pathlike"), b"caf\xe9", os.fsdecode(b"caf\xe9 2")]
)
def test_a_path_is_str_bytes_or_pathlike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with FastMmap(name, cache_size="64k") as cache:
        cache.set("key", 1)
        assert cache.share_file == os.path.join(tmp_path, os.fsdecode(name))
    assert os.path.exists(name)
    with FastMmap(name) as cache:
        assert cache.get("key") == 1


@pytest.mark.parametrize("name", ["~/a cache", b"~/a cache", Path("~/a cache")])
def test_a_path_may_begin_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with FastMmap(name, cache_size="64k") as cache:
        assert cache.share_file == f"{tmp_path}/a cache"


def test_a_relative_path_is_of_the_directory_at_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path)
    with FastMmap("cache", cache_size="64k", unlink_on_exit=True) as cache:
        monkeypatch.chdir(tmp_path / "below")
        with FastMmap(cache.share_file) as again:
            again.set("key", 1)
        assert cache.get("key") == 1
    assert os.listdir(tmp_path) == ["below"]


@pytest.mark.parametrize("name", ["missing/", "there/", "there"])
def test_a_directory_is_no_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(IsADirectoryError):
        FastMmap(f"{tmp_path}/{name}", cache_size="64k")
    assert os.listdir(tmp_path) == ["there"]


def test_a_link_is_refused_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with pytest.raises(OSError, match="symbolic link"):
        FastMmap(tmp_path / "link", cache_size="64k")


def test_a_file_in_a_directory_that_is_a_link_is_fine(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    with FastMmap(tmp_path / "link" / "cache", cache_size="64k") as cache:
        assert cache.set("key", 1)
    assert os.listdir(tmp_path / "there") == ["cache"]


def test_an_empty_file_becomes_a_new_cache(path: str) -> None:
    Path(path).touch(mode=0o600)
    with FastMmap(path, cache_size="64k") as cache:
        cache.set("key", 1)
    with FastMmap(path) as cache:
        assert cache.get("key") == 1


def test_a_null_character_is_a_value_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="null"):
        FastMmap(f"{tmp_path}/a\0b", cache_size="64k")


@pytest.mark.parametrize("name", ["TMPDIR", "HOME"])
def test_a_change_of_the_environment_moves_no_open_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with FastMmap(cache_size="64k") as first:
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))
        with FastMmap(cache_size="64k") as second:
            assert os.path.dirname(first.share_file) == os.path.dirname(
                second.share_file
            )
        assert first.set("key", 1)
    assert not os.path.exists(first.share_file)
