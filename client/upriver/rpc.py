"""The RPCs that clients call, with their messages; one table for sync and asyncio."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from upriver import parameters as names
from upriver.oip.v2 import inference_pb2 as pb

Q = TypeVar("Q")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Rpc(Generic[Q, R]):
    """One RPC: where it is, how its request is written and its response read."""

    name: str
    write: Callable[[Q], bytes]
    read: Callable[[bytes], R]

    @property
    def path(self) -> str:
        """The path of its HTTP/2 request."""
        return f"/{names.SERVICE}/{self.name}"


SERVER_READY = Rpc("ServerReady", pb.ServerReadyRequest.SerializeToString, pb.ServerReadyResponse.FromString)
MODEL_METADATA = Rpc("ModelMetadata", pb.ModelMetadataRequest.SerializeToString, pb.ModelMetadataResponse.FromString)
MODEL_INFER = Rpc("ModelInfer", pb.ModelInferRequest.SerializeToString, pb.ModelInferResponse.FromString)
MODEL_STREAM_INFER = Rpc(
    "ModelStreamInfer", pb.ModelInferRequest.SerializeToString, pb.ModelStreamInferResponse.FromString
)
REPOSITORY_INDEX = Rpc(
    "RepositoryIndex", pb.RepositoryIndexRequest.SerializeToString, pb.RepositoryIndexResponse.FromString
)
