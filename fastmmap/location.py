"""Where a cache without a name is, and how files of killed processes are removed.

A private file is in a directory of its user, mode 0700, on tmpfs if there is one.
Nobody else can put a file or a link in the way there.
"""

import os
import stat
from collections.abc import Iterator

from fastmmap import _core

_SHARED_MEMORY = "/dev/shm"
#: Swept when no process has it open; a file that is to stay is called "kept-".
_SWEPT = "private-"
_KEPT = "kept-"


def _is_ours(path: str) -> bool:
    """Tell whether `path` is a directory, no link, that only we can enter."""
    status = os.lstat(path)
    return (
        stat.S_ISDIR(status.st_mode)
        and status.st_uid == os.geteuid()
        and stat.S_IMODE(status.st_mode) & 0o077 == 0
    )


def _bases() -> Iterator[str]:
    if os.path.isdir(_SHARED_MEMORY) and os.access(_SHARED_MEMORY, os.W_OK):
        yield _SHARED_MEMORY
    import tempfile  # rarely needed, and slow to import

    yield tempfile.gettempdir()


def _directory() -> str:
    """Return the user's private directory, made when it is missing."""
    for base in _bases():
        path = os.path.join(base, f"fastmmap-{os.geteuid()}")
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            pass
        except OSError:
            continue
        if _is_ours(path):
            return _enterable(path)
    # Somebody took the names: a directory of this process alone.
    import tempfile

    return _enterable(tempfile.mkdtemp(prefix="fastmmap-"))


def _enterable(path: str) -> str:
    """Give a directory of ours the mode that a umask, now or then, kept from it."""
    if stat.S_IMODE(os.lstat(path).st_mode) != 0o700:
        os.chmod(path, 0o700)
    return path


def sweep(directory: str) -> int:
    """Remove private files that no process has open; return how many."""
    with os.scandir(directory) as entries:
        left = [entry.path for entry in entries if entry.name.startswith(_SWEPT)]
    return sum(_core.sweep(path) for path in left)


def private_path(keep: bool) -> str:
    """Return a path for a new private file; one to `keep` is never swept."""
    directory = _directory()
    sweep(directory)
    prefix = _KEPT if keep else _SWEPT
    return os.path.join(directory, f"{prefix}{os.getpid()}-{os.urandom(8).hex()}")
