"""A cache that lives as long as gunicorn does: its master opens and ends it.

In gunicorn.conf.py::

    from fastmmap.contrib.gunicorn import hooks

    on_starting, on_exit = hooks("/dev/shm/site.cache", cache_size="64m")
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Optional

from fastmmap.contrib.requirement import require

require("gunicorn", "20.1", extra="gunicorn")

from fastmmap.cache import FastMmap, Path
from fastmmap.contrib.shared import shared_cache

#: What this master has opened. Its configuration is read again at each reload,
#: and so may bring another `on_exit` than the one that began.
_opened: list[FastMmap] = []


_User = tuple[int, int]  #: and its group


class Hooks(NamedTuple):
    """Two settings of gunicorn, in the order of their names in ``hooks``."""

    on_starting: Callable[[Any], None]
    on_exit: Callable[[Any], None]


def hooks(share_file: Path, **options: Any) -> Hooks:
    """Return ``on_starting`` and ``on_exit`` for gunicorn's configuration.

    The first opens the cache in the master, before there are workers, which
    find the file whatever they do first. The second runs when all of them have
    ended, whatever their class: it writes back what they changed, and closes
    the cache. A reload leaves it open, and an upgrade by SIGUSR2 hands it on.

    A master that is root does both as the user and group of its workers, so that
    the file is theirs; where they may not make files, it is made and given to them.

    Args:
        share_file: Path of the file. It stays for the next start, unless
            ``unlink_on_exit`` says otherwise.
        options: Options of `FastMmap`.

    Returns:
        A pair of functions. The first raises what `FastMmap` raises.
    """

    def on_starting(server: Any) -> None:
        _opened.append(_open_for(_workers(server), share_file, options))

    return Hooks(on_starting, _end)


def _workers(server: Any) -> Optional[_User]:
    """Return user and group of the workers, if they are not the master's."""
    settings = getattr(server, "cfg", None)
    if settings is None or os.geteuid() != 0 or settings.uid == 0:
        return None
    return settings.uid, settings.gid


@contextmanager
def _acting_as(user: Optional[_User]) -> Iterator[None]:
    """Use files as that user for a while."""
    if user is None:
        yield
        return
    group = os.getegid()
    os.setegid(user[1])
    os.seteuid(user[0])
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)


def _open_for(
    user: Optional[_User], share_file: Path, options: dict[str, Any]
) -> FastMmap:
    try:
        with _acting_as(user):
            return shared_cache(share_file, **options)
    except PermissionError:
        if user is None or os.path.lexists(os.path.expanduser(share_file)):
            raise
    cache = shared_cache(share_file, **options)
    os.chown(cache.share_file, *user, follow_symlinks=False)
    return cache


def _end(server: Any) -> None:
    """Write back and close; what another master uses is not removed.

    After SIGUSR2 that is a child of this one, or still its parent.
    """
    shared = server.reexec_pid != 0 or server.master_pid == os.getppid()
    while _opened:
        cache = _opened.pop()
        with _acting_as(_workers(server)):
            cache.flush()
        if shared:
            cache._set_exit_work(unlink=False, empty=False, last=False)
        cache.close()
