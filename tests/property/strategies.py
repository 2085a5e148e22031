"""What the property tests draw: keys, values, lifetimes and kinds of caches."""

from __future__ import annotations

import math
import pickle
import random
from datetime import timedelta
from typing import Any, NamedTuple

from hypothesis import strategies as st
from model import How, Model
from support import BackingStore

#: A model's moments are whole ticks, and lifetimes end between them: what
#: really passes while the calls run decides nothing.
TICK = 1000.0
NEVER = math.inf

#: Fits into no page that is used here, compressed or not.
_NOISE = random.Random(1).randbytes(300_000)


class LongBytes(bytes):
    """Bytes that fit nowhere, and need not be printed."""

    def __repr__(self) -> str:
        return "LongBytes()"


class LongStr(str):
    """The same for those that know no bytes."""

    def __repr__(self) -> str:
        return "LongStr()"


# ------------------------------------------------------------------- keys

KEYS = ["", "a", b"a", b"", "b", b"\xff\x00", "ключ", "k" * 90, "c\0d"]
FILLING = [f"filling {number}" for number in range(60)]
PAGE_KEYS = ["page", b"page", "a"]

#: Mostly two, so that calls meet.
keys = st.sampled_from(KEYS[:2]) | st.sampled_from(KEYS[:2]) | st.sampled_from(KEYS)
some_keys = st.lists(keys, max_size=4, unique_by=lambda key: (type(key), key))
any_keys = st.text(st.characters(exclude_categories=["Cs"])) | st.binary()

# ----------------------------------------------------------------- values

surrogates = st.text(st.characters(categories=["Cs"]), min_size=1)
any_str = st.text() | st.tuples(st.text(), surrogates).map("".join)
_words = st.sampled_from([300, 500, 700]).map(lambda size: "x" * size)
_ints = st.integers() | st.sampled_from(
    [0, 1, 2**63 - 1, -(2**63), 2**63, -(2**63) - 1, 2**200]
)
_floats = st.floats(allow_nan=False)
_scalars = st.none() | st.booleans() | _ints | st.floats()
_hashable = _scalars | any_str | st.binary()


def _nested(leaves: Any, names: Any) -> Any:
    def extend(inner: Any) -> Any:
        return st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3)

    return st.recursive(leaves, extend, max_leaves=5)


pickled = _hashable | _nested(_hashable, _hashable) | st.tuples(_hashable, _ints)
raw = st.none() | any_str | st.binary()
json_values = _nested(st.none() | st.booleans() | _ints | _floats | any_str, any_str)
_plain_text = st.text(st.characters(exclude_categories=["Cs"]))
msgpack_values = _nested(
    st.none()
    | st.booleans()
    | _floats
    | _plain_text
    | st.binary()
    | st.integers(-(2**63), 2**64 - 1),
    _plain_text,
)


def dump_backwards(value: object) -> bytes:
    """Return bytes that only `load_backwards` reads."""
    return pickle.dumps(value)[::-1]


def load_backwards(data: bytes) -> Any:
    return pickle.loads(data[::-1])


#: A serializer by name, and the values that it gives back as they were.
SERIALIZERS: dict[str, tuple[Any, Any]] = {
    "pickle": ("pickle", pickled),
    "raw": ("raw", raw),
    "json": ("json", json_values),
    "msgpack": ("msgpack", msgpack_values),
    "custom": ((dump_backwards, load_backwards), pickled),
}


def values_of(serializer: str) -> Any:
    """Return values for a cache of a page of 4 KiB: short ones, or hopeless."""
    short = SERIALIZERS[serializer][1].filter(lambda value: len(repr(value)) < 600)
    noise = LongStr(_NOISE.hex()) if serializer == "json" else LongBytes(_NOISE)
    return short | _words | _words | st.just(noise)


def takes_raw(value: object) -> bool:
    """Tell what a raw cache takes: not the ints that incr() makes in it."""
    return value is None or isinstance(value, (str, bytes))


def fits(value: object) -> bool:
    return not isinstance(value, (LongBytes, LongStr))


# --------------------------------------------------------- times, modseqs

#: The argument expire_time, and what it means in seconds.
LIFETIMES = [
    ("now", 0.0),
    (1500, 1500.0),
    (2500.0, 2500.0),
    (timedelta(seconds=3500), 3500.0),
    ("3500000ms", 3500.0),
    ("75m", 4500.0),
    ("never", NEVER),
    (0, NEVER),
]
modseqs = st.sampled_from([None, 0, 1, 2, 2**64 - 1])


class Lifetime(NamedTuple):
    """Arguments of a call, and what they mean to the model."""

    arguments: dict[str, Any]
    seconds: Any = None  #: from now on
    moment: Any = None  #: from the model's beginning

    def how(self, model: Model, start: float, **more: Any) -> How:
        if self.seconds is not None:
            moment = None if self.seconds is NEVER else model.now + self.seconds
            return How(expire_on=moment, expire_given=True, **more)
        if self.moment is not None:
            moment = None if self.moment is NEVER else start + self.moment
            return How(expire_on=moment, expire_given=True, **more)
        return How(**more)

    def given(self, start: float) -> dict[str, Any]:
        if self.moment is None:
            return self.arguments
        on = 0 if self.moment is NEVER else start + self.moment
        return {**self.arguments, "expire_on": on}


_times = st.sampled_from(LIFETIMES).map(
    lambda pair: Lifetime({"expire_time": pair[0]}, seconds=pair[1])
)
_moments = st.sampled_from([NEVER, *(TICK * (n + 0.5) for n in range(12))]).map(
    lambda moment: Lifetime({}, moment=moment)
)
only_times = st.just(Lifetime({})) | _times
lifetimes = only_times | _moments

# ------------------------------------------------------- kinds of caches

ROOMY = {"page_size": "64k", "num_pages": 4}
GEOMETRIES: list[tuple[dict[str, Any], bool]] = [
    (ROOMY, False),
    ({"cache_size": "1m", "entry_size": 40}, False),
    ({"page_size": 4096, "num_pages": 1}, True),
    ({"page_size": 4096, "num_pages": 2, "start_slots": 8}, True),
    ({"page_size": 8192, "num_pages": 1, "start_slots": 300}, True),
]
CALLBACKS = ["none", "read", "write_through", "write_back"]
COMPRESSORS = [None, "zlib"]

_STORES: list[Store] = []


class Store(BackingStore):
    """A backing store that can fail and pickles as itself."""

    def __init__(self) -> None:
        super().__init__()
        self.broken = False
        self.inside: Any = None  #: called by read_cb
        self.answers: dict[Any, Any] = {}  #: what read_cb gave of late
        self.number = len(_STORES)
        _STORES.append(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return store_number, (self.number,)

    def read(self, key: object) -> object:
        self.calls.append(("read", key))
        if self.inside is not None:
            self.inside()
        self.answers[key] = self.get(key)
        return self.answers[key]

    def write(self, key: object, value: object, expire_on: object) -> None:
        self.calls.append(("write", key, value, expire_on))
        if self.broken:
            raise OSError("the store is down")
        self[key] = value

    def options(self, callbacks: str) -> dict[str, Any]:
        """Return the options that tie a cache to this store."""
        if callbacks == "none":
            return {}
        both = {"context": self, "read_cb": Store.read, "delete_cb": Store.delete}
        if callbacks == "read":
            return both
        return {**both, "write_cb": Store.write, "write_action": callbacks}


def store_number(number: int) -> Store:
    return _STORES[number]


class Setup(NamedTuple):
    """A kind of cache."""

    geometry: tuple[dict[str, Any], bool]
    serializer: str
    compressor: Any
    callbacks: str
    cache_not_found: bool
    allow_recursive: bool
    lifetime: tuple[Any, float]
    tombstone_lifetime: Any
    near: Any

    def options(self, store: Store) -> dict[str, Any]:
        return {
            **self.geometry[0],
            **store.options(self.callbacks),
            "serializer": SERIALIZERS[self.serializer][0],
            "compressor": self.compressor,
            "cache_not_found": self.cache_not_found,
            "allow_recursive": self.allow_recursive,
            "expire_time": self.lifetime[0],
            "tombstone_expire_time": self.tombstone_lifetime,
            "enable_stats": True,
            "near": self.near,
            "unlink_on_exit": False,
        }

    def model(self, now: float) -> Model:
        seconds = self.lifetime[1]
        return Model(
            now=now,
            lifetime=None if seconds is NEVER else seconds,
            tombstone_lifetime=self.tombstone_lifetime or None,
            reads_back=self.callbacks != "none",
            writes=self.callbacks.startswith("write"),
            write_back=self.callbacks == "write_back",
            cache_not_found=self.cache_not_found,
            may_evict=self.geometry[1],
            fits=fits,
            takes=takes_raw if self.serializer == "raw" else lambda value: True,
        )


setups = st.builds(
    Setup,
    geometry=st.sampled_from(GEOMETRIES),
    serializer=st.sampled_from(sorted(SERIALIZERS)),
    compressor=st.sampled_from(COMPRESSORS),
    callbacks=st.sampled_from(CALLBACKS),
    cache_not_found=st.booleans(),
    allow_recursive=st.booleans(),
    lifetime=st.sampled_from(LIFETIMES[1:]),
    tombstone_lifetime=st.sampled_from([0, 5500]),
    near=st.sampled_from(("64k", 0)),
)
