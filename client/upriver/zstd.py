"""zstd frames of bytes, for those who have it: the one module that imports it.

It is `compression.zstd` of Python 3.14, or the package `backports.zstd` (the extra `fleet`), loaded when first used.
"""

import functools
import importlib
import importlib.util
from typing import Any, Final

from upriver.errors import InvalidInput, RuntimeMissing

_NAMES: Final = ("compression.zstd", "backports.zstd")
_LEVEL: Final = 3
"""Higher levels take a tensor of 784 bytes from 26 to 23 % at thirty times the time."""


@functools.cache
def available() -> bool:
    """Whether there is zstd here; loads nothing of it."""
    return any(_found(name) for name in _NAMES)


@functools.cache
def zstd() -> Any:
    """The module; raises RuntimeMissing when there is none."""
    for name in _NAMES:
        if _found(name):
            return importlib.import_module(name)
    raise RuntimeMissing("deltas and compressed tensors need zstd: pip install 'upriver[fleet]'")


def pack(data: bytes) -> bytes:
    """One frame of `data`, without its size and checksum, which travel with it anyway; raises RuntimeMissing."""
    module = zstd()
    parameter = module.CompressionParameter
    options = {parameter.compression_level: _LEVEL, parameter.content_size_flag: 0, parameter.checksum_flag: 0}
    packed: bytes = module.compress(data, options=options)
    return packed


def unpack(frame: bytes, size: int) -> bytes:
    """The `size` bytes that a frame holds; never makes more than one beyond them.

    Raises InvalidInput when it is no whole frame or holds another number of bytes, RuntimeMissing without zstd.
    """
    module = zstd()
    window = {module.DecompressionParameter.window_log_max: max(10, min(27, size.bit_length() + 1))}
    decompressor = module.ZstdDecompressor(options=window)
    try:
        data: bytes = decompressor.decompress(frame, size + 1)
    except module.ZstdError as error:
        raise InvalidInput(f"no zstd frame of {size} bytes: {error}") from error
    if len(data) != size or not decompressor.eof or decompressor.unused_data:
        raise InvalidInput(f"a zstd frame that does not end after {size} bytes")
    return data


def _found(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # its parent is missing
        return False
