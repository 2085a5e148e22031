"""Mutual exclusion by key, for all processes and threads, that dies with its holder.

A lock is one byte of a file, at a place that the key's hash gives, far behind
the end: an open file description lock. The system drops it with the process.
It guards nothing inside a cache; whoever wants one computation takes it.
"""

import fcntl
import hashlib
import os
import struct
import weakref

#: Behind the bytes that a cache file locks itself, and behind its contents.
_FIRST = 1 << 61
_BITS = 60

#: Those held by this process, which forked children must give back.
_held: "weakref.WeakSet[KeyMutex]" = weakref.WeakSet()


def available() -> bool:
    """Tell whether the system has such locks; Linux has."""
    return hasattr(fcntl, "F_OFD_SETLKW")


def _place(key: str) -> int:
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8)
    return _FIRST + (int.from_bytes(digest.digest(), "little") >> (64 - _BITS))


class KeyMutex:
    """A lock that one holder at a time has, among all that name file and key.

    It is not reentrant, and any thread of the holder's process may release it.
    Holding one key while taking another is fine.

    Args:
        path: A file that exists, the same for all.
        key: What is locked.
    """

    def __init__(self, path: str, key: str) -> None:
        self._path = path
        self._place = _place(key)
        self._descriptor = -1

    def _request(self, kind: int) -> bytes:
        """Return a ``struct flock`` for the one byte."""
        return struct.pack("@hhqqi4x", kind, os.SEEK_SET, self._place, 1, 0)

    def _open(self) -> int:
        """Return a description of its own, so that threads exclude each other."""
        return os.open(self._path, os.O_RDWR | os.O_CLOEXEC)

    def acquire(self, wait: bool = True) -> bool:
        """Take the lock; with ``wait`` when it is free, else only if it is.

        Returns whether it was taken. Raises OSError.
        """
        descriptor = self._open()
        command = fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK
        try:
            fcntl.fcntl(descriptor, command, self._request(fcntl.F_WRLCK))
        except BlockingIOError:
            os.close(descriptor)
            return False
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        _held.add(self)
        return True

    def release(self) -> None:
        """Give the lock back. Raises RuntimeError when it is not held."""
        if self._descriptor < 0:
            raise RuntimeError("release of a lock that is not held")
        descriptor, self._descriptor = self._descriptor, -1
        _held.discard(self)
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, self._request(fcntl.F_UNLCK))
        os.close(descriptor)

    def locked(self) -> bool:
        """Tell whether anybody holds the lock."""
        descriptor = self._open()
        try:
            request = self._request(fcntl.F_WRLCK)
            found = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, request)
        finally:
            os.close(descriptor)
        return bool(struct.unpack_from("@h", found)[0] != fcntl.F_UNLCK)

    def __enter__(self) -> None:
        """Take the lock."""
        self.acquire()

    def __exit__(self, *exc_info: object) -> None:
        """Give it back."""
        self.release()

    def _forget(self) -> None:
        """Close a child's copy, or the lock would outlive its holder."""
        descriptor, self._descriptor = self._descriptor, -1
        os.close(descriptor)

    def __del__(self) -> None:
        """Give the lock back: nobody else could."""
        if self._descriptor >= 0:
            self.release()


def _forget_in_child() -> None:
    for mutex in list(_held):
        mutex._forget()
    _held.clear()


os.register_at_fork(after_in_child=_forget_in_child)
