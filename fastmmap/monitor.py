"""What a process does with a cache, call by call, for ``fastmmap monitor``.

A process shows its calls by choice, from `show` on. Each call is a datagram to the
socket beside the file, if somebody listens there; it is dropped rather than waited
for. Values are not sent.
"""

import json
import os
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from time import perf_counter_ns, time
from typing import Any, Final

from fastmmap import _core
from fastmmap.cache import FastMmap
from fastmmap.keyspace import Keyspace
from fastmmap.namespace import Namespace

#: What the name of a file gets for that of its socket.
SUFFIX: Final = ".monitor"
#: The largest message.
LARGEST: Final = 4096
#: Characters of a key, and bytes that it and an outcome take at most.
_LONGEST_KEY, _LARGEST_KEY, _LARGEST_OUTCOME = 512, 2048, 512
#: Files whose listeners are remembered.
_FILES: Final = 256
#: Seconds between two looks whether somebody listens.
_PAUSE: Final = 1.0

#: The calls that are shown.
CALLS: Final = (
    *("get", "get_entry", "exists", "set", "add", "replace", "touch", "pop", "remove"),
    *("incr", "decr", "get_or_set", "get_and_set", "get_and_remove", "setdefault"),
    *("get_many", "set_many", "delete_many", "multi_get", "multi_set"),
    *("invalidate_tag", "clear", "purge", "expire", "flush", "empty"),
    *("__getitem__", "__setitem__", "__delitem__", "__contains__"),
)


class _Speaker:
    """The way to whoever monitors a file."""

    def __init__(self, share_file: str) -> None:
        self._place = share_file + SUFFIX
        self._heard = False
        self._looked = -_PAUSE

    def is_heard(self) -> bool:
        """Tell whether somebody listened a second ago, at most."""
        now = _core.monotonic()
        if now >= self._looked + _PAUSE:
            self._looked = now
            self._heard = self._is_trusted()
        return self._heard

    def _is_trusted(self) -> bool:
        """Tell whether there is a socket, of this user or of root."""
        try:
            found = os.lstat(self._place)
        except OSError:
            return False
        mine = found.st_uid in (os.geteuid(), 0)
        return stat.S_ISSOCK(found.st_mode) and mine

    def say(self, message: bytes) -> None:
        """Send a message, or drop it where it would wait."""
        try:
            _mouth().sendto(message, self._place)
        except BlockingIOError:
            return
        except OSError:
            self._heard = False


#: The socket of this process that sends to all listeners, once there is one.
_mouths: list[socket.socket] = []
#: What says how calls of a file go, for the files that were used last.
_speakers: dict[str, _Speaker] = {}


def _mouth() -> socket.socket:
    if not _mouths:
        mouth = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        mouth.setblocking(False)
        _mouths.append(mouth)
    return _mouths[0]


def _speaker_of(share_file: str) -> _Speaker:
    speaker = _speakers.get(share_file)
    if speaker is None:
        if len(_speakers) >= _FILES:
            _speakers.clear()
        speaker = _speakers.setdefault(share_file, _Speaker(share_file))
    return speaker


def _shortened(text: str, most: int) -> str:
    """Return the start of a text that takes at most that many bytes in a message."""
    text = text[:most]
    while len(json.dumps(text)) > most:
        text = text[: -1 - len(text) // 8]
    return text


def _key_text(arguments: tuple[Any, ...]) -> str:
    """Return the key of a call, or how many it has, as text."""
    if not arguments:
        return ""
    key = arguments[0]
    if isinstance(key, (str, bytes)):
        start = key[:_LONGEST_KEY]
        text = str(start if isinstance(start, str) else repr(start))
        return _shortened(text, _LARGEST_KEY)
    return f"({len(key)} keys)" if hasattr(key, "__len__") else "(several keys)"


def _outcome(result: object) -> str:
    """Return what a call came to, without its value."""
    return str(result) if result is None or isinstance(result, bool) else "value"


def _showing(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that shows each call."""

    @wraps(call)
    def shown(self: Any, *arguments: Any, **options: Any) -> Any:
        speaker = _speaker_of(self.share_file)
        if not speaker.is_heard():
            return call(self, *arguments, **options)
        outcome, begun = "", perf_counter_ns()
        try:
            result = call(self, *arguments, **options)
            outcome = _outcome(result)
            return result
        except BaseException as error:
            outcome = _shortened(type(error).__name__, _LARGEST_OUTCOME)
            raise
        finally:
            taken = perf_counter_ns() - begun
            record = [time(), os.getpid(), name, _key_text(arguments), outcome, taken]
            speaker.say(json.dumps(record).encode("ascii"))

    return shown


class MonitoredNamespace(Namespace):
    """A namespace whose calls are shown."""

    __slots__ = ()

    def namespace(self, name: str) -> Namespace:
        """Return a namespace in this one, whose calls are shown, too."""
        return _shown(super().namespace(name))


def _shown(space: Namespace) -> Namespace:
    """Let the calls of a new namespace be shown."""
    space.__class__ = MonitoredNamespace
    return space


class MonitoredFastMmap(FastMmap):
    """A cache whose calls are shown to ``fastmmap monitor``.

    It takes what `FastMmap` takes. `show` makes one of a cache that is open.
    """

    def namespace(self, name: str) -> Namespace:
        """Return a namespace whose calls are shown, too."""
        return _shown(super().namespace(name))


def _show_calls(kind: type[Keyspace]) -> None:
    for name in CALLS:
        call = getattr(kind, name, None)
        if call is not None:
            setattr(kind, name, _showing(name, call))


_show_calls(MonitoredNamespace)
_show_calls(MonitoredFastMmap)


def show(cache: FastMmap) -> None:
    """Show the calls on a cache from now on, to whoever runs ``fastmmap monitor``.

    A call costs about a microsecond more while nobody looks, and some ten while
    somebody does. Calls of `memoize`, of locks, and on namespaces made before are
    not shown. A child shows its calls, too.

    Args:
        cache: An open `FastMmap`.

    Raises:
        TypeError: It is an instance of your class: derive that from
            `MonitoredFastMmap`.
    """
    if type(cache) is not FastMmap and not isinstance(cache, MonitoredFastMmap):
        raise TypeError(
            f"cannot show the calls of a {type(cache).__name__}: expected a FastMmap; "
            "derive your class from fastmmap.monitor.MonitoredFastMmap"
        )
    cache.__class__ = MonitoredFastMmap


def hide(cache: FastMmap) -> None:
    """Show the calls on a cache no longer."""
    shown: FastMmap = cache  # for type checkers: it is not narrowed below
    if type(shown) is MonitoredFastMmap:
        cache.__class__ = FastMmap


def listen(share_file: str) -> socket.socket:
    """Return a socket that receives what is done with a file.

    Args:
        share_file: Its path. The socket gets a name beside it; the caller closes the
            socket and removes the name.

    Raises:
        FileExistsError: Somebody monitors this file already.
        OSError: The socket cannot be made there.
    """
    place = share_file + SUFFIX
    _remove_stale(place)
    ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        os.fchmod(ear.fileno(), 0o600)  # the mode that the name gets
        ear.bind(place)
        _give(place, os.stat(share_file).st_uid)
    except OSError as error:
        if ear.getsockname():  # the name is made
            with suppress(OSError):
                os.unlink(place)
        ear.close()
        error.filename = error.filename or place
        raise
    return ear


def _give(place: str, user: int) -> None:
    """Give the new socket to the owner of the cache.

    The directory may belong to that user, who can put another file in the place of
    the socket at any moment: only the socket that was checked is given away.
    """
    if user == os.geteuid():
        return
    handle = os.open(place, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(handle)
        mine = found.st_uid == os.geteuid() and found.st_nlink == 1
        if not stat.S_ISSOCK(found.st_mode) or not mine:
            raise FileExistsError(f"{place}: something else has replaced the socket")
        os.chown(f"/proc/self/fd/{handle}", user, -1)
    finally:
        os.close(handle)


def _remove_stale(place: str) -> None:
    """Remove the socket that a killed monitor left."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(place)
        except ConnectionRefusedError:
            with suppress(FileNotFoundError):
                os.unlink(place)
        except OSError:
            return
        else:
            raise FileExistsError(f"{place}: somebody monitors this file already")
