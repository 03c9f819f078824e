"""Discovery's port: who serves models where, and telling others that we do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model's active version on an agent, and the digest of its pair."""

    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class AgentRecord:
    """What is known of one agent. No `models` means that it did not say which it serves; `load` is from 0 to 1."""

    agent: str
    tier: str
    region: str
    address: str
    protocol: int
    models: Mapping[str, ServedModel]
    load: float
    healthy: bool = True
    tls: bool = False


class Discovery(Protocol):
    """Finds agents. Nothing here blocks or raises because a registry can't be reached."""

    def start(self, me: AgentRecord) -> None:
        """Registers `me` and begins to watch, in the background."""
        ...

    def update(self, me: AgentRecord) -> None:
        """Tells that our models or load have changed."""
        ...

    def draining(self) -> None:
        """Tells that we take no new questions."""
        ...

    def agents(self) -> Sequence[AgentRecord]:
        """The last known agents: O(1), never waits."""
        ...

    def close(self) -> None:
        """Deregisters, within a bounded time."""
        ...
