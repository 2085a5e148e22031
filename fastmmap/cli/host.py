"""The caches of this host: mapped files, and those in the default directories.

Nothing else is searched. Processes that this user may not see are counted.
"""

import contextlib
import os
import pwd
import tempfile
import time
from collections.abc import Iterator
from glob import glob
from typing import NamedTuple, Optional

from fastmmap.cli.output import printable

MAGIC = b"\x89FMM\r\n\x1a\n"
_DIRECTORIES = ("/dev/shm",)
_PREFIX, _PRIVATE = "fastmmap-", ("private-", "kept-")


class Client(NamedTuple):
    """A process that has a cache file open."""

    pid: int
    user: str
    command: str
    since: float  #: when the process began, seconds since 1970

    def as_json(self) -> dict[str, object]:
        """Return it for machines."""
        return self._asdict()


class Place(NamedTuple):
    """A cache file, and who has it open."""

    path: str
    clients: list[Client]
    reason: str = ""  #: why it cannot be opened by its path


class Survey(NamedTuple):
    """The caches found on this host."""

    places: list[Place]
    hidden: int  #: processes that this user may not look at

    def remark(self) -> str:
        """Say what is not shown; "" where all is."""
        if not self.hidden:
            return ""
        noun = "process" if self.hidden == 1 else "processes"
        return f"{self.hidden} {noun} of other users could not be inspected"


def survey() -> Survey:
    """Find the cache files of this host, in use or in the default places."""
    mapped, hidden = _mapped_files()
    places: dict[str, Place] = {}
    for file in [*mapped.values(), *map(File, _default_files())]:
        place = file.place()
        if place is not None:
            places.setdefault(place.path, place)
    return Survey([places[path] for path in sorted(places)], hidden)


def only_open() -> str:
    """Return the path of the one cache that a process of this host has open.

    Raises ValueError, which names them, when there are none or several.
    """
    found = [place for place in survey().places if place.clients and not place.reason]
    if len(found) == 1:
        return found[0].path
    if not found:
        raise ValueError(
            "no process on this host has a cache open: give the path of a file"
        )
    names = ", ".join(printable(place.path) for place in found)
    raise ValueError(f"several caches are open: name one of {names}")


# ------------------------------------------------------------------- processes

_PROC = "/proc"  # not on every system
_DELETED = " (deleted)"
#: The device as /proc writes it, which need not be that of stat(), and the inode.
_Identity = tuple[bytes, int]


class File:
    """A file that may be a cache: what the maps call it, and who has it."""

    def __init__(self, path: str, inode: int = 0) -> None:
        self.path = path
        self.inode = inode or _inode(path)
        self.clients: list[Client] = []

    def name(self) -> Optional[str]:
        """Return a path that it has by now; None: it has none, or not here.

        The maps of the process that made a cache call it by no name: it was made
        without one.
        """
        if not self.path.endswith(_DELETED):
            return self.path if _inode(self.path) == self.inode else None
        folder = os.path.dirname(self.path)
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.inode() == self.inode:
                    return entry.path
        return None

    def place(self) -> Optional[Place]:
        """Return its description; None when it is not a cache."""
        name = self.name()
        if name is not None:
            return Place(name, self.clients) if _magic(name) == MAGIC else None
        for client in self.clients:
            # It may be in another root, such as that of a container.
            if _magic(f"/proc/{client.pid}/root{self.path}") == MAGIC:
                return Place(self.path, self.clients, "not reachable by that path")
        return None


def _mapped_files() -> tuple[dict[_Identity, File], int]:
    """Return the files that processes map, and how many processes were hidden."""
    found: dict[_Identity, File] = {}
    hidden = 0
    for pid in glob("[0-9]*", root_dir=_PROC):
        try:
            mapped = dict(_mapped(pid))
            client = _client(int(pid)) if mapped else None
        except PermissionError:
            hidden += 1
        except (FileNotFoundError, ProcessLookupError):
            pass  # it ended just now
        else:
            for identity, path in mapped.items():
                file = found.setdefault(identity, File(path, identity[1]))
                if not path.endswith(_DELETED):
                    file.path = path
                if client is not None:
                    file.clients.append(client)
    return found, hidden


def _mapped(pid: str) -> Iterator[tuple[_Identity, str]]:
    """Yield the files that a process shares and may write."""
    with open(f"/proc/{pid}/maps", "rb") as maps:
        for line in maps:
            _, rights, _, device, inode, *path = line.rstrip(b"\n").split(maxsplit=5)
            if rights == b"rw-s" and path and path[0].startswith(b"/"):
                yield (device, int(inode)), _unescaped(path[0])


def _unescaped(path: bytes) -> str:
    r"""Return the path of a map, where a newline is ``\012``."""
    return os.fsdecode(path.replace(b"\\012", b"\n"))


def _client(pid: int) -> Client:
    try:
        user = pwd.getpwuid(os.stat(f"/proc/{pid}").st_uid).pw_name
    except KeyError:
        user = str(os.stat(f"/proc/{pid}").st_uid)
    return Client(pid, user, _command(pid), _began(pid))


def _command(pid: int) -> str:
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        words = file.read().rstrip(b"\0").split(b"\0")
    return os.fsdecode(b" ".join(words))


def _began(pid: int) -> float:
    """Return when a process began, seconds since 1970."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        ticks = int(file.read().rpartition(b")")[2].split()[19])
    up = time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.time() - up + ticks / os.sysconf("SC_CLK_TCK")


# ----------------------------------------------------------------------- files


def _default_files() -> Iterator[str]:
    """Yield the files in the directories for caches without a name."""
    for base in {*_DIRECTORIES, tempfile.gettempdir()}:
        with contextlib.suppress(OSError), os.scandir(base) as entries:
            for entry in entries:
                if entry.name.startswith(_PREFIX):
                    yield from _files_in(entry.path)


def _files_in(directory: str) -> Iterator[str]:
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.startswith(_PRIVATE) and entry.is_file(follow_symlinks=False):
                yield entry.path


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def _magic(path: str) -> Optional[bytes]:
    """Return how a file begins; None when this user may not know."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(descriptor, len(MAGIC))
    except OSError:
        return None
    finally:
        os.close(descriptor)
