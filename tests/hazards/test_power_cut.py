"""A file on a disk after a power cut: what is torn goes, whoever opens it."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fastmmap import FastMmap, verify

SEALED_AT, BOOT_ID_AT = 136, 1024


def cut(path: Path, value: bytes) -> None:
    """Let the file be of another boot, and a value be torn."""
    data = bytearray(path.read_bytes())
    if not data[SEALED_AT]:
        pytest.skip("the files of tests are on tmpfs")
    data[BOOT_ID_AT : BOOT_ID_AT + 16] = b"another boot ..."
    data[data.index(value) + 5] ^= 1
    path.write_bytes(data)


@pytest.fixture
def torn(tmp_path: Path) -> Path:
    """Return a file with one value that is torn, and one that is whole."""
    path = tmp_path / "cache.fmm"
    with FastMmap(path, cache_size="256k") as cache:
        cache["torn"] = {"a": "value that is pickled"}
        cache["whole"] = {"a": "value like that"}
    cut(path, b"value that is pickled")
    return path


def test_a_torn_value_is_dropped_and_the_log_says_so(
    torn: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), FastMmap(torn) as cache:
        assert cache.get("torn") is None
        assert cache["whole"] == {"a": "value like that"}
    assert "1 entries were torn, and were dropped, 1 are whole" in caplog.text


def test_who_only_reads_is_refused_until_it_is_dropped(torn: Path) -> None:
    with pytest.raises(OSError, match="entries of it are torn") as info:
        FastMmap(torn, read_only=True)
    assert info.value.errno == errno.EBUSY
    FastMmap(torn).close()
    with FastMmap(torn, read_only=True) as cache:
        assert cache.get("torn") is None
        assert cache["whole"] == {"a": "value like that"}


def test_a_look_from_outside_leaves_out_what_is_torn_and_changes_nothing(
    torn: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = torn.read_bytes()
    cache = verify.open_file(str(torn))
    assert cache.get("torn") is None
    assert not cache.exists("torn") and cache.exists("whole")
    cache.close()
    assert torn.read_bytes() == before
    assert "1 entries were torn, and were left out, 1 are whole" in caplog.text


def test_check_tells_what_is_torn_and_repair_drops_it(torn: Path) -> None:
    found = verify.check_file(str(torn))
    assert (found.sound, found.torn, found.dropped) == (False, 1, False)
    assert "1 torn entries: whoever opens the file next" in found.as_text()
    found = verify.check_file(str(torn), repair=True)
    assert (found.sound, found.torn, found.dropped) == (True, 1, True)
    assert "1 torn entries: dropped" in found.as_text()
    found = verify.check_file(str(torn))
    assert (found.sound, found.torn) == (True, 0)


def read(path: str) -> FastMmap:
    return FastMmap(path, read_only=True)


@pytest.mark.parametrize("look", [verify.open_file, read])
def test_who_only_looks_after_a_boot_keeps_nobody_out(
    tmp_path: Path, look: Callable[[str], Any]
) -> None:
    path = str(tmp_path / "cache.fmm")
    with FastMmap(path, cache_size="256k") as cache:
        cache["key"] = "value"
    with open(path, "r+b") as file:
        file.seek(BOOT_ID_AT)
        file.write(b"another boot ...")
    with closing(look(path)) as looker:
        with FastMmap(path) as cache:
            assert cache["key"] == looker.get("key") == "value"
        with FastMmap(path, on_mismatch="replace", cache_size="512k") as cache:
            assert cache["key"] == looker.get("key") == "value"  # it stays, being read
