"""The console's only way to everything else: the gRPC services, over a Unix socket, with the operator's token."""

from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor

from upriver.errors import UpriverError
from upriver.refusals import error_of, remade
from upriver.services import Stub
from upriver.v1 import (
    audit_pb2,
    fleet_pb2,
    inbox_pb2,
    mesh_pb2,
    policy_pb2,
    question_pb2,
    region_pb2,
    registry_pb2,
    rollout_pb2,
    train_pb2,
)

TIMEOUT_S: Final = 10.0
MAX_MESSAGE: Final = 16 << 20
_WHO: Final = "control plane"
_HERE: Final = "itself"


class Calls:
    """One service's methods by their own names.

    `await calls.GetTrace(request, timeout_s=5)` gives the answer; a method that streams is an asynchronous iterator:
    `async for answer in calls.WatchQuestions(request)`. Both raise UpriverError, whose text is one sentence.
    """

    def __init__(self, channel: grpc.aio.Channel, service: ServiceDescriptor, token: str) -> None:
        stub = Stub(channel, service)
        metadata = (("authorization", f"Bearer {token}"),) if token else ()
        for method in service.methods:
            make = _streaming if method.server_streaming else _single
            setattr(self, method.name, make(getattr(stub, method.name), metadata))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the service has no method {name!r}")


class Remote:
    """The services that pages read and act by. Made and used on a running event loop."""

    def __init__(self, target: str, token: str) -> None:
        """`target` is the control plane's address as gRPC has it, such as `unix:/folder/console.sock`."""
        self._channel = grpc.aio.insecure_channel(
            target,
            options=[
                ("grpc.max_receive_message_length", MAX_MESSAGE),
                ("grpc.enable_http_proxy", 0),
                ("grpc.initial_reconnect_backoff_ms", 200),
                ("grpc.max_reconnect_backoff_ms", 2_000),
            ],
        )
        self._token = token
        self.questions = self._calls(question_pb2, "QuestionService")
        self.mesh = self._calls(mesh_pb2, "MeshService")
        self.inbox = self._calls(inbox_pb2, "InboxService")
        self.fleet = self._calls(fleet_pb2, "FleetService")
        self.rollouts = self._calls(rollout_pb2, "RolloutService")
        self.registry = self._calls(registry_pb2, "RegistryService")
        self.policies = self._calls(policy_pb2, "PolicyService")
        self.regions = self._calls(region_pb2, "RegionService")
        self.audits = self._calls(audit_pb2, "AuditService")
        self.train = self._calls(train_pb2, "TrainService")

    async def close(self) -> None:
        """Ends all calls."""
        await self._channel.close(None)

    def _calls(self, module: Any, name: str) -> Calls:
        return Calls(self._channel, module.DESCRIPTOR.services_by_name[name], self._token)


def _told(failed: grpc.RpcError) -> UpriverError:
    """The error, without where it comes from: there is one place only."""
    error = error_of(failed, _HERE, _WHO)
    return remade(type(error), str(error).removesuffix(f" ({_WHO} {_HERE})"))


def _single(method: Any, metadata: tuple[tuple[str, str], ...]) -> Any:
    async def call(request: Any, timeout_s: float = TIMEOUT_S) -> Any:
        try:
            return await method(request, timeout=timeout_s, metadata=metadata)
        except grpc.RpcError as failed:
            raise _told(failed) from failed

    return call


def _streaming(method: Any, metadata: tuple[tuple[str, str], ...]) -> Any:
    async def stream(request: Any, timeout_s: float | None = None) -> AsyncIterator[Any]:
        call = method(request, timeout=timeout_s, metadata=metadata)
        try:
            async for answer in call:
                yield answer
        except grpc.RpcError as failed:
            raise _told(failed) from failed
        finally:
            call.cancel()

    return stream
