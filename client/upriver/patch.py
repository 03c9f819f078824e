"""Deltas between blobs by what the blobs are: heads have a form of their own, of some hundred bytes; all others zstd's.

What makes one and what applies one look at the first bytes; whoever relays a delta need not know which it is.
"""

import os
from pathlib import Path

from upriver import delta as zstd_delta
from upriver import heads
from upriver.delta import MAX_BYTES
from upriver.errors import InvalidInput, ModelInvalid, Untrusted
from upriver.listing import digest as digest_of

__all__ = ["MAX_BYTES", "apply_delta", "make_delta"]
_LONGEST = max(len(heads.MAGIC), len(heads.DELTA_MAGIC)) + 1


def make_delta(base: Path, new: Path, out: Path) -> int:
    """Writes the delta from one file to another, flushed; gives its bytes. Raises as `upriver.delta.make_delta`."""
    if _begins(base, heads.MAGIC) and _begins(new, heads.MAGIC):
        made = _between_heads(base, new)
        if made is not None:
            _write(out, made)
            return len(made)
    return zstd_delta.make_delta(base, new, out)


def apply_delta(base: Path, delta: Path, out: Path, size_bytes: int, digest: str) -> None:
    """Writes the file that a delta leads to, flushed; nothing is left of it when it is not what was expected.

    Raises as `upriver.delta.apply_delta`.
    """
    if not _begins(delta, heads.DELTA_MAGIC):
        zstd_delta.apply_delta(base, delta, out, size_bytes, digest)
        return
    try:
        old = heads.read_head(_bytes(base))
        made = heads.write_head(heads.apply_delta(old, _bytes(delta)))
    except ModelInvalid as error:
        raise Untrusted(f"the delta to {digest} is broken: {error}") from error
    if digest_of(made) != digest or len(made) != size_bytes:
        raise Untrusted(f"the delta leads to {digest_of(made)} of {len(made)} bytes; expected {digest} of {size_bytes}")
    try:
        _write(out, made)
    except BaseException:
        out.unlink(missing_ok=True)
        raise


def _between_heads(base: Path, new: Path) -> bytes | None:
    try:
        return heads.write_delta(heads.read_head(_bytes(base)), heads.read_head(_bytes(new)))
    except ModelInvalid:  # it begins like a head, and is none
        return None


def _begins(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(_LONGEST).startswith(magic + b"\n")


def _bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(heads.MAX_BYTES + 1)
    if len(data) > heads.MAX_BYTES:
        raise InvalidInput(f"{path.name} has more than {heads.MAX_BYTES} bytes: no head, and no head's delta")
    return data


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
