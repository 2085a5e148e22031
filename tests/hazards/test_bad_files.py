"""Files that must not be opened: each its own clear error, and untouched."""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import MakeCache, run_scenario

from fastmmap import FastMmap, FormatError

# Where the fields of the header are, as docs/format tells.
VERSION_AT = 8
BYTE_ORDER_AT = 12
WORD_SIZE_AT = 16
PAGE_SIZE_AT = 32
NUM_PAGES_AT = 40
SERIALIZER_AT = 72
CHECKSUM_AT = 144


@pytest.fixture
def good(path: str) -> str:
    """Return the path of a sound file that holds one value."""
    with FastMmap(path, cache_size="512k", unlink_on_exit=False) as cache:
        cache.set("key", "value")
    return path


def patch(path: str, at: int, data: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(data)


def refused(path: str, **options: object) -> str:
    """Expect a FormatError that names the file; return its message."""
    before = Path(path).read_bytes()
    with pytest.raises(FormatError) as caught:
        FastMmap(path, **options)  # type: ignore[arg-type]  # any option
    assert Path(path).read_bytes() == before
    assert path in str(caught.value)
    return str(caught.value)


@pytest.mark.quick
@pytest.mark.parametrize(
    "content",
    [
        b"x",
        b"text that somebody needs\n" * 1000,
        b"\x00" * 8192,
        b"\x89FMM\r\n\x1a\n",
        b"\x89FMM\r\n\x1a\n" + b"\xff" * 8192,
        b"\x89FMM\r\n\x1a\n" + b"\x00" * 4088,
    ],
    ids=["tiny", "text", "zeros", "magic", "magic and noise", "magic and zeros"],
)
def test_a_file_that_is_not_ours_is_refused_and_kept(path: str, content: bytes) -> None:
    Path(path).write_bytes(content)
    assert "cache" in refused(path)


def test_an_empty_file_is_refused_or_becomes_a_cache(path: str) -> None:
    """tempfile.NamedTemporaryFile makes such: both answers lose nothing."""
    Path(path).touch(mode=0o600)
    try:
        with FastMmap(path, cache_size="512k") as cache:
            assert cache.set("key", 1)
    except FormatError as error:
        assert path in str(error)
        assert os.path.getsize(path) == 0


@pytest.mark.quick
def test_another_version_is_named(good: str) -> None:
    patch(good, VERSION_AT, struct.pack("<I", 99))
    message = refused(good)
    assert "version is 99, expected 10" in message


def test_another_byte_order_is_another_machine(good: str) -> None:
    patch(good, BYTE_ORDER_AT, struct.pack(">I", 0x01020304))
    assert "byte order" in refused(good)


def test_another_word_size_is_another_machine(good: str) -> None:
    patch(good, WORD_SIZE_AT, struct.pack("<I", 16))
    assert "word" in refused(good)


@pytest.mark.parametrize(
    ("at", "data"),
    [
        (PAGE_SIZE_AT, struct.pack("<Q", 2**40)),
        (NUM_PAGES_AT, struct.pack("<I", 0)),
        (NUM_PAGES_AT, struct.pack("<I", 2**32 - 1)),
        (SERIALIZER_AT, b"yaml" + bytes(28)),
        (SERIALIZER_AT, b"\xff" * 32),
        (CHECKSUM_AT, b"\xff" * 8),
    ],
    ids=["page size", "no pages", "many pages", "serializer", "noise", "checksum"],
)
def test_a_damaged_header_is_refused(good: str, at: int, data: bytes) -> None:
    patch(good, at, data)
    assert "header" in refused(good)


def test_every_byte_of_the_header_may_be_wrong(good: str) -> None:
    content = Path(good).read_bytes()
    for at in range(CHECKSUM_AT + 8):
        damaged = bytearray(content)
        damaged[at] ^= 0x5A
        Path(good).write_bytes(damaged)
        refused(good)
    Path(good).write_bytes(content)
    with FastMmap(good) as cache:
        assert cache.get("key") == "value"


@pytest.mark.parametrize("length", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(good: str, length: float) -> None:
    os.truncate(good, int(os.path.getsize(good) * length))
    assert "size" in refused(good) or "truncated" in refused(good)


def test_a_file_that_grew_is_refused(good: str) -> None:
    with open(good, "ab") as file:
        file.write(b"more")
    assert "size" in refused(good)


def test_init_file_does_not_destroy_a_file_that_is_no_cache(path: str) -> None:
    Path(path).write_text("somebody's thesis")
    with pytest.raises(FormatError):
        FastMmap(path, init_file=True, cache_size="512k")
    assert Path(path).read_text() == "somebody's thesis"


def test_init_file_replaces_a_damaged_cache(good: str) -> None:
    patch(good, PAGE_SIZE_AT, struct.pack("<Q", 2**40))
    with FastMmap(good, init_file=True, cache_size="512k") as cache:
        assert len(cache) == 0


@pytest.mark.quick
def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught:
        FastMmap(tmp_path)
    assert caught.value.filename == str(tmp_path)
    assert caught.value.errno


@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero", "/dev/full"])
def test_a_device_is_refused(device: str) -> None:
    with pytest.raises((OSError, FormatError), match=device):
        FastMmap(device)


def make_fifo(path: str) -> None:
    os.mkfifo(path, 0o600)


def make_socket(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)


def open_special(path: str) -> str:
    try:
        FastMmap(path)
    except (OSError, FormatError) as error:
        return str(error)
    return "opened"


@pytest.mark.parametrize("make", [make_fifo, make_socket])
def test_a_pipe_or_socket_is_refused_without_waiting(
    path: str, make: Callable[[str], None]
) -> None:
    make(path)
    assert path in run_scenario(open_special, path, timeout=20)


@pytest.mark.quick
def test_a_missing_directory_is_file_not_found(tmp_path: Path) -> None:
    path = str(tmp_path / "nowhere" / "cache")
    with pytest.raises(FileNotFoundError) as caught:
        FastMmap(path)
    assert caught.value.filename == path


def test_a_file_in_the_way_of_a_directory(path: str) -> None:
    Path(path).touch()
    with pytest.raises(NotADirectoryError) as caught:
        FastMmap(path + "/cache")
    assert caught.value.filename == path + "/cache"


def test_too_long_a_name(tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught:
        FastMmap(tmp_path / ("n" * 300))
    assert caught.value.errno


@pytest.mark.parametrize("path", ["", "with\x00zero"], ids=["empty", "zero"])
def test_an_impossible_path_is_a_value_error(path: str) -> None:
    with pytest.raises(ValueError):
        FastMmap(path)


@pytest.mark.parametrize("path", [1, 1.5, ["a"], Ellipsis], ids=repr)
def test_a_path_of_another_type_is_a_type_error(path: Any) -> None:
    with pytest.raises(TypeError):
        FastMmap(path)


def test_a_symbolic_link_is_not_followed(good: str, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(good)
    with pytest.raises(OSError) as caught:
        FastMmap(link)
    assert (caught.value.errno, caught.value.filename) == (errno.ELOOP, str(link))


def test_a_dangling_link_makes_no_file(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to(target)
    with pytest.raises((OSError, FormatError)):
        FastMmap(link, cache_size="512k")
    assert not target.exists()


@pytest.mark.quick
@pytest.mark.parametrize("mode", [0o602, 0o620, 0o666])
def test_a_file_that_others_may_write_is_refused(good: str, mode: int) -> None:
    os.chmod(good, mode)
    with pytest.raises((FormatError, PermissionError)) as caught:
        FastMmap(good)
    assert good in str(caught.value)
    assert "allow_shared" in str(caught.value) or "chmod" in str(caught.value)
    assert stat.S_IMODE(os.stat(good).st_mode) == mode
    os.chmod(good, 0o600)
    with FastMmap(good) as cache:
        assert cache.get("key") == "value"


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o644])
def test_a_file_that_others_may_read_is_fine(good: str, mode: int) -> None:
    os.chmod(good, mode)
    with FastMmap(good) as cache:
        assert cache.get("key") == "value"


def test_a_shared_file_of_safe_values_is_opened_when_allowed(
    make_cache: MakeCache, path: str
) -> None:
    make_cache(serializer="json").set("key", ["value"])
    os.chmod(path, 0o666)
    with pytest.raises((FormatError, PermissionError)):
        FastMmap(path)
    with FastMmap(path, allow_shared=True) as cache:
        assert cache.get("key") == ["value"]


def open_as_nobody(path: str) -> list[object]:
    """Open a file as a user who owns nothing here."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    try:
        FastMmap(path)
    except OSError as error:
        return [type(error).__name__, error.filename]
    return ["opened", None]


@pytest.mark.usefixtures("without_rights")
def test_no_permission_is_a_permission_error(good: str) -> None:
    os.chmod(good, 0o000)
    assert run_scenario(open_as_nobody, good) == ["PermissionError", good]


@pytest.mark.usefixtures("without_rights")
def test_no_permission_on_the_directory_is_a_permission_error(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    path = str(folder / "cache")
    assert run_scenario(open_as_nobody, path) == ["PermissionError", path]


def another_users_file(path: str) -> str:
    """Return a file that is not ours: made so when root, else one of root's."""
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
        return path
    return "/etc/passwd"


@pytest.mark.quick
def test_a_file_of_another_user_is_refused(good: str) -> None:
    path = another_users_file(good)
    with pytest.raises((FormatError, PermissionError)) as caught:
        FastMmap(path)
    assert path in str(caught.value)


def test_a_file_of_another_user_is_opened_when_allowed(
    make_cache: MakeCache, path: str
) -> None:
    make_cache(serializer="raw", permissions=0o666, allow_shared=True).set("key", b"v")
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
    with FastMmap(path, allow_shared=True) as cache:
        assert cache.get("key") == b"v"
