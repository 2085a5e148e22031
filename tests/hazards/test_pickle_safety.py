"""What is unpickled: a private copy, from a file that only we can write."""

from __future__ import annotations

import mmap
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from header import SERIALIZER_AT, rewrite_header
from support import MakeCache, run_scenario

from fastmmap import CorruptError, FastMmap

TEXT = "x" * 5000

# What a pickled value does while it is being loaded; one test at a time.
meanwhile: list[Callable[[], object]] = []
ran: list[str] = []


def act() -> str:
    for action in meanwhile:
        action()
    return "loaded"


def explode() -> None:
    ran.append("boom")


class Acting:
    """Its loading runs `act()`, before what follows it is read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return act, ()


class Bomb:
    """Whoever unpickles it runs code."""

    def __reduce__(self) -> tuple[Any, ...]:
        return explode, ()


def spoil(path: str) -> None:
    """Overwrite every byte of the file but the header and control blocks."""
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as data:
        data[8192:] = b"\xa5" * (len(data) - 8192)


@pytest.fixture(autouse=True)
def nothing_yet() -> None:
    meanwhile.clear()
    ran.clear()


def test_a_file_spoilt_while_a_value_is_loaded_does_not_change_it(
    cache: FastMmap, path: str
) -> None:
    cache.set("key", [Acting(), TEXT])
    meanwhile.append(lambda: spoil(path))
    assert cache.get("key") == ["loaded", TEXT]
    assert Path(path).read_bytes().count(b"\xa5") > 400_000


def test_a_value_overwritten_while_it_is_loaded_is_the_old_one(
    one_page: FastMmap,
) -> None:
    def overwrite() -> None:
        for number in range(200):
            one_page.set("key", str(number) * 2000)

    one_page.set("key", [Acting(), TEXT])
    meanwhile.append(overwrite)
    assert one_page.get("key") == ["loaded", TEXT]
    assert one_page.get("key") == "199" * 2000


READERS: dict[str, Callable[[FastMmap], object]] = {
    "get": lambda cache: cache.get("key"),
    "get_many": lambda cache: cache.get_many(["key"]),
    "get_entry": lambda cache: cache.get_entry("key"),
    "get_and_set": lambda cache: cache.get_and_set("key", lambda *_: "new"),
    "get_and_remove": lambda cache: cache.get_and_remove("key"),
    "items": lambda cache: list(cache.items()),
    "get_keys": lambda cache: cache.get_keys(2),
    "multi_get": lambda cache: cache.multi_get("key", ["key"]),
}


@pytest.mark.parametrize("name", READERS)
def test_loads_is_given_bytes_of_its_own(
    make_cache: MakeCache, path: str, name: str
) -> None:
    given: list[object] = []

    def loads(data: object) -> object:
        given.append(data)
        spoil(path)
        return data

    cache = make_cache(serializer=(str.encode, loads))
    if name == "multi_get":
        cache.multi_set("key", {"key": TEXT})
    else:
        cache.set("key", TEXT)
    READERS[name](cache)
    assert given == [TEXT.encode()]
    assert type(given[0]) is bytes


def entry_type_at(path: str) -> int:
    """Return where the file has the type of the only entry."""
    data = Path(path).read_bytes()
    value_at = data.index(b"the key") // 8 * 8
    return value_at - 32 + 6


@pytest.mark.parametrize("serializer", ["raw", "json", "msgpack"])
def test_no_type_of_a_value_makes_another_serializer_unpickle(
    make_cache: MakeCache, path: str, serializer: str
) -> None:
    bomb = pickle.dumps(Bomb())
    writer = make_cache(serializer="raw", unlink_on_exit=False)
    writer.set("the key", bomb)
    at = entry_type_at(path)
    assert Path(path).read_bytes()[at] == 2  # bytes, see docs/format
    if serializer != "raw":
        writer.close()
        rewrite_header(path, SERIALIZER_AT, serializer.encode().ljust(32, b"\0"))
    reader = make_cache(allow_shared=True)
    assert reader.serializer == serializer
    for kind in range(256):
        with open(path, "r+b") as file:
            file.seek(at)
            file.write(bytes([kind]))
        try:
            reader.get("the key")
        except (CorruptError, ValueError):
            continue  # no value of that type
    assert ran == []


def test_the_bomb_of_these_tests_goes_off(cache: FastMmap) -> None:
    cache.set("key", Bomb())
    cache.get("key")
    assert ran == ["boom"]


# ----------------------------------------------------- who can write the file


def test_a_file_is_for_its_owner_only(cache: FastMmap) -> None:
    assert os.stat(cache.share_file).st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o660, 0o606, 0o666, 0o777])
def test_pickled_values_that_others_can_write_are_refused(
    make_cache: MakeCache, path: str, mode: int
) -> None:
    with make_cache(unlink_on_exit=False) as cache:
        cache.set("key", Bomb())
    os.chmod(path, mode)
    with pytest.raises(PermissionError):
        FastMmap(path)
    with pytest.raises(ValueError, match="allow_shared"):
        FastMmap(path, allow_shared=True)
    assert ran == []


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o660, 0o666, 0o777])
@pytest.mark.parametrize(
    "options", [{}, {"serializer": (pickle.dumps, pickle.loads)}], ids=["pickle", "own"]
)
def test_no_file_is_made_that_others_can_write_and_that_is_unpickled(
    path: str, mode: int, options: dict[str, Any]
) -> None:
    kept = oct(mode & ~0o022)
    with pytest.raises(ValueError, match=f"permissions=.*{kept}.*allow_shared"):
        FastMmap(path, cache_size="64k", permissions=mode, **options)
    with pytest.raises(ValueError, match="permissions"):
        FastMmap(path, cache_size="64k", permissions=mode, init_file=True, **options)
    assert not os.path.exists(path)


def test_no_mode_is_kept_for_a_file_that_is_made_again_later(path: str) -> None:
    """An object makes its file again when it was replaced, and then removed."""
    with (
        FastMmap(path, cache_size="64k"),
        pytest.raises(ValueError, match="permissions"),
    ):
        FastMmap(path, permissions=0o666)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o755])
def test_modes_that_let_others_read_only_are_as_asked_for(path: str, mode: int) -> None:
    with FastMmap(path, cache_size="64k", permissions=mode):
        assert os.stat(path).st_mode & 0o777 == mode


def test_others_may_write_values_that_run_no_code(path: str) -> None:
    options: dict[str, Any] = {"serializer": "json", "allow_shared": True}
    with FastMmap(path, cache_size="64k", permissions=0o666, **options) as cache:
        cache["key"] = {"a": 1}
        assert os.stat(path).st_mode & 0o777 == 0o666
        with FastMmap(path, permissions=0o666, allow_shared=True) as other:
            assert other["key"] == {"a": 1}


def test_a_safe_file_that_turns_to_pickle_is_refused(
    make_cache: MakeCache, path: str
) -> None:
    make_cache(serializer="json", allow_shared=True, unlink_on_exit=False).close()
    rewrite_header(path, SERIALIZER_AT, b"pickle".ljust(32, b"\0"))
    for options in ({}, {"serializer": "json"}):
        with pytest.raises(ValueError, match="pickle"):
            FastMmap(path, allow_shared=True, **options)  # type: ignore[arg-type]  # any


def test_the_serializer_is_the_one_of_the_opening(
    make_cache: MakeCache, path: str
) -> None:
    cache = make_cache(serializer="raw", allow_shared=True)
    cache.set("the key", pickle.dumps(Bomb()))
    with open(path, "r+b") as file:
        file.seek(SERIALIZER_AT)
        file.write(b"pickle".ljust(32, b"\0"))
    assert cache.get("the key") == pickle.dumps(Bomb())
    assert cache.serializer == "raw"
    assert ran == []


def test_a_file_made_writable_later_is_refused_from_then_on(
    cache: FastMmap, path: str
) -> None:
    cache.set("key", ["value"])
    copy = pickle.dumps(cache)
    os.chmod(path, 0o666)
    for again in (lambda: FastMmap(path), lambda: pickle.loads(copy)):
        with pytest.raises(PermissionError):
            again()
    # Modes are looked at when a file is opened; docs/security says so.
    assert cache.get("key") == ["value"]


def test_a_file_that_takes_its_place_is_looked_at_too(
    cache: FastMmap, path: str
) -> None:
    cache.set("key", ["value"])
    run_scenario(replace_by_a_public_one, path)
    with pytest.raises(PermissionError, match="writable by others"):
        cache.get("key")


def replace_by_a_public_one(path: str) -> None:
    """Replace the file as another program would."""
    FastMmap(path, cache_size="512k", init_file=True, unlink_on_exit=False).close()
    os.chmod(path, 0o666)
