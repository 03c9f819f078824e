"""BlobService of the control plane, on grpc.aio."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, NoReturn, Protocol

import grpc
import grpc.aio

from upriver.chunks import CHUNK
from upriver.errors import BlobNotFound, InvalidInput, NotFound, QueueFull, UpriverError
from upriver.listing import is_digest
from upriver.v1 import blob_pb2 as pb
from upriver_control.blobs.deltas import Blobs, Deltas

_LOG = logging.getLogger(__name__)
SERVICE: Final = pb.DESCRIPTOR.services_by_name["BlobService"]
_MAX_DIGESTS: Final = 1000
_MAX_BASES: Final = 16
_MAX_COUNTED: Final = 10_000
_CODES: Final = {
    InvalidInput: grpc.StatusCode.INVALID_ARGUMENT,
    BlobNotFound: grpc.StatusCode.NOT_FOUND,
    NotFound: grpc.StatusCode.NOT_FOUND,
    QueueFull: grpc.StatusCode.RESOURCE_EXHAUSTED,
}


class MetadataSource(Protocol):
    """Signed metadata by name. Blocks."""

    def read(self, name: str) -> bytes | None:
        """A file; None when there is none of that name."""
        ...


class BlobServicer:
    """Serves blobs, deltas and metadata; at most `max_serving` blobs are sent at once."""

    def __init__(self, blobs: Blobs, deltas: Deltas, metadata: MetadataSource, max_serving: int = 64) -> None:
        self._blobs = blobs
        self._deltas = deltas
        self._metadata = metadata
        self._max_serving = max_serving
        self._serving = 0
        self._sent: Counter[str] = Counter()

    @property
    def sent(self) -> Mapping[str, int]:
        """Bytes sent so far, by digest; of the last ten thousand digests or so."""
        return dict(self._sent)

    async def fetch(self, request: pb.FetchRequest, context: Any) -> AsyncIterator[pb.FetchResponse]:
        """Sends a blob from an offset on."""
        if self._serving >= self._max_serving:
            await _refuse(context, QueueFull("too many fetch at once; expected another try, later"))
        self._serving += 1
        sent = 0
        try:
            size = await asyncio.to_thread(self._blobs.size, request.digest)
            offset = request.offset
            if not 0 <= offset <= size:
                raise InvalidInput(f"offset {offset}; expected 0 to {size}")
            while True:
                data = await asyncio.to_thread(self._blobs.read, request.digest, offset, CHUNK)
                # Counted first: who has got the last piece leaves, and then nothing after the yield is run.
                self._count(request.digest, len(data))
                sent += len(data)
                yield pb.FetchResponse(offset=offset, data=data, size_bytes=size)
                offset += len(data)
                if offset >= size or not data:
                    return
        except UpriverError as error:
            await _refuse(context, error)
        finally:
            self._serving -= 1
            _LOG.debug("sent %d bytes of %s from byte %d", sent, request.digest, request.offset)

    async def has(self, request: pb.HasRequest, context: Any) -> pb.HasResponse:
        """Says which blobs are here."""
        try:
            if len(request.digests) > _MAX_DIGESTS:
                raise InvalidInput(f"{len(request.digests)} digests; expected at most {_MAX_DIGESTS}")
            asked = list(request.digests)
            here = await asyncio.to_thread(lambda: [digest for digest in asked if self._blobs.has(digest)])
        except UpriverError as error:
            await _refuse(context, error)
        return pb.HasResponse(digests=here)

    async def find_delta(self, request: pb.FindDeltaRequest, context: Any) -> pb.FindDeltaResponse:
        """Finds the delta from the first base that gives one."""
        try:
            if len(request.bases) > _MAX_BASES or not all(map(is_digest, (request.digest, *request.bases))):
                raise InvalidInput(f"expected a digest and at most {_MAX_BASES} digests of bases")
            for base in request.bases:
                future = await asyncio.to_thread(self._deltas.find, base, request.digest)
                made = await asyncio.shield(asyncio.wrap_future(future))  # others may wait for it too
                if made is not None:
                    return pb.FindDeltaResponse(
                        base=base, delta=made.digest, delta_size_bytes=made.delta_bytes, size_bytes=made.size_bytes
                    )
            raise NotFound(f"no delta to {request.digest} is worth it")
        except UpriverError as error:
            await _refuse(context, error)

    async def fetch_metadata(self, request: pb.FetchMetadataRequest, context: Any) -> pb.FetchMetadataResponse:
        """Sends a metadata file."""
        try:
            data = await asyncio.to_thread(self._metadata.read, request.name)
            if data is None:
                raise NotFound(f"there is no metadata {request.name[:200]!r}")
        except UpriverError as error:
            await _refuse(context, error)
        return pb.FetchMetadataResponse(data=data)

    def _count(self, digest: str, count: int) -> None:
        if len(self._sent) >= _MAX_COUNTED and digest not in self._sent:
            del self._sent[next(iter(self._sent))]
        self._sent[digest] += count


async def _refuse(context: Any, error: UpriverError) -> NoReturn:
    await context.abort(_CODES.get(type(error), grpc.StatusCode.UNAVAILABLE), str(error)[:2000])
    raise AssertionError("abort returns never")
