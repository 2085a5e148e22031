"""What is said to the server: commands, queued into a pipeline, and their answers.

Both tiers fill a pipeline in the same way; one waits for it, the other awaits it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from fastmmap import durations, unreadable
from fastmmap.redis.codec import Codec
from fastmmap.redis.names import bytes_of
from fastmmap.redis.pulse import moment
from fastmmap.single_flight import ABSENT
from fastmmap.types import Lifetime

_NO_EXPIRY: Final = -1


class Command(NamedTuple):
    """Commands of one round trip, what they change, and what their answers mean."""

    names: Sequence[str]  #: keys that change
    queue: Callable[[Any], None]
    read: Callable[[list[Any]], Any]
    away: Any = False  #: the answer of a server that is away; ABSENT: there is none
    atomic: bool = False
    everywhere: bool = False  #: each primary of a cluster gets it


class Unreadable(NamedTuple):
    """Stands for a value that the server has and nobody here can read."""

    error: Exception


class Answer(NamedTuple):
    """What the server has of one key."""

    value: Any  #: ABSENT: nothing; or an `Unreadable`
    ttl_ms: int
    asked: float

    @property
    def kept(self) -> Any:
        """What the cache keeps of it: None says that the server has nothing."""
        gone = self.value is ABSENT or isinstance(self.value, Unreadable)
        return None if gone else self.value

    def lifetime(self, _: object = None) -> Lifetime:
        """Return how long it is true, from now on; "now" for not at all."""
        if self.value is None or isinstance(self.value, Unreadable):
            return "now"  # it would look like nothing
        if self.value is ABSENT or self.ttl_ms == _NO_EXPIRY:
            return "never"
        left = self.ttl_ms / 1000 - (moment() - self.asked)
        return left if left > 0.001 else "now"


def _read(data: Any, codec: Codec) -> Any:
    if data is None:
        return ABSENT
    try:
        return codec.loads(data)
    except Exception as error:
        if not unreadable.is_of_value(error):
            raise
        return Unreadable(error)


def fetch(names: Sequence[str], codec: Codec) -> Command:
    """Return the command that answers with an `Answer` for each name."""
    asked: list[float] = []

    def queue(pipe: Any) -> None:
        asked[:] = [moment()]
        for name in names:
            pipe.get(bytes_of(name))
            pipe.pttl(bytes_of(name))

    def read(replies: list[Any]) -> list[Answer]:
        pairs = zip(replies[::2], replies[1::2], strict=True)
        return [Answer(_read(data, codec), ms, asked[0]) for data, ms in pairs]

    return Command((), queue, read)


def _milliseconds(ttl: Lifetime) -> int:
    return durations.NEVER if ttl is None else durations.lifetime_ms(ttl)


def store(
    values: Mapping[str, bytes], ttl: Lifetime, only_new: bool = False
) -> Command:
    """Return the command that stores values; it answers whether all were stored."""
    ms = _milliseconds(ttl)
    if ms == durations.NOW:
        return _store_expired(list(values), only_new)

    def queue(pipe: Any) -> None:
        for name, data in values.items():
            pipe.set(bytes_of(name), data, px=ms if ms > 0 else None, nx=only_new)

    return Command(list(values), queue, all)


def _store_expired(names: Sequence[str], only_new: bool) -> Command:
    """Return the command that stores what has expired already: nothing."""

    def queue(pipe: Any) -> None:
        for name in names:
            (pipe.exists if only_new else pipe.delete)(bytes_of(name))

    return Command(names, queue, lambda found: not (only_new and any(found)))


def flush() -> Command:
    """Return the command that empties the database."""
    return Command((), lambda pipe: pipe.flushdb(), all, everywhere=True)


def remove(names: Sequence[str], apart: bool = False) -> Command:
    """Return the command that removes keys; it answers how many there were.

    They are removed each apart where they may be on several servers.
    """

    def queue(pipe: Any) -> None:
        keys = list(map(bytes_of, names))
        for part in [[key] for key in keys] if apart else [keys]:
            pipe.delete(*part)

    return Command(names, queue, sum, away=0)


def touch(name: str, ttl: Lifetime) -> Command:
    """Return the command that changes a lifetime; it answers whether there is a key."""
    ms, key = _milliseconds(ttl), bytes_of(name)

    def queue(pipe: Any) -> None:
        if ms == durations.NEVER:
            pipe.persist(key)
            pipe.exists(key)
        elif ms == durations.NOW:
            pipe.delete(key)
        else:
            pipe.pexpire(key, ms)

    return Command((name,), queue, lambda replies: bool(replies[-1]))


def increase(name: str, delta: int, initial: int, ttl: Lifetime) -> Command:
    """Return the command that counts; a new counter begins with the given lifetime.

    The server has no lifetime that is over at once, so "now" is its shortest: time
    stands still in a transaction, and ends the counter after that.
    """
    ms, key = _milliseconds(ttl), bytes_of(name)
    if ms == durations.NOW:
        ms = 1
    begins = bool(initial or ms > 0)

    def queue(pipe: Any) -> None:
        if begins:
            pipe.set(key, initial, px=ms if ms > 0 else None, nx=True)
        pipe.incrby(key, delta)

    return Command((name,), queue, _last, away=ABSENT, atomic=begins)


def _last(replies: list[Any]) -> int:
    return int(replies[-1])
