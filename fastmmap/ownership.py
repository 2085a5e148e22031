"""Who is in the way of whom: the users behind a refused file, in words."""

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


def _status(path: str) -> Optional[os.stat_result]:
    try:
        return os.lstat(path)
    except OSError:
        return None


def _may_change(path: str) -> bool:
    return os.access(path, os.R_OK | os.W_OK, effective_ids=True)


def _obstacle(path: str) -> str:
    """Return the file, if it is not for us, else the directory that is there."""
    status = _status(path)
    ours = status is not None and status.st_uid == os.geteuid()
    if status is not None and not (ours and _may_change(path)):
        return path
    directory = os.path.dirname(path)
    while _status(directory) is None:
        directory = os.path.dirname(directory)
    return directory


def explain(path: str) -> str:
    """Say whom a file belongs to that is refused, who we are, and what to do.

    Args:
        path: The absolute path of a cache that was refused for its permissions.

    Returns:
        A sentence, without a full stop.
    """
    where, user = _obstacle(path), os.geteuid()
    status = os.lstat(where)
    what = "the file" if where == path else f"the directory {where}"
    found = (
        f"{what} belongs to {_user(status.st_uid)}, mode "
        f"{stat.S_IMODE(status.st_mode):04o}; this process runs as {_user(user)}"
    )
    if status.st_uid == user:
        return found
    return f"{found}: {_advice(where == path, user)}"


def _advice(is_file: bool, user: int) -> str:
    if not is_file:
        return f"make the cache as its owner, or let {_user(user)} write there"
    if user == 0:
        return "run this as the owner of the file (sudo -u, setpriv, User= of a unit)"
    return (
        "make and use the cache as one user: remove the file, or give it to "
        f"this one (chown {user}); read_only=True looks at one that you may read"
    )
