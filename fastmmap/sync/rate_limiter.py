"""`RateLimiter`: a number of actions per time, for all processes."""

from contextlib import suppress
from operator import index
from typing import Any, Optional, TypeVar, Union

from fastmmap import _core, durations, waiting
from fastmmap.errors import LockError, PageBusy
from fastmmap.keyspace import Keyspace
from fastmmap.sync import number
from fastmmap.sync.naming import key_of
from fastmmap.types import KEEP, Entry, Keep, Key, Lifetime, Store

_Self = TypeVar("_Self", bound="RateLimiter")
_NS = 10**9
#: Seconds that the state is kept beyond the moment when it says nothing any more.
_KEPT = 60


class RateLimiter(_core.Limiter):
    """A bucket of tokens for all processes that have the cache open.

    It holds ``burst`` tokens, and gets ``limit`` more per ``period``, evenly, while
    it is not full. Whoever wants to do something takes one, in one step in the
    cache: all processes together never take more than there are. There is a bucket
    for each key, such as a user or an address.

    The bucket is the "generic cell rate algorithm" of ITU-T I.371: one number, the
    time at which it is full again. It is kept in whole nanoseconds times ``limit``,
    so that nothing is rounded. The clock is that of the day, which all containers of
    a machine have: when it is set back, a bucket that is in use is empty at first, and
    full when it is set forward.
    A bucket that was evicted or cleared is full.

    Args:
        cache: The cache that all processes sharing the limit have open.
        name: Its name; any text. Another limit, period or burst is
            another bucket.
        limit: How many tokens there are per period.
        period: Any lifetime but "now" and "never".
        burst: How many the bucket holds; ``None`` for ``limit``.

    Raises:
        TypeError, ValueError: An argument is out of its range.
    """

    def __init__(
        self,
        cache: Keyspace,
        name: str,
        limit: int,
        period: Lifetime = 1,
        *,
        burst: Optional[int] = None,
    ) -> None:
        limit, burst = index(limit), index(limit if burst is None else burst)
        if limit < 1 or burst < 1:
            raise ValueError(f"limit {limit!r}, burst {burst!r}: expected 1 or more")
        period_ms = durations.lifetime_ms(period)
        if period_ms in (durations.NOW, durations.NEVER):
            raise ValueError(f"period is {period!r}: expected some time")
        self._cache, self._name = cache, name
        self._limit, self._burst, self._period_ms = limit, burst, period_ms
        #: What a token costs, and a full bucket, in time.
        self._cost = period_ms * 10**6
        self._capacity = burst * self._cost
        self._key_of("")  # a bad name is an error here
        self._begin()

    def _begin(self) -> None:
        super().__init__(self._cache, self._limit, self._burst, self._cost)

    @property
    def name(self) -> str:
        """The name that it was made with."""
        return self._name

    def _key_of(self, key: str) -> str:
        numbers = (self._limit, self._period_ms, self._burst)
        return key_of("rate", self._name, key, *numbers)

    def _now(self) -> int:
        """Return the time, in nanoseconds times the limit."""
        return _core.now_ns() * self._limit

    def _debt(self, key: Key, value: object, now: int) -> int:
        """Return the time until the bucket is full, never more than of an empty one."""
        return min(max(number.read(key, value) - now, 0), self._capacity)

    def _wait_for(self, debt: int, tokens: int) -> int:
        """Return the time until there are that many tokens."""
        return max(debt + tokens * self._cost - self._capacity, 0)

    def _seconds(self, duration: int) -> float:
        return duration / (_NS * self._limit)

    def _check(self, tokens: int) -> None:
        if not 1 <= index(tokens) <= self._burst:
            raise ValueError(
                f"{self!r}: {tokens!r} tokens requested: expected 1 to {self._burst}"
            )

    def _take(self, key: str, tokens: int) -> float:
        """Take tokens, or return the seconds until there are enough."""
        self._check(tokens)
        wait = 0

        def step(
            place: Key, value: object, entry: Optional[Entry]
        ) -> Union[Store, Keep]:
            nonlocal wait
            now = self._now()
            debt = self._debt(place, value, now)
            wait = self._wait_for(debt, tokens)
            if wait == 0:
                debt += tokens * self._cost
            elif debt < self._capacity:
                return KEEP  # else its number may be of another start of the clock
            return Store(number.write(now + debt), self._seconds(debt) + _KEPT)

        stored = self._cache.get_and_set(self._key_of(key), step).stored
        if wait == 0 and not stored:
            raise LockError(
                f"{self._cache.share_file}: no room for the state of {self!r}: give it "
                "a separate cache file"
            )
        return self._seconds(wait)

    def _attempt(self, key: str, tokens: int) -> Optional[float]:
        """Do the same; ``None``: another holds the page of the bucket."""
        with suppress(PageBusy):
            return _core.attempt(waiting.GLANCE_MS, self._take, key, tokens)
        return None

    def _steps(
        self, key: str, tokens: int, timeout: Union[int, float, None]
    ) -> waiting.Steps[bool]:
        waiting.check_timeout(timeout)
        with waiting.Patience(timeout) as patience:
            while (wait := self._attempt(key, tokens)) != 0:
                delay = patience.delay() if wait is None else patience.limit(wait)
                if delay is None or delay < (wait or 0):
                    return False
                yield delay
        return True

    def acquire(
        self, key: str = "", tokens: int = 1, *, timeout: Union[int, float, None] = None
    ) -> bool:
        """Take tokens, and wait until there are enough.

        Args:
            key, tokens: As in `take`.
            timeout: Seconds to wait at most; ``None`` for as long as it takes.

        Returns:
            Whether they were taken; ``False`` at once when the time cannot do.
        """
        return waiting.run(self._steps(key, tokens, timeout))

    async def acquire_async(
        self, key: str = "", tokens: int = 1, *, timeout: Union[int, float, None] = None
    ) -> bool:
        """Take tokens like `acquire`; the event loop continues meanwhile.

        Returns:
            Whether they were taken.
        """
        return await waiting.run_async(self._steps(key, tokens, timeout))

    def _look(self, key: str) -> int:
        place = self._key_of(key)
        return self._debt(place, self._cache.get(place), self._now())

    def left(self, key: str = "") -> int:
        """Return how many tokens there are now."""
        return (self._capacity - self._look(key)) // self._cost

    def wait_time(self, key: str = "", tokens: int = 1) -> float:
        """Return the seconds until there are that many tokens, if nobody takes any.

        It is what an HTTP answer 429 gives as ``Retry-After``, rounded up.
        """
        self._check(tokens)
        return self._seconds(self._wait_for(self._look(key), tokens))

    def reset(self, key: str = "") -> None:
        """Fill the bucket, for example after a user has logged in."""
        self._cache.remove(self._key_of(key))

    def __enter__(self: _Self) -> _Self:
        """Take one token, and wait until it is there; it is used up."""
        self.acquire()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Do nothing."""

    async def __aenter__(self: _Self) -> _Self:
        """Take one token without blocking the event loop."""
        await self.acquire_async()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Do nothing."""

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is C's."""
        return self.__dict__

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin again."""
        self.__dict__.update(state)
        self._begin()

    def __repr__(self) -> str:
        """Return its name and what it allows."""
        return (
            f"<fastmmap.sync.RateLimiter object {self._name!r} at {id(self):#x}: "
            f"{self._limit} per {self._period_ms / 1000:g} s, burst {self._burst}>"
        )
