"""The exceptions of fastmmap.

Errors of the operating system are not among them: they stay ``OSError``, with
``errno`` and the path.
"""


class Error(Exception):
    """Base of all errors that are fastmmap's own."""


class FormatError(Error, ValueError):
    """The file is no cache file, or not one such as was asked for.

    Another geometry, serializer, compressor, format version or machine.
    """


class CorruptError(Error):
    """A page or a value failed its checks and could not be kept."""


class LockError(Error, RuntimeError):
    """The cache was used again by user code that holds one of its pages."""


class LockTimeout(Error, TimeoutError):
    """A page was not to be had within ``lock_timeout``."""


class ClosedError(Error, ValueError):
    """The cache has been closed."""


class LockLost(LockError):
    """A lock of ``fastmmap.sync`` ended before it was released.

    Its time was over, or its key went with ``clear()``, a replaced file or a
    page full of leases. Others may have had it meanwhile.
    """
