"""One call to a parent: a submission, or that the last one still stands."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import grpc

from upriver.channels import ChannelOptions, open_channel
from upriver.errors import UpriverError
from upriver.pool import Answer
from upriver.pool_wire import TIMEOUT_S, read_answer
from upriver.refusals import error_of
from upriver.services import Stub
from upriver.v1 import pool_pb2 as pb
from upriver_agent.pooling.parents import Parent

SERVICE: Final = pb.DESCRIPTOR.services_by_name["PoolService"]


@dataclass(frozen=True, slots=True)
class Ways:
    """How agents are called, and the control plane, which is shown a token."""

    agents: ChannelOptions
    control_plane: ChannelOptions
    token: str = ""


class Sender:
    """Keeps a channel to the parent."""

    def __init__(self, ways: Ways) -> None:
        self._bytes_up = 0
        self._ways = ways
        self._turn = 0
        self._address = ""
        self._channel: grpc.Channel | None = None
        self._lock = threading.Lock()
        self._closed = False

    @property
    def bytes_up(self) -> int:
        """Bytes of all that was sent."""
        return self._bytes_up

    def send(self, parent: Parent, messages: Iterable[pb.SubmitPoolRequest]) -> Answer:
        """Sends and gives the answer; raises UpriverError."""
        address = parent.addresses[self._turn % len(parent.addresses)]
        token = "" if parent.is_agent else self._ways.token
        metadata = (("authorization", f"Bearer {token}"),) if token else ()
        try:
            stub = Stub(self._to(address, parent.is_agent), SERVICE)
            reply = stub.SubmitPool(self._counted(messages), timeout=TIMEOUT_S, metadata=metadata)
        except grpc.RpcError as error:
            self._turn += 1
            raise error_of(error, address, "agent" if parent.is_agent else "control plane") from error
        except ValueError as error:  # the channel was closed: we are ending
            raise UpriverError(f"the channel to {address} is closed") from error
        return read_answer(reply)

    def close(self) -> None:
        """Ends a call that is under way."""
        with self._lock:
            self._closed = True
            if self._channel is not None:
                self._channel.close()

    def _to(self, address: str, is_agent: bool) -> grpc.Channel:
        with self._lock:
            if self._closed:
                raise ValueError("closed")
            if self._channel is None or self._address != address:
                if self._channel is not None:
                    self._channel.close()
                self._channel = open_channel(address, self._ways.agents if is_agent else self._ways.control_plane)
                self._address = address
            return self._channel

    def _counted(self, messages: Iterable[pb.SubmitPoolRequest]) -> Iterable[pb.SubmitPoolRequest]:
        for message in messages:
            self._bytes_up += message.ByteSize()
            yield message
