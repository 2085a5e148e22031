"""The exceptions of fastmmap.

Errors of the operating system are not among them: they stay ``OSError``, with
``errno`` and the path.
"""


class Error(Exception):
    """Base of all errors that are fastmmap's own."""


class FormatError(Error, ValueError):
    """The file is not a cache file, or not the kind that was requested.

    Another geometry, serializer, compressor, format version or machine.
    """


class VersionError(FormatError):
    """The file is of another version of the format, and others may use it.

    It is left alone. A file of an older version is replaced when it is opened, unless
    it may hold changed values that were not written back, or there is no room.
    """


class CorruptError(Error):
    """A page or a value failed its checks and could not be kept."""


class LockError(Error, RuntimeError):
    """A deadlock, or a lock that this process does not hold.

    The cache was used again by user code that holds one of its pages; computations
    wait for each other; a lock is not held, or a page, lock or computation is that of
    the process that this one was forked from.
    """


class LockTimeout(Error, TimeoutError):
    """A page was held for all of ``lock_timeout``."""


class PageBusy(Exception):
    """A page is held, and the call was not to wait: it is made again later.

    Users never see it. Its arguments are the message of a `LockTimeout`, and the
    seconds that the call would have waited, or ``None``.
    """


class ClosedError(Error, ValueError):
    """The cache has been closed."""


class LockLost(LockError):
    """A lock of ``fastmmap.sync`` ended before it was released.

    Its time was over, its key was removed, or its file replaced. Others may have had it
    meanwhile.
    """
