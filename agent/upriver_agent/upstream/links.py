"""Channels to upstream agents, one per agent, with what was learnt about each: outstanding calls and reserve."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import grpc

from upriver import parameters as names
from upriver.channels import ChannelOptions, open_channel
from upriver.discovery.port import AgentRecord
from upriver.oip.v2 import inference_pb2 as pb
from upriver.tensors import Tensor
from upriver.values import ParameterValue
from upriver_agent.reads import digests
from upriver_agent.reserve import Reserve
from upriver_agent.serving.request import Below

_MAX_LINKS = 64
_MAX_MODELS = 64
_METHOD = f"/{names.SERVICE}/ModelInfer"


def _nothing(versions: frozenset[str]) -> Sequence[Below]:
    return ()


@dataclass(frozen=True, slots=True)
class Escalation:
    """What goes up in one call: the rows' canonical inputs and the caller's options.

    `below` gives what those of some versions said of the rows that were here or below; it is called only for an
    upstream that takes that in.
    """

    model: str
    id: str
    inputs: Sequence[Tensor]
    rows: int
    parameters: Mapping[str, ParameterValue]
    below: Callable[[frozenset[str]], Sequence[Below]] = _nothing


class PendingCall(Protocol):
    """The part of grpc's call future that is used."""

    def result(self, timeout: float | None = None) -> pb.ModelInferResponse:
        """Gives the reply or raises grpc.RpcError or grpc.FutureCancelledError."""
        ...

    def cancel(self) -> bool:
        """Cancels the call."""
        ...

    def add_done_callback(self, callback: Callable[["PendingCall"], None]) -> None:
        """Calls back when the call is done."""
        ...


class Link:
    """One upstream agent: its channel, how many calls wait for it, and the reserve learnt about it."""

    def __init__(self, record: AgentRecord, channel: grpc.Channel) -> None:
        self.record = record
        self.channel = channel
        self.outstanding = 0
        self._ask = channel.unary_unary(
            _METHOD,
            request_serializer=pb.ModelInferRequest.SerializeToString,
            response_deserializer=pb.ModelInferResponse.FromString,
        )
        self._reserve = Reserve()
        self._reads: dict[str, frozenset[str]] = {}
        self._lock = threading.Lock()

    @property
    def reserve_s(self) -> float:
        """Seconds to keep back from the caller's time for the way back from this upstream."""
        return self._reserve.seconds

    def reads(self, model: str) -> frozenset[str]:
        """What this upstream's last answer for a model told that it reads; nothing before the first."""
        return self._reads.get(model, frozenset())

    def heard(self, model: str, terms: frozenset[str]) -> None:
        """Takes what an answer told; nothing, when something that was told could not be read after all."""
        if model in self._reads or len(self._reads) < _MAX_MODELS:
            self._reads[model] = terms

    def send(self, message: pb.ModelInferRequest, metadata: Sequence[tuple[str, str]], timeout_s: float) -> PendingCall:
        """Starts the call; never blocks. Raises ValueError when the channel is closed."""
        pending: PendingCall = self._ask.future(message, timeout=timeout_s, metadata=tuple(metadata))
        with self._lock:
            self.outstanding += 1
        return pending

    def settled(self) -> None:
        """A call that was sent has ended."""
        with self._lock:
            self.outstanding -= 1

    def learn(self, round_trip_s: float, held_s: float) -> None:
        """Takes the seconds that a call took, and how many of them the upstream says it held the question."""
        with self._lock:
            self._reserve = self._reserve.observe(max(0.0, round_trip_s), held_s)


class Links:
    """All links of one agent; the least recently made is closed when there are too many."""

    def __init__(self, options: ChannelOptions) -> None:
        self._options = options
        self._links: dict[tuple[str, str], Link] = {}
        self._lock = threading.Lock()

    def to(self, record: AgentRecord) -> Link:
        """Gives the link to an agent, making it when it is new or its address changed."""
        key = (record.agent, record.address)
        link = self._links.get(key)
        if link is not None:
            return link
        with self._lock:
            if key not in self._links:
                self._prune()
                self._links[key] = Link(record, open_channel(record.address, self._options))
            return self._links[key]

    def outstanding(self, agent: str) -> int:
        """Calls to an agent that wait for their reply."""
        return sum(link.outstanding for (name, _), link in list(self._links.items()) if name == agent)

    def wanted(self, model: str) -> frozenset[str]:
        """The versions of a model whose answers some upstream takes in."""
        return digests(term for link in list(self._links.values()) for term in link.reads(model))

    def close(self) -> None:
        """Closes all channels; calls in flight end as cancelled."""
        with self._lock:
            for link in self._links.values():
                link.channel.close()
            self._links.clear()

    def _prune(self) -> None:
        if len(self._links) < _MAX_LINKS:
            return
        for key, link in list(self._links.items()):
            if link.outstanding == 0:
                link.channel.close()
                del self._links[key]
                return
