"""Chunk lists: what lets each MiB of a blob be verified by itself, before the rest of it is here.

A chunk list is the raw sha256 of every chunk, 32 bytes each, in order; it is a blob too. Pure.
"""

import hashlib
from typing import IO, Final

from upriver.errors import Untrusted

CHUNK: Final = 1 << 20
"""Bytes of a chunk; the last one may be shorter."""
_SUM: Final = 32


def chunk_list(stream: IO[bytes]) -> bytes:
    """The chunk list of a stream, read to its end."""
    sums = bytearray()
    while data := stream.read(CHUNK):
        sums += hashlib.sha256(data).digest()
    return bytes(sums)


def chunk_count(size_bytes: int) -> int:
    """How many chunks a blob of this size has."""
    return -(-size_bytes // CHUNK)


def list_size(size_bytes: int) -> int:
    """Bytes of the chunk list of a blob of this size."""
    return chunk_count(size_bytes) * _SUM


def check_list(sums: bytes, size_bytes: int) -> None:
    """Raises Untrusted when a list is not as long as a blob of this size needs."""
    if len(sums) != list_size(size_bytes):
        raise Untrusted(f"a chunk list of {len(sums)} bytes; expected {list_size(size_bytes)} for {size_bytes} bytes")


def is_chunk(sums: bytes, index: int, data: bytes) -> bool:
    """Whether data is the chunk of this index, counted from 0, as the list has it."""
    return 0 <= index < len(sums) // _SUM and hashlib.sha256(data).digest() == sums[index * _SUM : (index + 1) * _SUM]
