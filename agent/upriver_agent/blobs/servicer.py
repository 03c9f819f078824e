"""BlobService of an agent: serves what is here, and relays what is not while it comes from above."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, NoReturn

import grpc

from upriver.chunks import CHUNK
from upriver.errors import BlobNotFound, InvalidInput, NotFound, QueueFull, Unreachable, UpriverError
from upriver.listing import is_digest
from upriver.v1 import blob_pb2 as pb
from upriver_agent.blobs.bandwidth import Bandwidth
from upriver_agent.blobs.download import Downloader
from upriver_agent.blobs.sources import BlobSource
from upriver_agent.blobs.store import BlobStore, told
from upriver_agent.installing.mesh_supply import SignedFile

_CODES: Final = {
    InvalidInput: grpc.StatusCode.INVALID_ARGUMENT,
    BlobNotFound: grpc.StatusCode.NOT_FOUND,
    NotFound: grpc.StatusCode.NOT_FOUND,
    QueueFull: grpc.StatusCode.RESOURCE_EXHAUSTED,
}
_LOOK_S: Final = 0.1
_MISSING_S: Final = 2.0
_MAX_MISSING: Final = 1024
_MAX_DIGESTS: Final = 1000
_MAX_BASES: Final = 16


class BlobServicer:
    """Serves blobs to agents below. `blocking` marks a thread as waiting: the serving executor's."""

    def __init__(
        self,
        store: BlobStore,
        downloader: Downloader,
        sources: Callable[[], Sequence[BlobSource]],
        blocking: Callable[[], AbstractContextManager[None]],
        max_serving: int = 8,
        bytes_per_s: float = 0.0,
    ) -> None:
        """At most `max_serving` blobs are sent at once, with `bytes_per_s` in all; 0 is no bound of the latter."""
        self._store = store
        self._downloader = downloader
        self._sources = sources
        self._blocking = blocking
        self._places = threading.BoundedSemaphore(max_serving) if max_serving else None
        self._bandwidth = Bandwidth(bytes_per_s)
        self._missing: dict[str, float] = {}

    def fetch(self, request: pb.FetchRequest, context: grpc.ServicerContext) -> Iterator[pb.FetchResponse]:
        """Sends a blob from an offset on."""
        if self._places is None or not self._places.acquire(blocking=False):
            _refuse(
                context, QueueFull("too many fetch from this agent at once; expected another try, or another source")
            )
        gone = threading.Event()
        if not context.add_callback(gone.set):
            gone.set()
        try:
            yield from self._send(request, gone)
        except UpriverError as error:
            _refuse(context, error)
        finally:
            self._places.release()

    def has(self, request: pb.HasRequest, context: grpc.ServicerContext) -> pb.HasResponse:
        """Says which blobs are here."""
        try:
            if len(request.digests) > _MAX_DIGESTS:
                raise InvalidInput(f"{len(request.digests)} digests; expected at most {_MAX_DIGESTS}")
            return pb.HasResponse(digests=[digest for digest in request.digests if self._store.has(digest)])
        except UpriverError as error:
            _refuse(context, error)

    def find_delta(self, request: pb.FindDeltaRequest, context: grpc.ServicerContext) -> pb.FindDeltaResponse:
        """Asks those above for a delta."""
        try:
            if len(request.bases) > _MAX_BASES or not all(map(is_digest, (request.digest, *request.bases))):
                raise InvalidInput(f"expected a digest and at most {_MAX_BASES} digests of bases")
            found = self._ask(lambda source: source.find_delta(request.digest, list(request.bases)))
            if found is None:
                raise NotFound(f"there is no delta to {request.digest}")
        except UpriverError as error:
            _refuse(context, error)
        return pb.FindDeltaResponse(
            base=found.base, delta=found.digest, delta_size_bytes=found.delta_bytes, size_bytes=found.size_bytes
        )

    def fetch_metadata(
        self, request: pb.FetchMetadataRequest, context: grpc.ServicerContext
    ) -> pb.FetchMetadataResponse:
        """Asks those above for signed metadata; nothing of it is kept here."""
        try:
            return pb.FetchMetadataResponse(data=self._ask(lambda source: source.metadata(request.name)))
        except UpriverError as error:
            _refuse(context, error)

    def _ask(self, question: Callable[[BlobSource], Any]) -> Any:
        trouble: UpriverError = Unreachable("this agent knows nobody above it")
        with self._blocking():
            for source in self._sources():
                try:
                    return question(source)
                except NotFound:
                    raise
                except UpriverError as error:
                    trouble = error
        raise trouble

    def _send(self, request: pb.FetchRequest, gone: threading.Event) -> Iterator[pb.FetchResponse]:
        with self._blocking():
            path = self._store.path(request.digest)
        if path is not None:
            with told(f"blob {request.digest}"), path.open("rb") as file:
                size = path.stat().st_size
                yield from self._pieces(file, _within(request.offset, size), size, size, gone)
            return
        if self._missing.get(request.digest, 0.0) > time.monotonic():
            raise BlobNotFound(f"nobody above has {request.digest}")
        try:
            yield from self._relay(request, gone)
        except BlobNotFound:
            if len(self._missing) >= _MAX_MISSING:
                self._missing.clear()
            self._missing[request.digest] = time.monotonic() + _MISSING_S
            raise

    def _relay(self, request: pb.FetchRequest, gone: threading.Event) -> Iterator[pb.FetchResponse]:
        with self._downloader.join(SignedFile(request.digest, -1), rounds=1) as flight:
            sent, file, generation = request.offset, None, 0
            try:
                while not gone.is_set():
                    with self._blocking():
                        progress = flight.wait(sent, _LOOK_S)
                    if progress.file is None:
                        continue
                    if file is None:
                        file, generation = self._open(request.digest, progress.file), progress.generation
                    if progress.generation != generation:
                        raise Unreachable(f"{request.digest} is fetched anew; expected another try")
                    if progress.done or progress.verified > sent:
                        _within(sent, progress.size_bytes)
                        yield from self._pieces(file, sent, progress.verified, progress.size_bytes, gone)
                        sent = progress.verified
                    if progress.done:
                        return
            finally:
                if file is not None:
                    file.close()

    def _open(self, digest: str, path: Any) -> Any:
        try:
            return path.open("rb")
        except FileNotFoundError as error:  # moved to its place just now
            whole = self._store.path(digest)
            if whole is None:
                raise Unreachable(f"{digest} is fetched anew; expected another try") from error
            return whole.open("rb")

    def _pieces(self, file: Any, start: int, end: int, size: int, gone: threading.Event) -> Iterator[pb.FetchResponse]:
        file.seek(start)
        while not gone.is_set():
            data = file.read(min(CHUNK, end - start))
            with self._blocking():
                gone.wait(self._bandwidth.take(len(data), time.monotonic()))
            yield pb.FetchResponse(offset=start, data=data, size_bytes=size)
            start += len(data)
            if start >= end or not data:
                return


def _within(offset: int, size: int) -> int:
    if not 0 <= offset <= size:
        raise InvalidInput(f"offset {offset}; expected 0 to {size}")
    return offset


def _refuse(context: grpc.ServicerContext, error: UpriverError) -> NoReturn:
    context.abort(_CODES.get(type(error), grpc.StatusCode.UNAVAILABLE), str(error)[:2000])
    raise AssertionError("abort returns never")
