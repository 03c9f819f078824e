"""Deltas between blobs: a zstd frame with the old blob as raw prefix, as `zstd --patch-from` writes and reads it."""

import hashlib
import mmap
import os
from pathlib import Path
from typing import Any, Final

from upriver.errors import InvalidInput, Untrusted
from upriver.zstd import zstd as load_zstd

MAX_BYTES: Final = 512 << 20
"""The largest blob that a delta is made from or to: the base is held in memory, and the window is as large."""
_STEP: Final = 1 << 20
_LEVEL: Final = 3


def make_delta(base: Path, new: Path, out: Path) -> int:
    """Writes the delta from one file to another, flushed; gives its bytes.

    Raises InvalidInput when a file is empty or larger than MAX_BYTES, RuntimeMissing without zstd, OSError as the disk
    does.
    """
    zstd = load_zstd()
    size = _bounded(new)
    parameters = zstd.CompressionParameter
    options = {
        parameters.compression_level: _LEVEL,
        parameters.enable_long_distance_matching: 1,
        parameters.window_log: _window_log(size),
    }
    compressor = zstd.ZstdCompressor(options=options, zstd_dict=_prefix(zstd, base))
    compressor.set_pledged_input_size(size)
    with new.open("rb") as reader, out.open("wb") as writer:
        while data := reader.read(_STEP):
            writer.write(compressor.compress(data))
        writer.write(compressor.flush())
        _flush(writer)
    return out.stat().st_size


def apply_delta(base: Path, delta: Path, out: Path, size_bytes: int, digest: str) -> None:
    """Writes the file that a delta leads to, flushed; nothing is left of it when it is not what was expected.

    Never writes more than `size_bytes`. Raises Untrusted when the delta is broken or leads to another size or digest,
    otherwise as `make_delta` does.
    """
    zstd = load_zstd()
    if not 0 < size_bytes <= MAX_BYTES:
        raise InvalidInput(f"a delta to {size_bytes} bytes; expected 1 to {MAX_BYTES}")
    limit = {zstd.DecompressionParameter.window_log_max: min(31, _window_log(size_bytes) + 1)}
    decompressor = zstd.ZstdDecompressor(zstd_dict=_prefix(zstd, base), options=limit)
    try:
        try:
            found = _decompress(decompressor, delta, out, size_bytes)
        except (zstd.ZstdError, EOFError) as error:
            raise Untrusted(f"the delta to {digest} is broken: {error}") from error
        if found != digest:
            raise Untrusted(f"the delta leads to {found}; expected {digest}")
    except BaseException:
        out.unlink(missing_ok=True)
        raise


def _decompress(decompressor: Any, delta: Path, out: Path, size_bytes: int) -> str:
    found, left = hashlib.sha256(), size_bytes
    with delta.open("rb") as reader, out.open("wb") as writer:
        while not decompressor.eof:
            data = reader.read(_STEP) if decompressor.needs_input else b""
            if not data and decompressor.needs_input:
                raise EOFError("it ends too early")
            piece = decompressor.decompress(data, min(_STEP, left + 1))
            left -= len(piece)
            if left < 0:
                raise Untrusted(f"the delta leads to more than {size_bytes} bytes")
            found.update(piece)
            writer.write(piece)
        if left:
            raise Untrusted(f"the delta leads to {size_bytes - left} bytes; expected {size_bytes}")
        _flush(writer)
    return f"sha256:{found.hexdigest()}"


def _prefix(zstd: Any, base: Path) -> Any:
    _bounded(base)
    with base.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return zstd.ZstdDict(data, is_raw=True).as_prefix


def _bounded(path: Path) -> int:
    size = path.stat().st_size
    if not 8 <= size <= MAX_BYTES:  # a dictionary has at least 8 bytes
        raise InvalidInput(f"{path.name} has {size} bytes; expected 8 to {MAX_BYTES} for a delta")
    return size


def _window_log(size: int) -> int:
    """The base can be referred to as long as the position in the new file is within the window."""
    return max(10, min(31, (size - 1).bit_length()))


def _flush(writer: Any) -> None:
    writer.flush()
    os.fsync(writer.fileno())
