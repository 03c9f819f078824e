"""Where blobs come from: an agent above or the control plane, by gRPC."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import grpc

from upriver.errors import BlobNotFound, NotFound, QueueFull, Unreachable, UpriverError
from upriver.refusals import error_of
from upriver.services import Stub
from upriver.v1 import blob_pb2 as pb

SERVICE: Final = pb.DESCRIPTOR.services_by_name["BlobService"]
_ANSWER_S: Final = 60.0  # the control plane may have to make the delta first
_WHOLE_S: Final = 3600.0

Piece = tuple[int, bytes, int]
"""Offset, data, and the whole blob's size."""


@dataclass(frozen=True, slots=True)
class Delta:
    """A delta that a source has: from which base, its own digest and size, and the size of what it leads to."""

    base: str
    digest: str
    delta_bytes: int
    size_bytes: int


class Transfer(Protocol):
    """A blob on its way."""

    def __iter__(self) -> Iterator[Piece]:
        """Pieces in order; raises BlobNotFound, QueueFull when the source serves too many, Unreachable for the rest."""
        ...

    def cancel(self) -> None:
        """Ends it from another thread."""
        ...


class BlobSource(Protocol):
    """Somebody who may have blobs."""

    @property
    def name(self) -> str:
        """What to call it in messages."""
        ...

    @property
    def is_agent(self) -> bool:
        """Whether it is an agent; else it is the control plane."""
        ...

    def fetch(self, digest: str, offset: int) -> Transfer:
        """Starts to send a blob from an offset on."""
        ...

    def find_delta(self, digest: str, bases: Sequence[str]) -> Delta | None:
        """A delta worth taking, if there is one; raises UpriverError."""
        ...

    def metadata(self, name: str) -> bytes:
        """A metadata file; raises NotFound and other kinds of UpriverError."""
        ...


class GrpcSource:
    """A BlobService on a channel, which stays its owner's; a token is shown to it, if there is one."""

    def __init__(self, name: str, channel: grpc.Channel, is_agent: bool, token: str = "") -> None:
        self.name = name
        self.is_agent = is_agent
        self._stub = Stub(channel, SERVICE)
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    def fetch(self, digest: str, offset: int) -> Transfer:
        """Starts to send a blob."""
        asked = pb.FetchRequest(digest=digest, offset=offset)
        return _GrpcTransfer(self._stub.Fetch(asked, timeout=_WHOLE_S, metadata=self._metadata), self.name)

    def find_delta(self, digest: str, bases: Sequence[str]) -> Delta | None:
        """A delta worth taking, if there is one."""
        asked = pb.FindDeltaRequest(digest=digest, bases=bases[:16])
        try:
            found = self._stub.FindDelta(asked, timeout=_ANSWER_S, metadata=self._metadata)
        except grpc.RpcError as error:
            if isinstance(error, grpc.Call) and error.code() is grpc.StatusCode.NOT_FOUND:
                return None
            raise error_of(error, self.name) from error
        return Delta(found.base, found.delta, found.delta_size_bytes, found.size_bytes)

    def metadata(self, name: str) -> bytes:
        """A metadata file."""
        try:
            asked = pb.FetchMetadataRequest(name=name)
            return bytes(self._stub.FetchMetadata(asked, timeout=_ANSWER_S, metadata=self._metadata).data)
        except grpc.RpcError as error:
            if isinstance(error, grpc.Call) and error.code() is grpc.StatusCode.NOT_FOUND:
                raise NotFound(f"{self.name} has no metadata {name!r}") from error
            raise error_of(error, self.name) from error


class _GrpcTransfer:
    def __init__(self, call: Any, name: str) -> None:
        self._call = call
        self._name = name

    def __iter__(self) -> Iterator[Piece]:
        try:
            for reply in self._call:
                yield reply.offset, reply.data, reply.size_bytes
        except grpc.RpcError as error:
            raise _trouble(error, self._name) from error

    def cancel(self) -> None:
        self._call.cancel()


def _trouble(error: grpc.RpcError, name: str) -> UpriverError:
    if isinstance(error, grpc.Call) and error.code() is grpc.StatusCode.NOT_FOUND:
        return BlobNotFound(f"{name} does not have it")
    told = error_of(error, name)
    if isinstance(told, QueueFull):
        return told
    return Unreachable(str(told))  # whatever its trouble is, another may be asked
