"""Explain a refused file: its owner, and the user of this process."""

import os
import stat
from typing import Optional


def _user(number: int) -> str:
    """Return the name and number of a user; containers may know no name."""
    import pwd  # rarely needed

    try:
        return f"{pwd.getpwuid(number).pw_name} ({number})"
    except KeyError:
        return f"user {number}"


def _file_status(path: str) -> Optional[os.stat_result]:
    """Return that of a file, if somebody is in our way with it."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    ours = status.st_uid == os.geteuid()
    return None if ours and _may(path, os.R_OK | os.W_OK) else status


def _may(path: str, use: int) -> bool:
    return os.access(path, use, effective_ids=True)


def _nearest_directory(path: str) -> tuple[str, os.stat_result]:
    """Return the directory that is there, of those on the way to a file."""
    directory = os.path.dirname(path)
    while True:
        try:
            return directory, os.stat(directory)
        except OSError:
            directory = os.path.dirname(directory)


def explain(path: str, advice: str = "") -> str:
    """Say whom a file belongs to that is refused, who we are, and what to do.

    Args:
        path: The absolute path of a cache that was refused for its permissions.
        advice: What to do about a file of another user; "" for what a program does.

    Returns:
        A sentence, without a full stop; "" where nobody's file or directory is in
        the way.
    """
    status, user = _file_status(path), os.geteuid()
    if status is not None:
        return _sentence("the file", status, advice or _advice_on_file(user))
    directory, status = _nearest_directory(path)
    if _may(directory, os.W_OK | os.X_OK):
        return ""
    let = f"make the cache as its owner, or let {_user(user)} write there"
    return _sentence(f"the directory {directory}", status, let)


def _sentence(what: str, status: os.stat_result, advice: str) -> str:
    user = os.geteuid()
    found = (
        f"{what} belongs to {_user(status.st_uid)}, mode "
        f"{stat.S_IMODE(status.st_mode):04o}; this process runs as {_user(user)}"
    )
    return found if status.st_uid == user else f"{found}: {advice}"


def _advice_on_file(user: int) -> str:
    if user == 0:
        return "run this as the owner of the file (sudo -u, setpriv, User= of a unit)"
    return (
        "make and use the cache as one user: remove the file, or give it to "
        f"this one (chown {user}); read_only=True looks at one that you may read"
    )
