"""What docs/deployment.rst says, tried where the system lets us."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import MakeCache, Scenario, heard, say

from fastmmap import FastMmap

MIB = 1 << 20
#: A mount namespace of its own, in which a shell command runs first.
MOUNTS = ["unshare", "--mount", "sh", "-c", '{} && exec "$@"', "sh"]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def mounting(command: str) -> list[str]:
    """Return the prefix of a program that sees a mount which others do not."""
    prefix = [word.format(command) for word in MOUNTS]
    if shutil.which("unshare") is None or subprocess.call(
        [*prefix, "true"], stderr=subprocess.DEVNULL
    ):
        pytest.skip("cannot be shown here: `unshare --mount` is not permitted")
    return prefix


def in_mount(command: str, scenario: Any, *arguments: object) -> Any:
    with Scenario(scenario, *arguments, prefix=mounting(command)) as running:
        return running.result()


# -------------------------------------------------------------------- sizes


def open_two(first: str, second: str, size: str) -> list[object]:
    """Open two caches of a size; return what happened to the second."""
    with FastMmap(first, cache_size=size):
        try:
            FastMmap(second, cache_size=size, init_file=True).close()
        except OSError as error:
            return [error.errno, os.path.exists(second)]
    return [0, True]


def test_docker_has_room_for_one_cache_of_40_mib_and_none_for_two(
    tmp_path: Path,
) -> None:
    tmpfs = f"mount -t tmpfs -o size=64m none {tmp_path}"
    first, second = f"{tmp_path}/first", f"{tmp_path}/second"
    assert in_mount(tmpfs, open_two, first, second, "40m") == [errno.ENOSPC, False]
    assert in_mount(tmpfs, open_two, first, second, "24m") == [0, True]


def test_replacing_a_file_takes_room_for_two(tmp_path: Path) -> None:
    tmpfs = f"mount -t tmpfs -o size=64m none {tmp_path}"
    path = f"{tmp_path}/cache"
    assert in_mount(tmpfs, open_two, path, path, "40m") == [errno.ENOSPC, True]
    assert in_mount(tmpfs, open_two, path, path, "24m") == [0, True]


def test_the_file_takes_its_space_when_it_is_made(cache: FastMmap, path: str) -> None:
    # The table of clients takes space as clients come.
    assert os.stat(path).st_blocks * 512 >= cache.cache_size


# ------------------------------------------------------------------ mounts


def make_and_tell(path: str) -> str:
    with FastMmap(path, cache_size="512k") as cache:
        cache["key"] = "of a service"
        return str(cache["key"])


def test_a_private_tmp_is_seen_by_its_service_alone(tmp_path: Path) -> None:
    private = f"mount -t tmpfs none {tmp_path}"
    path = f"{tmp_path}/cache"
    assert in_mount(private, make_and_tell, path) == "of a service"
    assert not os.path.exists(path)


def test_containers_with_a_volume_in_common_share_the_file(tmp_path: Path) -> None:
    volume, elsewhere = tmp_path / "volume", tmp_path / "elsewhere"
    volume.mkdir()
    elsewhere.mkdir()
    bound = f"mount --bind {volume} {elsewhere}"
    with FastMmap(volume / "cache", cache_size="512k") as cache:
        cache["key"] = "of the host"
        in_mount(bound, make_and_tell, f"{elsewhere}/cache")
        assert cache["key"] == "of a service"


# ------------------------------------------------------------------ systemd


@needs_root
def test_tmpfiles_spares_a_file_that_a_rule_excludes() -> None:
    if shutil.which("systemd-tmpfiles") is None:
        pytest.skip("there is no systemd-tmpfiles")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        rules = Path(folder, "rules.conf")
        files = Path(folder, "files")
        files.mkdir()
        rules.write_text(f"d {files} 0700 root root 0\nx {files}/site.cache\n")
        Path(files, "other").touch()
        with FastMmap(files / "site.cache", cache_size="512k"):
            subprocess.run(["systemd-tmpfiles", "--clean", str(rules)], check=True)
            assert os.listdir(files) == ["site.cache"]


def test_a_file_that_was_removed_is_made_again_and_found(
    make_cache: MakeCache, path: str
) -> None:
    """As RemoveIPC does when the last session of the user ends."""
    worker = make_cache()
    worker["key"] = "before"
    os.unlink(path)
    assert worker["key"] == "before"
    make_cache()["key"] = "after"
    time.sleep(1.1)
    assert worker["key"] == "after"


# ------------------------------------------------------------------- memory


def memory_of_children(path: str, count: int) -> list[list[int]]:
    """Return the memory of workers who have read all of a cache."""
    with contextlib.ExitStack() as all_of_them:
        cache = all_of_them.enter_context(FastMmap(path, cache_size="32m"))
        cache.set_many({str(number): bytes(10_000) for number in range(2400)})
        workers = [
            all_of_them.enter_context(Scenario(read_all, path)) for _ in range(count)
        ]
        assert all(worker.hear() == "read" for worker in workers)
        return [memory_of(worker.process.pid) for worker in workers]


def read_all(path: str) -> None:
    cache = FastMmap(path)
    assert sum(len(value) for value in cache.values()) > 20 * MIB
    say("read")
    heard()


def memory_of(pid: int) -> list[int]:
    """Return RSS, Pss, and what of RSS is on tmpfs, in KiB."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        fields = dict(line.split(":", 1) for line in file.readlines()[1:])
    with open(f"/proc/{pid}/status") as file:
        fields.update(line.split(":", 1) for line in file)
    return [int(fields[name].split()[0]) for name in ("Rss", "Pss", "RssShmem")]


def test_rss_counts_the_cache_in_each_worker_and_pss_shares_it() -> None:
    if not os.path.exists("/proc/self/smaps_rollup"):
        pytest.skip("this kernel tells no Pss")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        found = memory_of_children(f"{folder}/cache", 4)
    assert all(rss > 22 * 1024 for rss, _, _ in found)
    assert all(shared > 22 * 1024 for _, _, shared in found)
    # Four workers and this process: each has a fifth of the cache.
    assert all(rss - pss > 15 * 1024 for rss, pss, _ in found)


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """Make a cgroup whose memory is counted."""
    roots = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    root = next(filter(Path.is_dir, roots), Path(os.devnull))
    made = root / f"fastmmap-{uuid.uuid4().hex}"
    try:
        made.mkdir()
    except OSError:
        pytest.skip("no cgroup can be made here")
    try:
        if usage_file(made) is None:
            pytest.skip("memory is not counted in that cgroup")
        yield made
    finally:
        made.rmdir()


def usage_file(cgroup: Path) -> Path | None:
    names = "memory.usage_in_bytes", "memory.current"
    return next((cgroup / name for name in names if (cgroup / name).exists()), None)


def test_who_makes_the_file_is_charged_and_stays_so(cgroup: Path) -> None:
    usage = usage_file(cgroup)
    assert usage is not None
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        path = f"{folder}/cache"
        join = f"echo $$ > {cgroup}/cgroup.procs"
        prefix = ["sh", "-c", f'{join} && exec "$@"', "sh"]
        with Scenario(make_large, path, prefix=prefix) as maker:
            assert maker.result()
        assert int(usage.read_text()) > 30 * MIB
        with FastMmap(path) as cache:  # another attaches, and pays nothing
            assert cache.get("key") is None
        os.unlink(path)
        assert int(usage.read_text()) < 30 * MIB


def make_large(path: str) -> bool:
    FastMmap(path, cache_size="32m").close()
    return os.path.exists(path)


# --------------------------------------------------------------------- cron


@pytest.mark.usefixtures("nobody")
def test_cron_as_root_uses_the_cache_as_the_user_of_the_site(shared_path: str) -> None:
    if shutil.which("setpriv") is None:
        pytest.skip("there is no setpriv")
    FastMmap(shared_path, cache_size="512k").close()
    os.chown(shared_path, 65534, 65534)
    job = f"import fastmmap; fastmmap.FastMmap({shared_path!r})['key'] = 1"
    python = [sys.executable, "-W", "ignore", "-c", job]
    assert subprocess.run(python, stderr=subprocess.PIPE).returncode != 0
    as_user = "setpriv --reuid=65534 --regid=65534 --clear-groups".split()
    assert subprocess.run([*as_user, *python]).returncode == 0
