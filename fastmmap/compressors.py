"""Compression of values, by the name that a cache file records.

"zlib" is done in C. The others are a function from bytes to bytes, and one
from bytes and the length they had before to bytes. That length is what the file
says: a decompressor must not produce, nor reserve, more.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Optional

Compress = Callable[[bytes], bytes]
Decompress = Callable[[bytes, int], bytes]

BUILT_IN = ("zlib", "lz4", "zstd", "snappy")
CUSTOM = "custom"


class Compressor(NamedTuple):
    """A name, empty for none, and its functions where C does not do it."""

    name: str
    compress: Optional[Compress] = None
    decompress: Optional[Decompress] = None


NONE = Compressor("")


def _lz4() -> Compressor:
    import lz4.block

    def compress(data: bytes) -> bytes:
        return bytes(lz4.block.compress(data, store_size=False))

    def decompress(data: bytes, size: int) -> bytes:
        return bytes(lz4.block.decompress(data, uncompressed_size=size))

    return Compressor("lz4", compress, decompress)


def _zstd() -> Compressor:
    import zstandard

    # A compressor object must not be used by two threads at once, so each call
    # makes its own.
    def compress(data: bytes) -> bytes:
        return zstandard.ZstdCompressor(write_content_size=False).compress(data)

    def decompress(data: bytes, size: int) -> bytes:
        # A frame that names a size of its own would have its way with memory.
        if zstandard.frame_content_size(data) not in (-1, size):
            raise ValueError("the frame names another length")
        reader = zstandard.ZstdDecompressor()
        return reader.decompress(data, max_output_size=size)

    return Compressor("zstd", compress, decompress)


def _snappy() -> Compressor:
    from cramjam import snappy

    def compress(data: bytes) -> bytes:
        return bytes(snappy.compress_raw(data))

    def decompress(data: bytes, size: int) -> bytes:
        output = bytearray(size)
        return bytes(output[: snappy.decompress_raw_into(data, output)])

    return Compressor("snappy", compress, decompress)


_OPTIONAL = {
    "lz4": ("lz4", _lz4),
    "zstd": ("zstandard", _zstd),
    "snappy": ("cramjam", _snappy),
}


def compressor_named(name: str) -> Compressor:
    """Return the compressor that a file records as `name`.

    Raises LookupError for a name that is none of ours, ImportError when its
    package is missing.
    """
    if name in ("", "zlib"):
        return Compressor(name)
    package, make = _OPTIONAL[name]
    try:
        return make()
    except ImportError as error:
        raise ImportError(
            f'compressor="{name}" needs the package "{package}": '
            f"pip install fastmmap[{name}]"
        ) from error


def custom(compress: Compress, decompress: Callable[[bytes], Any]) -> Compressor:
    """Return a user's pair of functions as a compressor."""
    return Compressor(CUSTOM, compress, lambda data, size: decompress(data))


def resolve(value: object) -> Compressor:
    """Turn the option ``compressor`` into functions.

    Accepts a name or a pair ``(compress, decompress)``. Raises ValueError for
    anything else.
    """
    if isinstance(value, str) and value in BUILT_IN:
        return compressor_named(value)
    if isinstance(value, (tuple, list)) and len(value) == 2:
        compress, decompress = value
        if callable(compress) and callable(decompress):
            return custom(compress, decompress)
    raise ValueError(
        f"compressor is {value!r}: expected one of {', '.join(map(repr, BUILT_IN))}, "
        "None, or a pair of functions (compress, decompress)"
    )
