"""A cache that lives as long as gunicorn does: its master opens and ends it.

In gunicorn.conf.py::

    from fastmmap.contrib.gunicorn import hooks

    on_starting, on_exit = hooks("/dev/shm/site.cache", cache_size="64m")
"""

import os
from collections.abc import Callable
from typing import Any, NamedTuple

from fastmmap.contrib.requirement import require

require("gunicorn", "20.1", extra="gunicorn")

from fastmmap.cache import FastMmap, Path
from fastmmap.contrib.shared import shared_cache

#: What this master has opened. Its configuration is read anew at each reload,
#: and so may bring another `on_exit` than the one that began.
_opened: list[FastMmap] = []


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

    Args:
        share_file: Path of the file. It stays for the next start, unless
            ``unlink_on_exit`` says otherwise.
        options: Options of `FastMmap`.

    Returns:
        A pair of functions. The first raises what `FastMmap` raises.
    """

    def on_starting(server: Any) -> None:
        _opened.append(shared_cache(share_file, **options))

    return Hooks(on_starting, _end)


def _end(server: Any) -> None:
    """Write back and close; what another master uses is not removed.

    After SIGUSR2 that is a child of this one, or still its parent.
    """
    shared = server.reexec_pid != 0 or server.master_pid == os.getppid()
    while _opened:
        cache = _opened.pop()
        cache.flush()
        if shared:
            cache._set_exit_work(unlink=False, empty=False, last=False)
        cache.close()
