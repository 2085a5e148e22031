"""Help for the tests of programs that use a cache."""

from collections.abc import Iterator
from contextlib import contextmanager

from fastmmap import _core

#: Numbers from here on are moments, smaller ones are distances: 30 years.
_EPOCH_FROM = 1e9


@contextmanager
def time_travel(seconds: float) -> Iterator[None]:
    """Move this process's idea of now, for every cache, while the block runs.

    `seconds` below 1e9 is a distance, negative for the past; from 1e9 on it is a
    moment in seconds since 1970. The clock runs on from there. Blocks nest, and
    their distances add up. Other processes keep their own time.

    Caches have their own clock: freezegun and others that replace those of the
    module `time` do not move it, and this does not move those.

    Raises ValueError unless `seconds` is a finite number.
    """
    if not abs(seconds) < 1e12:
        raise ValueError(
            f"seconds is {seconds!r}: expected seconds to move by, or since 1970"
        )
    before = _core.get_travel()
    if seconds >= _EPOCH_FROM:
        after = before + round((seconds - _core.now()) * 1000)
    else:
        after = before + round(seconds * 1000)
    _core.set_travel(after)
    try:
        yield
    finally:
        _core.set_travel(before)
