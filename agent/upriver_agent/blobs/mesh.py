"""Whom an agent asks for blobs: agents above it, nearest first, and then the control plane."""

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import grpc

from upriver.channels import ChannelOptions, open_channel
from upriver.discovery.port import AgentRecord
from upriver_agent.blobs.sources import BlobSource, GrpcSource
from upriver_agent.place import Place

MAX_AGENTS = 4
"""So many agents above are asked before the control plane is."""


@dataclass(frozen=True, slots=True)
class Above:
    """The control plane's addresses (none where there is none), how it is called, the token that is shown to it."""

    addresses: Sequence[str] = ()
    channel: ChannelOptions = field(default_factory=ChannelOptions)
    token: str = ""


class MeshSources:
    """The sources, each time anew from what discovery tells; channels are kept and closed here."""

    def __init__(
        self, place: Place, agents: Callable[[], Sequence[AgentRecord]], channel: ChannelOptions, above: Above
    ) -> None:
        """`agents` gives those that are known; `channel` is how agents are called."""
        self._place = place
        self._agents = agents
        self._options = channel
        self._above = above
        self._channels: dict[str, grpc.Channel] = {}
        self._lock = threading.Lock()
        self._closed = False

    def __call__(self) -> Sequence[BlobSource]:
        """Who to ask now, in order; nobody after `close`."""
        chosen = nearest(self._place, self._agents())
        with self._lock:
            if self._closed:
                return ()
            self._forget({agent.address for agent in chosen})
            sources: list[BlobSource] = [
                GrpcSource(agent.agent, self._to(agent.address, self._options), is_agent=True) for agent in chosen
            ]
            sources += [
                GrpcSource(f"the control plane at {address}", self._to(address, self._above.channel), False,
                           self._above.token)
                for address in _spread(self._place.agent, self._above.addresses)
            ]  # fmt: skip
        return sources

    def close(self) -> None:
        """Closes the channels; what is being fetched ends."""
        with self._lock:
            self._closed = True
            self._forget(set(), everything=True)

    def _to(self, address: str, options: ChannelOptions) -> grpc.Channel:
        channel = self._channels.get(address)
        if channel is None:
            channel = self._channels[address] = open_channel(address, options)
        return channel

    def _forget(self, agents: set[str], everything: bool = False) -> None:
        # An agent that discovery no longer tells of has gone, so that nothing is cut off that still comes.
        keep = set() if everything else agents | set(self._above.addresses)
        for address in [address for address in self._channels if address not in keep]:
            self._channels.pop(address).close()


def nearest(place: Place, agents: Sequence[AgentRecord]) -> list[AgentRecord]:
    """The agents of higher tiers to ask, nearest tier first, the own region before others.

    Of equals each agent prefers others, by a hash of both ids, so that no one serves everybody, and always the same, so
    that what it fetched before is there.
    """
    above = [agent for agent in agents if agent.healthy and place.is_above(agent.tier)]
    above.sort(
        key=lambda agent: (
            place.tiers.index(agent.tier),
            agent.region != place.region,
            _mark(place.agent, agent.agent),
        )
    )
    return above[:MAX_AGENTS]


def _spread(agent: str, addresses: Sequence[str]) -> list[str]:
    return sorted(addresses, key=lambda address: _mark(agent, address))


def _mark(agent: str, other: str) -> bytes:
    return hashlib.sha256(f"{agent}/{other}".encode()).digest()
