"""Log messages about errors that the caller must not or need not see."""

import logging
from typing import Any

from fastmmap import sizes

_logger = logging.getLogger("fastmmap")

#: Seconds that an opening may take before the log says why.
PROGRESS_AFTER = 1.0


def log_failure(callback: str, key: Any, path: str, error: BaseException) -> None:
    """Log that `callback` failed for `key` of the cache at `path`."""
    _logger.error("%s failed for key %r of %s", callback, key, path, exc_info=error)


def log_stale(key: Any, path: str, error: BaseException) -> None:
    """Log that an old value is returned, since a new one could not be computed."""
    _logger.warning(
        "computing key %r of %s failed: its old value is returned",
        key,
        path,
        exc_info=error,
    )


def log_refusal(key: Any, cache: Any, value: Any, more: str = "") -> None:
    """Log that a value was not stored in a cache, which has no room for it."""
    _logger.warning(
        "the value of key %r is too large for %s: not stored; %s%s",
        key,
        cache.share_file,
        sizes.explain_refusal(cache, value),
        more,
    )


class Refusals:
    """Logs the first result of a function that is too large, once in a process.

    Each further call would say the same: it computes again, as if there were no cache.
    """

    def __init__(self, name: str) -> None:
        self._more = f". This is not logged again for {name}"
        self._told = False

    def __call__(self, key: Any, cache: Any, value: Any) -> None:
        """Log it, unless that was done."""
        if self._told:
            return
        self._told = sizes.exceeds(cache, value)
        log_refusal(key, cache, value, self._more if self._told else "")


def log_orphan(path: str) -> None:
    """Log that changed values of `path` cannot be written back from here."""
    _logger.error(
        "%s holds changed values that need room, but it was opened without a "
        "write_cb here: they stay, and new values are refused",
        path,
    )


def log_nameless(path: str) -> None:
    """Log that the file at `path` was removed while it is in use."""
    _logger.warning(
        "%s was removed: processes that have it open still share it, others will "
        "create a new file, which this process will then use too; do not remove the "
        "file of a cache in use",
        path,
    )


def log_kept(path: str, reason: str) -> None:
    """Log that another user replaced the file at `path`, and the old one is used."""
    from fastmmap import ownership  # rarely needed

    _logger.error(
        "%s was replaced by a file that this process cannot use: %s. Until then it "
        "uses the old one, whose contents others may not see",
        path,
        "; ".join(filter(None, (reason, ownership.explain(path)))),
    )


def log_unopened(path: str, error: BaseException) -> None:
    """Log that a framework continues without the cache at `path`."""
    _logger.error("%s cannot be opened, working without it: %s", path, error)


def log_other_version(path: str, reason: str) -> None:
    """Log that the file at `path` is of another version, and the old one is used."""
    _logger.warning(
        "%s was replaced by a file that this process cannot use: %s. It uses the "
        "old one, whose contents others do not see",
        path,
        reason,
    )


def log_progress(path: str, seconds: float, done: int, total: int) -> None:
    """Log how far the verification of the file at `path` is, when it takes long."""
    if seconds >= PROGRESS_AFTER:
        _logger.warning(
            "%s is from before the last boot, or a copy: verifying its entries, %d %% "
            "done after %.1f s",
            path,
            100 * done // total,
            seconds,
        )


def log_notice(path: str, text: str) -> None:
    """Log what befell the file at `path` when it was opened."""
    _logger.warning("%s: %s", path, text)


def log_unclosable(path: str, error: BaseException) -> None:
    """Log that the cache at `path` could not be closed when its process ended."""
    _logger.error("closing %s at exit failed", path, exc_info=error)
