"""close(), `with` and the end of an object."""

from __future__ import annotations

import gc
import os
import weakref

import pytest
from support import OPERATIONS, MakeCache

from fastmmap import ClosedError, FastMmap


def open_descriptors(path: str) -> int:
    """Count this process's descriptors of a file."""
    count = 0
    for number in os.listdir("/proc/self/fd"):
        try:
            count += os.path.samefile(f"/proc/self/fd/{number}", path)
        except OSError:
            continue
    return count


def is_mapped(path: str) -> bool:
    """Tell whether this process maps a file, by its inode."""
    inode = str(os.stat(path).st_ino)
    with open("/proc/self/maps") as maps:
        return any(line.split()[4] == inode for line in maps)


@pytest.mark.quick
def test_with_closes_the_cache(path: str) -> None:
    with FastMmap(path) as cache:
        assert cache.closed is False
    assert cache.closed is True


def test_close_twice_is_fine(cache: FastMmap) -> None:
    cache.close()
    cache.close()
    assert cache.closed


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_any_use_of_a_closed_cache_is_a_closed_error(
    cache: FastMmap, name: str
) -> None:
    cache.close()
    with pytest.raises(ClosedError, match="clos"):
        OPERATIONS[name](cache)


def test_a_closed_cache_still_tells_its_path(cache: FastMmap, path: str) -> None:
    cache.close()
    assert cache.share_file == path
    assert path in repr(cache)


@pytest.mark.quick
def test_close_gives_map_and_descriptor_back(path: str) -> None:
    cache = FastMmap(path, cache_size="512k", unlink_on_exit=False)
    cache.set("key", 1)
    assert is_mapped(path)
    assert open_descriptors(path) > 0
    cache.close()
    assert not is_mapped(path)
    assert open_descriptors(path) == 0


def test_a_forgotten_object_gives_map_and_descriptor_back(path: str) -> None:
    cache = FastMmap(path, cache_size="512k", unlink_on_exit=False)
    reference = weakref.ref(cache)
    del cache
    gc.collect()
    assert reference() is None
    assert not is_mapped(path)


def test_a_cycle_through_callbacks_is_collected(path: str) -> None:
    class Owner:
        def __init__(self) -> None:
            self.cache = FastMmap(
                path,
                cache_size="512k",
                unlink_on_exit=True,
                context=self,
                read_cb=self.read,
            )

        def read(self, context: object, key: object) -> None:
            return None

    owner = Owner()
    owner.cache.get("key")
    reference = weakref.ref(owner)
    del owner
    gc.collect()
    assert reference() is None
    assert not os.path.exists(path)


def test_a_failed_open_leaves_no_descriptor(path: str) -> None:
    with open(path, "wb") as file:
        file.write(b"not a cache" * 1000)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with pytest.raises(ValueError):
            FastMmap(path)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("options", [{}, {"unlink_on_exit": False}])
def test_a_file_that_was_named_stays(path: str, options: dict[str, bool]) -> None:
    with FastMmap(path, cache_size="512k", **options) as cache:
        cache.set("key", 1)
    with FastMmap(path) as cache:
        assert cache.get("key") == 1
    assert os.path.exists(path)


def test_unlink_on_exit_can_be_asked_for(make_cache: MakeCache, path: str) -> None:
    make_cache(unlink_on_exit=False)
    with FastMmap(path, unlink_on_exit=True):
        pass
    assert not os.path.exists(path)


def test_close_does_not_unlink_another_file_of_that_name(path: str) -> None:
    cache = FastMmap(path, cache_size="512k", unlink_on_exit=True)
    os.unlink(path)
    with open(path, "w") as file:
        file.write("somebody else's")
    cache.close()
    assert os.path.exists(path)


@pytest.mark.parametrize("end", ["close", "collection"])
def test_empty_on_exit_writes_back(path: str, end: str) -> None:
    written: dict[object, object] = {}
    cache = FastMmap(
        path,
        cache_size="512k",
        empty_on_exit=True,
        unlink_on_exit=False,
        write_action="write_back",
        write_cb=lambda context, key, value, expire_on: written.update({key: value}),
    )
    cache.set("key", 1)
    if end == "close":
        cache.close()
    else:
        del cache
        gc.collect()
    assert written == {"key": 1}
    with FastMmap(path) as again:
        assert len(again) == 0


def test_values_stay_in_the_file_without_empty_on_exit(make_cache: MakeCache) -> None:
    make_cache(unlink_on_exit=False).set("key", 1)
    assert make_cache().get("key") == 1


def test_close_inside_a_lock_is_refused_or_harmless(one_page: FastMmap) -> None:
    one_page.set("key", "old")
    with pytest.raises((RuntimeError, ValueError)), one_page.lock("key") as item:
        item.value = "new"
        one_page.close()
        item.value = "newer"
