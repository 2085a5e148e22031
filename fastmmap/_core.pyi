from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from typing import Any, Final, Optional, TypeVar, Union, final, overload

from typing_extensions import disjoint_base

from fastmmap.types import (
    Entry,
    GetAndSetResult,
    Key,
    Lifetime,
    LifetimeOf,
    RemoveResult,
)

_Moment = Union[int, float, None]
_Self = TypeVar("_Self")
_Result = TypeVar("_Result")
_Value = TypeVar("_Value")

LEASE_TAKEN: Final = 0
LEASE_LEASED: Final = 1
LEASE_EXISTS: Final = 2
LEASE_REFUSED: Final = 3
LEASE_STORED: Final = 4
LEASE_LOST: Final = 5

KIND_LOCK: Final = 0
KIND_RLOCK: Final = 1
KIND_SEMAPHORE: Final = 2

SCAN_ITEMS: Final = 3
SCAN_VALUES: Final = 4
SCAN_RECORDS: Final = 5
SCAN_ENTRIES: Final = 6
SCAN_GROUPS: Final = 7

@disjoint_base
class Keyspace:
    def __init__(self, parent: "Keyspace", name: str) -> None: ...
    @property
    def share_file(self) -> str: ...
    @property
    def cache_size(self) -> int: ...
    @property
    def page_size(self) -> int: ...
    @property
    def num_pages(self) -> int: ...
    @property
    def serializer(self) -> str: ...
    @property
    def compressor(self) -> Optional[str]: ...
    @property
    def expire_time(self) -> Union[float, str]: ...
    @property
    def closed(self) -> bool: ...
    def get(self, key: Key, default: Any = None, *, touch: Lifetime = None) -> Any: ...
    def get_entry(self, key: Key) -> Optional[Entry]: ...
    def get_many(self, keys: Iterable[Key]) -> dict[Key, Any]: ...
    @overload
    def get_or_set(
        self,
        key: Key,
        default: Callable[[], Coroutine[Any, Any, _Value]],
        expire_time: LifetimeOf = None,
        *,
        timeout: Union[int, float, None] = None,
        lease_time: Lifetime = 60,
        tags: Iterable[Key] = (),
    ) -> Coroutine[Any, Any, _Value]: ...
    @overload
    def get_or_set(
        self,
        key: Key,
        default: Callable[[], _Value],
        expire_time: LifetimeOf = None,
        *,
        timeout: Union[int, float, None] = None,
        lease_time: Lifetime = 60,
        tags: Iterable[Key] = (),
    ) -> _Value: ...
    @overload
    def get_or_set(
        self,
        key: Key,
        default: _Value,
        expire_time: LifetimeOf = None,
        *,
        timeout: Union[int, float, None] = None,
        lease_time: Lifetime = 60,
        tags: Iterable[Key] = (),
    ) -> _Value: ...
    def multi_get(self, page_key: Key, keys: Iterable[Key]) -> dict[Key, Any]: ...
    def exists(self, key: Key) -> bool: ...
    def ttl(self, key: Key) -> Optional[float]: ...
    def set(
        self,
        key: Key,
        value: Any,
        expire_time: Lifetime = None,
        *,
        expire_on: _Moment = None,
        modseq: Optional[int] = None,
        tags: Iterable[Key] = (),
    ) -> bool: ...
    def add(
        self,
        key: Key,
        value: Any,
        expire_time: Lifetime = None,
        *,
        expire_on: _Moment = None,
        modseq: Optional[int] = None,
        tags: Iterable[Key] = (),
    ) -> bool: ...
    def replace(
        self,
        key: Key,
        value: Any,
        expire_time: Lifetime = None,
        *,
        expire_on: _Moment = None,
        modseq: Optional[int] = None,
        tags: Iterable[Key] = (),
    ) -> bool: ...
    def set_many(
        self,
        mapping: Union[Mapping[Key, Any], Mapping[str, Any], Mapping[bytes, Any]],
        expire_time: Lifetime = None,
        *,
        expire_on: _Moment = None,
        tags: Iterable[Key] = (),
    ) -> list[Key]: ...
    def multi_set(
        self,
        page_key: Key,
        mapping: Union[Mapping[Key, Any], Mapping[str, Any], Mapping[bytes, Any]],
        expire_time: Lifetime = None,
        *,
        expire_on: _Moment = None,
    ) -> bool: ...
    def setdefault(self, key: Key, default: Any = None) -> Any: ...
    def incr(
        self,
        key: Key,
        delta: int = 1,
        *,
        initial: int = 0,
        expire_time: Lifetime = None,
    ) -> int: ...
    def decr(
        self,
        key: Key,
        delta: int = 1,
        *,
        initial: int = 0,
        expire_time: Lifetime = None,
    ) -> int: ...
    def touch(
        self, key: Key, expire_time: Lifetime = None, *, expire_on: _Moment = None
    ) -> bool: ...
    def remove(
        self,
        key: Key,
        *,
        modseq: Optional[int] = None,
        expire_time: Lifetime = None,
        expire_on: _Moment = None,
    ) -> bool: ...
    def get_and_remove(self, key: Key, default: Any = None) -> RemoveResult: ...
    def pop(self, key: Key, default: Any = ...) -> Any: ...
    def delete_many(self, keys: Iterable[Key]) -> int: ...
    def expire(self, key: Key) -> bool: ...
    def get_and_set(
        self, key: Key, func: Callable[[Any, Any, Optional[Entry]], Any]
    ) -> GetAndSetResult: ...
    def lock(self, key: Key, timeout: Union[int, float, None] = None) -> LockedItem: ...
    def clear(self) -> None: ...
    def invalidate_tag(self, tag: Key, /) -> bool: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __getitem__(self, key: Key, /) -> Any: ...
    def __setitem__(self, key: Key, value: Any, /) -> None: ...
    def __delitem__(self, key: Key, /) -> None: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Key]: ...
    def _read_tags(self, tags: Iterable[Key], /) -> bytes: ...
    def _find(self, key: Key, default: Any, /) -> Any: ...
    def _scan(self, mode: int, /) -> Iterator[Any]: ...
    def _scope(self) -> int: ...
    def _lease_peek(self, key: Key, /) -> Optional[tuple[int, float, float]]: ...
    def _wait_publish(self, token: int, other: int, ms: int, /) -> None: ...
    def _wait_look(self, token: int, /) -> Optional[tuple[int, int]]: ...
    def _wait_end(self, token: int, /) -> None: ...

class Cache(Keyspace):
    def __init__(
        self,
        path: str,
        *,
        cache_size: int = 0,
        page_size: int = 0,
        num_pages: int = 0,
        slots: int = 0,
        entry_size: int = 0,
        serializer: Optional[str] = None,
        compressor: Optional[str] = None,
        mode: int = 0,
        init_file: bool = False,
        must_exist: bool = False,
        sparse: bool = False,
        verify: bool = False,
        allow_shared: bool = False,
        allow_network_fs: bool = False,
        sigbus_guard: bool = False,
        inspect: bool = False,
        read_only: bool = False,
        lock_timeout_ms: int = -1,
        serializer_follows: bool = False,
        compressor_follows: bool = False,
        renew_old: bool = False,
        on_mismatch: int = 0,
        only_whole: bool = False,
    ) -> None: ...
    @property
    def _created(self) -> bool: ...
    def clear(self) -> None: ...
    def purge(self) -> int: ...
    def empty(self, only_expired: bool = False) -> int: ...
    def flush(self) -> None: ...
    def get_statistics(self, clear: bool = False) -> tuple[int, int]: ...
    def close(self) -> None: ...
    def __del__(self) -> None: ...
    def _check_options(self, path: str, **options: Any) -> None: ...
    def _configure(
        self,
        dumps: Optional[Callable[..., Any]],
        loads: Optional[Callable[..., Any]],
        compress: Optional[Callable[..., Any]],
        decompress: Optional[Callable[..., Any]],
        *,
        compress_min_size: int,
        expire_ms: int,
        tombstone_ms: int,
        lock_timeout_ms: int,
        enable_stats: bool,
        context: Any,
        read_cb: Any,
        write_cb: Any,
        delete_cb: Any,
        cache_not_found: bool,
        write_back: bool,
        allow_recursive: bool,
        near: int,
        share: bool,
    ) -> None: ...
    def _set_exit_work(self, *, unlink: bool, empty: bool, last: bool) -> None: ...
    def _detach(self) -> None: ...
    def _clients(
        self,
    ) -> list[tuple[int, str, float, int, int, int, int, int]]: ...
    def _resize(
        self,
        cache_size: int,
        page_size: int,
        entry_size: int,
        sparse: bool,
        timeout_ms: int,
        break_locks: bool,
        /,
    ) -> tuple[int, int, int, int, int, int, int]: ...
    def _stats(self) -> tuple[int, ...]: ...
    def _page_stats(
        self, page: int, /
    ) -> tuple[int, int, int, int, int, int, int, bool, int]: ...
    def _check_page(
        self, page: int, repair: bool = False, timeout_ms: int = -1, /
    ) -> tuple[int, int, int, str, int]: ...
    def _info(self) -> dict[str, int]: ...

@final
class LockedItem:
    @property
    def value(self) -> Any: ...
    @value.setter
    def value(self, value: Any, /) -> None: ...
    @property
    def exists(self) -> bool: ...
    @property
    def expire_on(self) -> Optional[float]: ...
    @property
    def modseq(self) -> Optional[int]: ...
    def set(
        self,
        value: Any,
        expire_time: Lifetime = None,
        *,
        expire_on: _Moment = None,
        modseq: Optional[int] = None,
    ) -> None: ...
    def remove(self) -> None: ...
    def __enter__(self: _Self) -> _Self: ...
    def __exit__(self, *exc_info: object) -> None: ...

@disjoint_base
class Lease:
    def __init__(self, cache: Keyspace, key: Key, ms: int) -> None: ...
    cache: Any
    key: Key
    running: bool
    @property
    def token(self) -> Optional[int]: ...
    @property
    def inherited(self) -> bool: ...
    def take(self, refresh: bool = False, /) -> tuple[int, int, int]: ...
    def store(
        self,
        value: Any,
        expire_time: Lifetime = None,
        leasable: bool = False,
        tags: bytes = b"",
        /,
    ) -> int: ...
    def release(self) -> bool: ...
    def __enter__(self: _Self) -> _Self: ...
    def __exit__(self, *exc_info: object) -> None: ...

@final
class Holdings:
    def __init__(self, cache: Keyspace, keys: tuple[str, ...], kind: int) -> None: ...

@final
class Counts:
    hits: int
    misses: int

@final
class Memoized:
    watch: Optional[Callable[[Any], None]]
    def __init__(
        self,
        cache: Keyspace,
        counts: Counts,
        key_of: Callable[..., Key],
        settle: Callable[[Key, Any, Any, Any], Any],
        absent: object,
        unknown: object,
        ignored: Optional[int],
        share: bool = False,
    ) -> None: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def call_packed(self, args: tuple[Any, ...], kwargs: dict[str, Any], /) -> Any: ...
    def __get__(self, instance: object, owner: Any = None, /) -> Any: ...

@disjoint_base
class Limiter:
    def __init__(self, cache: Keyspace, limit: int, burst: int, cost: int) -> None: ...
    def take(self, key: str = "", tokens: int = 1) -> bool: ...

@disjoint_base
class Acquirable:
    def __init__(
        self,
        holdings: Holdings,
        name: str,
        ms: int,
        timeout: Union[int, float, None],
    ) -> None: ...
    @property
    def name(self) -> str: ...
    @property
    def _timeout(self) -> Union[int, float, None]: ...
    def acquire(
        self, blocking: bool = True, timeout: Union[int, float, None] = None
    ) -> bool: ...
    def acquire_async(
        self, timeout: Union[int, float, None] = None
    ) -> Coroutine[Any, Any, bool]: ...
    def release(self) -> None: ...
    def _release_some(self, n: int = 1) -> None: ...
    def _extend(self, ms: Optional[int], /) -> None: ...
    def __enter__(self: _Self) -> _Self: ...
    def __exit__(self, *exc_info: object) -> None: ...
    def __aenter__(self: _Self) -> Coroutine[Any, Any, _Self]: ...
    def __aexit__(self, *exc_info: object) -> Coroutine[Any, Any, None]: ...

def sweep(path: str, /) -> bool: ...
def monotonic() -> float: ...
def now() -> float: ...
def now_ns() -> int: ...
def get_travel() -> int: ...
def set_travel(ms: int, /) -> None: ...
def get_waiters() -> int: ...
def attempt(
    ms: int, func: Callable[..., _Result], /, *args: Any, **kwargs: Any
) -> _Result: ...
def share(cache: Keyspace, keys: tuple[str, ...], kind: int, /) -> Holdings: ...
