"""`FastMmap`: what the C type lacks, all of it done once or seldom.

Hot methods are C methods of `_core.Cache`, inherited and never wrapped.
"""

import errno
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, Optional, TypeVar, Union

from fastmmap import _core, lifecycle, location, serializers, words
from fastmmap.advice import stats_of
from fastmmap.compressors import Compressor, compressor_named
from fastmmap.errors import ClosedError, FormatError
from fastmmap.keyspace import Keyspace
from fastmmap.options import (
    DEFAULT_ENTRY_SIZE,
    DEFAULT_SERIALIZER,
    FOLLOW,
    Given,
    Phase,
    Size,
    check_read_only,
    choose_compressor,
    choose_serializer,
    core_options,
    lasting,
    parse_count,
    parse_size,
    parse_timeout,
    signature_of,
    use_options,
)
from fastmmap.serializers import Serializer, serializer_named
from fastmmap.types import (
    CheckReport,
    Client,
    Lifetime,
    LifetimeOf,
    ResizeReport,
    Stats,
)

_Self = TypeVar("_Self", bound="FastMmap")
Path = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]
_Names = tuple[Optional[str], Optional[str]]

#: Mode bits that let group or others write.
WRITABLE_BY_OTHERS = 0o022
#: For C: the lock_timeout of the cache.
_OWN_TIMEOUT = -2
#: A file may appear or vanish between looking for it and making it.
_OPEN_ATTEMPTS = 16


class FastMmap(_core.Cache, Keyspace):
    """A cache in one memory-mapped file, shared by processes and threads.

    File:
        share_file: Path of the file: str, bytes or PathLike; ``~`` is the home
            directory. An empty file becomes a new cache. ``None`` makes a private
            file, on tmpfs if there is one.
        init_file: Start empty. Everything in an existing file is dropped.
        test_file: Check every page now. A bad page is emptied, the rest is kept.
        on_mismatch: What to do if the file has another geometry, serializer or
            compressor than you ask for. ``"error"`` raises FormatError.
            ``"replace"`` makes an empty file, or follows the old one while other
            processes have it open, and logs that. ``"follow"`` uses the file as
            it is.
        permissions: Mode of a new file, whatever the umask. To let group or others
            write, use a serializer that runs no code when it reads; everybody who
            opens the file then needs ``allow_shared=True``.
        unlink_on_exit: Remove the file at ``close()``, at exit and when the object
            is collected, in the process that created the object. ``None`` keeps a
            file that has a name, and removes a private one with the last process
            that has it open. ``False`` keeps a private one, too.
        empty_on_exit: Call ``empty()`` at the same moments.
        read_only: Open an existing file for reading only. Other processes do not
            see this one among their clients, reads leave no trace, and methods
            that change the file are refused.

    Size:
        cache_size: Bytes, or text: ``"64m"`` and ``"64 MiB"`` are powers of 1,024,
            ``"64MB"`` is a power of 1,000. The default is 16 MiB.
        entry_size: Expected bytes of key and value. Sizes the first index, which
            grows on demand. If you leave it out, the index starts with a fifth of
            the slots that 200 bytes would need.
        page_size: Bytes or text, rounded to the nearest power of two, from 4 KiB to
            1 GiB.
        num_pages: Number of pages.
        start_slots: Slots of a page's first index, instead of ``entry_size``.
        reserve: Take the space on disk now, so that a lack of it raises OSError
            here. ``False`` makes a sparse file.

    Values:
        serializer: ``"pickle"``, the default; ``"raw"`` (also ``""`` and ``None``);
            ``"json"``; ``"msgpack"``; or a pair ``(dumps, loads)``.
        compressor: ``"zlib"``, ``"lz4"``, ``"zstd"``, ``"snappy"`` or a pair
            ``(compress, decompress)``.
        compress_min_size: Serialized values of fewer bytes are not compressed.
        near: Bytes, or text such as ``"4m"``, for finished objects that each process
            keeps beside the file: ``bytes``, ``str``, ``int``, ``float``, ``bool``
            and ``None``. A hit returns the kept object while the file still holds
            that value. 0 keeps none. ``None`` is 0, or 4 MiB with ``copy=False``.
        copy: ``False`` promises that nobody changes a value returned by the cache.
            Values of every type can then be kept near, and each hit returns the
            same object.

    Lifetimes:
        expire_time: Default lifetime: seconds, a timedelta, or text such as
            ``"10s"``, ``"now"``, ``"never"``. 0 is never. Or a function that takes
            what ``read_cb`` returned and returns its lifetime; values that you store
            yourself then have no default lifetime.
        tombstone_expire_time: Lifetime of tombstones. 0 is ``expire_time``.

    Callbacks:
        context: First argument of each callback.
        read_cb: ``read_cb(context, key)`` returns the value of a missing key, or
            ``None``; or a `Store` of it, with its lifetime.
        write_cb: ``write_cb(context, key, value, expire_on)`` stores a value
            elsewhere.
        delete_cb: ``delete_cb(context, key)`` deletes it there.
        cache_not_found: Remember that ``read_cb`` found nothing.
        write_action: ``"write_through"`` or ``"write_back"``.
        allow_recursive: Callbacks may use the cache.

    Rare:
        lock_timeout: Seconds to wait for a page. ``None`` waits while its holder
            lives.
        allow_shared: Accept a file that belongs to another user, or that others can
            write.
        allow_network_fs: Open a file on a network or FUSE file system.
        sigbus_guard: Raise CorruptError, instead of dying of SIGBUS, if another
            process truncates the file.
        enable_stats: Count reads and hits for ``get_statistics()``. ``stats()``
            always counts.

    The other options are spellings of Perl. Options that you leave out follow an
    existing file. A file of an older format is replaced by an empty one, and that is
    logged.

    Raises:
        FormatError: The file is not a cache, or differs from what you ask for. It is
            a `VersionError` if the file is of a newer version.
        ValueError, TypeError: An option is out of range.
        ImportError: A serializer or compressor needs a missing package.
        OSError: The file cannot be opened or created.
        io.UnsupportedOperation: Raised by methods that would change a ``read_only``
            cache. It is an OSError and a ValueError.
    """

    _given: Given
    #: The process that opened a file by its name, and so has to close it.
    _opener: int = 0
    #: Whether it has a file that goes with the last who has it open.
    _private: bool = False

    def _start(self, share_file: Optional[Path], given: Given) -> None:
        """Open the file; what `__init__` does."""
        unlink, empty = given["unlink_on_exit"], bool(given["empty_on_exit"])
        if given["read_only"] and share_file is None:
            raise ValueError(
                "read_only=True needs a share_file: there is no file to read"
            )
        opener = os.getpid() if share_file is not None else 0
        private = share_file is None and unlink is not False
        check_read_only(given)
        path = _absolute(share_file, keep=not private)
        file = core_options(given, Phase.MAKING, Phase.OPENING)
        file["renew_old"] = True
        _attach(self, path, file, given)
        self._begin(private, bool(unlink) and not private, empty)
        self._opener = opener

    @signature_of(_start)
    def __init__(
        self,
        share_file: Optional[Path] = None,
        *,
        init_file: bool = False,
        test_file: bool = False,
        on_mismatch: str = "error",
        permissions: int = 0o600,
        unlink_on_exit: Optional[bool] = None,
        empty_on_exit: bool = False,
        cache_size: Optional[Size] = None,
        reserve: bool = True,
        page_size: Optional[Size] = None,
        num_pages: Optional[int] = None,
        start_slots: Optional[int] = None,
        entry_size: int = DEFAULT_ENTRY_SIZE,
        serializer: object = DEFAULT_SERIALIZER,
        raw_values: Optional[bool] = None,
        compressor: object = None,
        compress: Optional[bool] = None,
        compress_min_size: int = 256,
        expire_time: LifetimeOf = 0,
        tombstone_expire_time: Lifetime = 0,
        enable_stats: bool = False,
        near: Optional[Size] = None,
        copy: bool = True,
        context: Any = None,
        read_cb: Any = None,
        write_cb: Any = None,
        delete_cb: Any = None,
        cache_not_found: bool = False,
        write_action: str = "write_through",
        allow_recursive: bool = False,
        lock_timeout: Union[int, float, None] = None,
        catch_deadlocks: bool = False,
        read_only: bool = False,
        allow_shared: bool = False,
        allow_network_fs: bool = False,
        sigbus_guard: bool = False,
    ) -> None: ...

    def _begin(self, private: bool, unlink: bool, empty: bool) -> None:
        """Say what is to be done at the end, of this object or its process.

        The file of a `private` cache goes with the last that has it open: forked
        children have, and whoever got the object by pickle.
        """
        self._private = private
        self._set_exit_work(unlink=unlink, empty=empty, last=private)
        if private or unlink or empty:
            lifecycle.register(self)

    def __del__(self, _ending: Callable[[], bool] = sys.is_finalizing) -> None:
        """Close the cache; warn when a file given by name was left open.

        As with files, it is a ResourceWarning, which Python hides by default.
        A private cache, a copy that came by pickle or fork, and whatever is
        still there when the interpreter ends, are nobody's oversight. By then
        this module may be empty: what asks for the end came with the method.
        """
        try:
            if self._opener and not self.closed and not _ending():
                lifecycle.warn_unclosed(self, self._opener)
        finally:
            super().__del__()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the path and the options: the copy re-attaches.

        It never creates or empties the file. Callbacks, context and a
        serializer pair go along and must be picklable themselves.
        """
        if self.closed:
            raise ClosedError(f"{self.share_file} is closed: it cannot be pickled")
        own = self.__dict__.copy()
        own.pop("_opener", None)  # the copy is not for its user to close
        given, private = own.pop("_given"), own.pop("_private", False)
        made = (type(self), self.share_file, given, private)
        return _reattach, made, own or None

    def __repr__(self) -> str:
        """Return the path and what the file is like."""
        state = "closed" if self.closed else f"{self.num_pages} x {self.page_size} B"
        return f"<{type(self).__name__} {self.share_file!r} {state}>"

    def __enter__(self: _Self) -> _Self:
        """Return the cache itself."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close the cache."""
        self.close()

    def stats(self) -> Stats:
        """Return the counters of the file; cheap, and takes no lock.

        Returns:
            A `Stats`, exact when nothing else runs.
        """
        return stats_of(self)

    def clients(self) -> list[Client]:
        """Return the clients of the file: one for each open cache of each process.

        The kernel says who still has it open; a forked child appears after its first
        use.

        Returns:
            A list of `Client`.
        """
        return [Client._make(fields) for fields in self._clients()]

    def resize(
        self,
        *,
        cache_size: Optional[Size] = None,
        page_size: Optional[Size] = None,
        entry_size: Optional[int] = None,
        reserve: bool = True,
        break_locks: bool = False,
        timeout: Union[int, float, None] = None,
    ) -> ResizeReport:
        """Replace this file by one of another size, with its values.

        Values keep their lifetimes, tags, namespaces and numbers, and values stored
        meanwhile are not lost. Reads never wait; at the end nobody can store for a
        moment. Everyone who has the file open follows. Whoever opens it later with
        another ``cache_size`` gets an error, see ``on_mismatch``.

        Omitted options stay as they are. Both files need space until the new one is
        complete.

        Args:
            cache_size, page_size, entry_size, reserve: As in `FastMmap`.
            break_locks: Locks of ``fastmmap.sync`` that are held are lost, instead of
                a LockError.
            timeout: Seconds to wait for pages, and for callbacks that write; ``None``
                is ``lock_timeout``.

        Returns:
            A `ResizeReport`.

        Raises:
            LockError: Locks are held, or this is called by the cache itself.
            LockTimeout: A page was not free in time. As with all errors, the file
                stays as it is.
            Error: Changed values that were not written back do not fit.
            OSError: There is no room for the new file.
        """
        done = self._resize(
            parse_size("cache_size", cache_size),
            parse_size("page_size", page_size),
            parse_count("entry_size", entry_size),
            not reserve,
            _OWN_TIMEOUT if timeout is None else parse_timeout("timeout", timeout),
            break_locks,
        )
        return ResizeReport._make((*done[:-1], done[-1] / 1e9))

    def check(self) -> CheckReport:
        """Walk every page under its lock; change nothing.

        Returns:
            A `CheckReport`; its ``ok`` tells whether all is well.
        """
        pages = [self._check_page(page) for page in range(self.num_pages)]
        entries, live, dead, problems, _ = zip(*pages, strict=True)
        told = [f"page {page}: {text}" for page, text in enumerate(problems) if text]
        return CheckReport(
            ok=not any(problems),
            pages=len(pages),
            entries=sum(entries),
            bytes_live=sum(live),
            bytes_dead=sum(dead),
            problems=tuple(told),
            advice=self.stats().advice,
        )


def _absolute(share_file: Optional[Path], keep: bool) -> str:
    """Return the path that stays right whatever the working directory."""
    if share_file is None:
        return location.private_path(keep)
    path = os.path.expanduser(os.fsdecode(share_file))
    if not path:
        raise ValueError("share_file is empty: give a path, or None")
    if path.endswith(os.sep):  # which abspath() would take off
        raise IsADirectoryError(errno.EISDIR, "share_file is a directory", path)
    return os.path.abspath(path)


def _attach(cache: FastMmap, path: str, file: Given, given: Given) -> None:
    """Open the file of a new object and say how it is used."""
    use = use_options(given)
    file = {**file, "lock_timeout_ms": use["lock_timeout_ms"]}
    values = choose_serializer(given["serializer"], given["raw_values"])
    packing = choose_compressor(given["compressor"], given["compress"])
    names = (values and values.name, packing.name if packing else None)
    _open_or_explain(cache, path, file, names)
    try:
        _require_safe(cache.serializer, file)
        _configure(cache, use, values, packing)
    except BaseException:
        cache._detach()
        raise
    cache._given = lasting(given)


def _configure(
    cache: FastMmap,
    use: Given,
    values: Optional[Serializer],
    packing: Optional[Compressor],
) -> None:
    """Say how an open file is used; options left out follow the file."""
    if values is None or values.name != cache.serializer:
        values = _serializer_of(cache)
    if packing is None or packing.name != (cache.compressor or ""):
        packing = _compressor_of(cache)
    cache._configure(*values[1:], *packing[1:], **use)


def _open(cache: FastMmap, path: str, file: Given, names: _Names) -> None:
    """Attach or create: a name left out follows a file that exists."""
    defaults = (names[0] or DEFAULT_SERIALIZER, names[1] or "")
    if not _is_safe(defaults[0], file):
        file = _that_replaces_nothing(file)
    attaching = {**file, "must_exist": True}
    if file["read_only"]:
        return _open_once(cache, path, attaching, names)
    for _ in range(_OPEN_ATTEMPTS):
        if not file.get("init_file") and _has_attached(cache, path, file, names):
            return None
        _require_safe(defaults[0], file)
        try:
            return _open_once(cache, path, file, defaults)
        except FormatError:
            # Another process has just made the file, with other names.
            if names == defaults:
                raise
    return _open_once(cache, path, attaching, names)


def _that_replaces_nothing(file: Given) -> Given:
    """Return the options of one who may not make a file like that."""
    kept = min(file["on_mismatch"], FOLLOW)
    return {**file, "renew_old": False, "on_mismatch": kept}


def _has_attached(cache: FastMmap, path: str, file: Given, names: _Names) -> bool:
    """Attach to a file that exists; tell whether there is one."""
    if _is_empty(path):
        return False
    try:
        _open_once(cache, path, {**file, "must_exist": True}, names)
    except FileNotFoundError:
        if file.get("must_exist"):
            raise
        return False
    return True


def _open_or_explain(cache: FastMmap, path: str, file: Given, names: _Names) -> None:
    """Do so; an error about permission or a directory says what would do."""
    try:
        _open(cache, path, file, names)
    except PermissionError as error:
        raise _with_users(error, path) from None
    except OSError as error:
        if error.errno == errno.EROFS:
            error.strerror = f"{error.strerror}: read_only=True opens it for reading"
        if error.errno == errno.ENOENT and not os.path.isdir(os.path.dirname(path)):
            error.strerror = f"{error.strerror}: make its directory first"
        raise


def _with_users(error: PermissionError, path: str) -> PermissionError:
    """Return the error with a word on whose file it is, and who we are."""
    from fastmmap import ownership  # rarely needed

    text = "; ".join(filter(None, (error.strerror, ownership.explain(path))))
    return PermissionError(error.errno, text, path)


def _is_empty(path: str) -> bool:
    """Tell whether there is a file without contents, to be made a cache."""
    try:
        return os.path.getsize(path) == 0
    except OSError:
        return False


def _open_once(cache: FastMmap, path: str, file: Given, names: _Names) -> None:
    _core.Cache.__init__(
        cache,
        path,
        serializer=names[0] or DEFAULT_SERIALIZER,
        compressor=names[1] or "",
        serializer_follows=names[0] is None,
        compressor_follows=names[1] is None,
        **file,
    )


def _serializer_of(cache: FastMmap) -> Serializer:
    """Return the serializer that the file records."""
    try:
        return serializer_named(cache.serializer)
    except LookupError:
        raise FormatError(
            f"{cache.share_file}: its serializer is {cache.serializer!r}: "
            "give the same pair of functions (dumps, loads)"
        ) from None


def _compressor_of(cache: FastMmap) -> Compressor:
    """Return the compressor that the file records."""
    try:
        return compressor_named(cache.compressor or "")
    except LookupError:
        raise FormatError(
            f"{cache.share_file}: its compressor is {cache.compressor!r}: "
            "give the same pair of functions (compress, decompress)"
        ) from None


def _is_safe(serializer: Optional[str], file: Given) -> bool:
    """Tell whether no stranger who can write the file would run code here."""
    others = file["allow_shared"] or file.get("mode", 0) & WRITABLE_BY_OTHERS
    return not others or serializer in serializers.SAFE


def default_options() -> Given:
    """Return all options of `FastMmap` by name, with their defaults."""
    import inspect  # slow, and rarely needed

    return dict(inspect.unwrap(FastMmap.__init__).__kwdefaults__ or {})


def check_options(share_file: Path, options: Mapping[str, Any]) -> None:
    """Raise what `FastMmap` raises for these options, whatever the file is like."""
    defaults = default_options()
    unexpected = options.keys() - defaults.keys()
    words.refuse(FastMmap.__init__.__qualname__, unexpected, defaults)
    given = {**defaults, **options}
    check_read_only(given)
    use_options(given)
    choose_compressor(given["compressor"], given["compress"])
    values = choose_serializer(given["serializer"], given["raw_values"])
    file = core_options(given, Phase.MAKING, Phase.OPENING)
    if values is not None:
        _require_safe(values.name, file)
    _core.Cache.__new__(_core.Cache)._check_options(os.fsdecode(share_file), **file)


def _require_safe(serializer: Optional[str], file: Given) -> None:
    """Refuse values that run code when read, where strangers may write them."""
    if file["allow_shared"] and serializer not in serializers.SAFE:
        raise ValueError(
            f"allow_shared=True with serializer {str(serializer)!r} would let "
            "whoever can write the file run code here: use one of "
            f"{', '.join(map(repr, serializers.SAFE))}"
        )
    mode = file.get("mode", 0)
    if mode & WRITABLE_BY_OTHERS and serializer not in serializers.SAFE:
        raise ValueError(
            f"permissions={mode:#o} with serializer {str(serializer)!r} would "
            "let whoever can write the file run code here: take write permission "
            "from group and others, as in "
            f"permissions={mode & ~WRITABLE_BY_OTHERS:#o}, or "
            "use allow_shared=True and one of "
            f"{', '.join(map(repr, serializers.SAFE))}"
        )


def _reattach(
    cls: type[_Self], path: str, given: Given, private: bool = False
) -> _Self:
    """Make an object of a file that exists: the other half of pickling."""
    cache = cls.__new__(cls)
    file = {**core_options(given, Phase.OPENING), "must_exist": True}
    file["on_mismatch"] = min(file["on_mismatch"], FOLLOW)
    _attach(cache, path, file, given)
    if private:
        cache._begin(private, unlink=False, empty=False)
    return cache
